"""The use cases of hosts: reading, change, removal."""

from __future__ import annotations

import asyncio
import logging
import shlex
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from typing import Any, Protocol

from msgspec import UNSET

from velocity import plan
from velocity.access.rules import NOTHING, Amount
from velocity.contract import nodes
from velocity.contract.problems import Problem, Refused
from velocity.hosts.copies import Copies
from velocity.hosts.joining import Joining
from velocity.hosts.lost import LostHosts
from velocity.hosts.members import Connections, Dialing, Known, Member, MemberStore, Sealed
from velocity.hosts.port import Duty
from velocity.hosts.roster import Roster
from velocity.hosts.shown import Found, other_uids, shown
from velocity.hypervisor.port import HostId

log = logging.getLogger(__name__)

SETTABLE = ("name", "address", "duty", "labels", "keeps_copy")


class Beside(Protocol):
    """Works for hosts while the server runs."""

    async def open(self) -> None: ...

    async def close(self) -> None: ...


class Membership:
    """The hosts of one installation."""

    def __init__(
        self,
        store: MemberStore,
        roster: Roster,
        dialing: Callable[[], Dialing],
        connections: Connections,
        *,
        copies: Copies,
        lost: LostHosts,
        beside: Sequence[Beside] = (),
        join_oneself: Callable[[Member, Sealed], Member] | None = None,
        own: Callable[[], Known],
        urls: Callable[[], list[str]],
        leaving: Callable[[HostId], AbstractContextManager[None]],
        given: Callable[[HostId], Amount] = lambda _: NOTHING,
        renamed: Callable[[str, str], None] = lambda *_: None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """`own` tells of the server's own host, `urls` where the server is found (in a thread), `given` what a host's
        VMs were given; `renamed` is told the old and the new name of a host. `leaving`: see
        `velocity.hosts.port.Attaching`.

        `join_oneself` makes the own host one that another server can control after this one (in a thread).
        """
        self._store = store
        self._roster = roster
        self._connections = connections
        self._copies = copies
        self.lost = lost
        self._beside = (copies, *beside)
        self._join_oneself = join_oneself
        self._own = own
        self._leaving = leaving
        self._given = given
        self._renamed = renamed
        self._changing = asyncio.Lock()
        """A host joins, is set or is removed: each finds the host as the change before has left it."""
        self.joining = Joining(store, roster, dialing, connections, urls, self._changing, lost.open, clock)

    async def open(self) -> None:
        """Load them, and connect to those that have joined."""
        rows = self._store.load()
        self._roster.load(rows)
        await self.joining.open(rows)
        await self._know_own()
        await self._introduce_own()
        for member in self._roster:
            await self._connections.follow(member, self.joining.authority)
        for one in self._beside:
            await one.open()
        self.lost.open()

    async def _know_own(self) -> None:
        """Stored as for any host, so that another server knows its last state."""
        known, before = self._own(), self._roster.get(self._roster.own)
        after = self._roster.change(before.host, known=known)
        if before.known != known:
            await self._connections.note(after)

    async def _introduce_own(self) -> None:
        """A server that stands by when another leads is a host of that one then."""
        if self._join_oneself is None:
            return
        before = self._roster.get(self._roster.own)
        try:
            authority = await self.joining.ensure_authority()
            after = await asyncio.to_thread(self._join_oneself, before, authority)
            if after != before:
                await self._store.introduce(after, authority)
        except (Refused, OSError) as error:
            log.warning("another server could not control this machine yet: %s", error)
            return
        self.joining.authority = authority
        self._roster.put(after)

    async def close(self) -> None:
        """Disconnect from the hosts, which keep working."""
        await self.lost.close()
        for one in self._beside:
            await one.close()
        await self._connections.close()

    # Reading

    @property
    def copied(self) -> bool:
        """Whether hosts can keep copies of the database."""
        return self._copies.source is not None

    def name_of(self, host: object) -> str:
        """A host's name; empty if there is none."""
        member = self._roster.find(host)
        return "" if member is None else member.name

    async def all(self, asked: nodes.ListNodes) -> list[nodes.NodeInfo]:
        count = await self._store.count()
        return [self._shown(one, count) for one in asked.page(list(self._roster), key=lambda one: one.host)]

    async def show(self, host: int) -> nodes.NodeInfo:
        self._roster.get(host)  # or refused, without a question
        count = await self._store.count()
        return self._shown(self._roster.get(host), count)

    def _shown(self, one: Member, count: Mapping[int, int]) -> nodes.NodeInfo:
        kept = self._copies.of(one) if one.keeps_copy and not one.own else None
        found = Found(*self.lost.trouble(one), self._connections.ahead(one.host), other_uids(one, self._roster))
        return shown(one, count.get(one.host, 0), self._given(one.host), found, kept, self.lost)

    # Changing

    async def set(self, asked: nodes.SetNode) -> nodes.NodeInfo:
        async with self._changing:
            await self._set(asked)
        return await self.show(asked.host)

    async def _set(self, asked: nodes.SetNode) -> None:
        before = self._roster.get(asked.host)
        if before.own and not before.address and asked.address is not UNSET:
            raise Refused(Problem.NODE_OWN, "the server's own host has no address: leave it out", field="address")
        if asked.keeps_copy is True:
            self._check_copies(before)
        given: dict[str, Any] = {one: value for one in SETTABLE if (value := getattr(asked, one)) is not UNSET}
        if "duty" in given:
            given["duty"] = Duty(given["duty"])
        after = replace(before, **given)
        changes = {one: (_told(getattr(before, one)), _told(getattr(after, one))) for one in SETTABLE}
        with self._roster.claim(after.name, before.host):
            plan.step("change", "host", before.name, id=before.host, changes=changes)
            await self._store.keep(after)
            after = self._roster.change(before.host, **given)
        if after.name != before.name:
            self._renamed(before.name, after.name)
        await self._connections.follow(after, self.joining.authority)
        if after.keeps_copy != before.keeps_copy:
            self._copies.keepers_changed()

    def _check_copies(self, member: Member) -> None:
        if member.own:
            raise Refused(Problem.NODE_OWN, "the server's own host has the database itself", field="keeps_copy")
        if not self.copied:
            raise Refused(
                Problem.NO_COPIES,
                "the database is PostgreSQL, which has a replication of its own: let a second server stand by "
                "(`velocity serve --standby`)",
                field="keeps_copy",
            )

    async def remove(self, host: int) -> None:
        """Remove it; its certificate is not accepted any more."""
        async with self._changing:
            member = self._roster.get(host)
            if member.own:
                raise Refused(Problem.NODE_OWN, "that is the server's own host, which cannot be removed", field="host")
            answers = not self._connections.trouble(member.host)
            # A lost host's media cannot be fetched: they do not prevent its removal.
            pools = self._roster.pools_of(member) if answers else set()
            _check_empty(member, await self._store.holds(member.host, pools), self.lost.state(member))
            plan.step("delete", "host", member.name, id=member.host)
            plan.stop_here()
            with self._leaving(member.host):
                _check_empty(member, await self._store.remove(member.host, pools), self.lost.state(member))
                await self._connections.let_go(member.host)
            self._roster.drop(member.host)
            self.joining.forget(host)


def _told(value: Any) -> Any:
    """A setting as a plan and the history tell it."""
    return value.value if isinstance(value, Duty) else dict(value) if isinstance(value, Mapping) else value


def _check_empty(member: Member, holds: tuple[int, int], state: nodes.NodeState) -> None:
    (vms, media), name = holds, shlex.quote(member.name)
    if media and not vms:
        what = "1 medium is" if media == 1 else f"{media} media are"
        raise Refused(
            Problem.NODE_BUSY,
            f"{what} in pools of {member.name}: move or delete them first (`velocity media list --host {name}`)",
            field="host",
        )
    if vms:
        what = "1 VM is" if vms == 1 else f"{vms} VMs are"
        cures: Mapping[nodes.NodeState, str] = {
            "online": f"move them away (`velocity node drain {name} --move`)",
            "dead": "start them, which brings them to other hosts",
        }
        cure = cures.get(
            state, f"once it is off, say so (`velocity node confirm-dead {name}`) and start them elsewhere"
        )
        words = f"{what} on {member.name}, or on the way there: {cure}, or delete them"
        raise Refused(Problem.NODE_BUSY, words, field="host")
