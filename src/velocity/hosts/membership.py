"""The use cases of hosts: token, join, change, removal."""

from __future__ import annotations

import asyncio
import logging
import secrets
import shlex
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from typing import Protocol

from msgspec import UNSET, UnsetType
from msgspec.structs import replace as with_

from velocity import plan
from velocity.access.rules import NOTHING, Amount
from velocity.contract import joining, nodes
from velocity.contract.problems import Problem, Refused
from velocity.hosts.copies import Copies
from velocity.hosts.lost import LostHosts
from velocity.hosts.members import TOKEN_LIFETIME, Dialing, JoinToken, Known, Member, MemberStore, Sealed
from velocity.hosts.port import Duty
from velocity.hosts.roster import Roster
from velocity.hosts.shown import Found, other_uids, shown
from velocity.hypervisor.port import HostId

log = logging.getLogger(__name__)

TOKENS = 100
"""Unused ones that there may be."""


class Connections(Protocol):
    """Stays connected to hosts, and knows their state."""

    async def follow(self, member: Member, authority: Sealed | None) -> None:
        """A host is new or has changed: stay connected to it, if there is an authority."""

    async def let_go(self, host: HostId) -> None: ...

    async def note(self, member: Member) -> None:
        """Store what was learnt of it, if the database takes it; otherwise it is learnt again."""

    def trouble(self, host: HostId) -> str:
        """Why it does not answer; empty: it does."""

    def ahead(self, host: HostId) -> int:
        """Seconds that its clock is ahead of ours, below 0 behind; 0: it is right, or nobody knows."""

    async def close(self) -> None: ...


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
        clock: Callable[[], float] = time.time,
    ) -> None:
        """`own` tells of the server's own host, `urls` where the server is found (in a thread), `given` what a host's
        VMs were given. `leaving`: see `velocity.hosts.port.Attaching`.

        `join_oneself` makes the own host one that another server can control after this one (in a thread).
        """
        self._store = store
        self._roster = roster
        self._dialing = dialing
        self._connections = connections
        self._copies = copies
        self.lost = lost
        self._beside = (copies, *beside)
        self._join_oneself = join_oneself
        self._own = own
        self._urls = urls
        self._leaving = leaving
        self._given = given
        self._clock = clock
        self._tokens: dict[str, JoinToken] = {}
        self._joining: set[str] = set()
        """Tokens that are being used at this moment."""
        self._authority: Sealed | None = None
        self._changing = asyncio.Lock()
        """A host joins, is set or is removed: each finds the host as the change before has left it."""

    async def open(self) -> None:
        """Load them, and connect to those that have joined."""
        rows = self._store.load()
        self._roster.load(rows)
        self._tokens = {one.name: one for one in rows.tokens}
        self._authority = rows.authority
        if self._authority is not None and any(not one.own for one in self._roster):
            await self._renew_authority(self._authority, self._dialing())
        await self._know_own()
        await self._introduce_own()
        for member in self._roster:
            await self._connections.follow(member, self._authority)
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
            authority = self._authority or await self._begin_anew(self._dialing())
            after = await asyncio.to_thread(self._join_oneself, before, authority)
            if after != before:
                await self._store.introduce(after, authority)
        except (Refused, OSError) as error:
            log.warning("another server could not control this machine yet: %s", error)
            return
        self._authority = authority
        self._roster.put(after)

    async def close(self) -> None:
        """Disconnect from the hosts, which keep working."""
        await self.lost.close()
        for one in self._beside:
            await one.close()
        await self._connections.close()

    # Reading

    async def all(self, asked: nodes.ListNodes) -> list[nodes.NodeInfo]:
        count = await self._store.count()
        return [self._shown(one, count) for one in asked.page(list(self._roster), key=lambda one: one.host)]

    async def show(self, host: int) -> nodes.NodeInfo:
        self._roster.get(host)  # or refused, without a question
        count = await self._store.count()
        return self._shown(self._roster.get(host), count)

    def _shown(self, one: Member, count: Mapping[int, int]) -> nodes.NodeInfo:
        trouble = "" if one.own else self._connections.trouble(one.host)
        kept = self._copies.of(one) if one.keeps_copy and not one.own else None
        found = Found(trouble, self._connections.ahead(one.host), other_uids(one, self._roster))
        return shown(one, count.get(one.host, 0), self._given(one.host), found, kept, self.lost)

    # Joining

    async def make_token(self, host: int | UnsetType, urls: list[str] | UnsetType) -> nodes.Token:
        now = int(self._clock())
        member = None if host is UNSET else self._roster.get(host)
        if member is not None and member.own:
            raise Refused(Problem.NODE_OWN, "that is the server's own host, which does not join", field="host")
        self._tokens = {name: one for name, one in self._tokens.items() if one.holds(now)}
        if sum(one.used_by is None for one in self._tokens.values()) >= TOKENS:
            raise Refused(
                Problem.TOO_MANY_TOKENS, f"{TOKENS} tokens are unused: use one of these, or wait until they expire"
            )
        where = await asyncio.to_thread(self._urls) if isinstance(urls, UnsetType) else urls
        dialing = self._dialing()
        plan.step("create", "token", "" if member is None else member.name)
        if self._authority is not None:
            await self._renew_authority(self._authority, dialing)
        authority = self._authority or await self._begin_anew(dialing)
        secret = secrets.token_bytes(joining.SECRET)
        token = JoinToken(
            joining.name(secret), joining.key(secret), now + TOKEN_LIFETIME, None if member is None else member.host
        )
        await self._store.add_token(token, authority, now)
        self._authority = self._authority or authority
        self._tokens[token.name] = token
        word = str(joining.NodeToken(where, dialing.fingerprint(self._authority), secret))
        return nodes.Token(token=word, expires=token.expires, urls=where, warnings=_warnings(where) or UNSET)

    async def _renew_authority(self, authority: Sealed, dialing: Dialing) -> None:
        """In time. Not while somebody may join by a token, which names its present certificate."""
        renewed = dialing.renewed(authority)
        if renewed == authority or any(one.holds(self._clock()) for one in self._tokens.values()):
            return
        plan.stop_here()
        self._authority = renewed
        try:
            await self._store.renew_authority(renewed)
            log.info("the certificate that signs for hosts was renewed")
        except Refused as refused:  # the next start renews it again
            log.warning("the new certificate that signs for hosts is not kept: %s", refused.message)

    async def _begin_anew(self, dialing: Dialing) -> Sealed:
        """An authority; what another one has signed, of a database that was moved here, is worth nothing."""
        plan.stop_here()
        for member in [one for one in self._roster if one.serial]:
            await self._store.note(self._roster.change(member.host, serial="", renewing=""))
        return dialing.new_authority()

    async def join(self, asked: nodes.JoinNode) -> nodes.Joined:
        """Accept a join with a valid token. The same request again returns the same host."""
        token = self._tokens.get(asked.token)
        if token is None or not token.holds(self._clock()) or not joining.proves(token.key, asked):
            raise _refused()
        again = token.used_by is not None and token.proof == asked.proof
        if (token.used_by is not None and not again) or token.name in self._joining:
            raise _refused()
        self._joining.add(token.name)
        try:
            async with self._changing:
                return await self._join(asked, token)
        finally:
            self._joining.discard(token.name)

    async def _join(self, asked: nodes.JoinNode, token: JoinToken) -> nodes.Joined:
        authority = self._authority
        assert authority is not None, "there is one since the first token"
        known = self._roster.of(asked.uuid)
        self._check_known(known, token)
        before = known or (self._roster.find(token.host) if token.host is not None else None)
        signed = self._dialing().sign(authority, asked.request, asked.uuid)
        name = asked.name if before is None else before.name
        with self._roster.claim(name, None if before is None else before.host):
            plan.step("change" if before else "create", "host", name, id=before.host if before else None)
            plan.stop_here()
            member = replace(
                before or Member(self._roster.next_id(), asked.name, mpid=self._roster.free_pool()),
                uuid=asked.uuid, address=asked.address, serial=signed.serial, renewing="",
                joined=int(self._clock()),
            )  # fmt: skip
            used = replace(token, used_by=member.host, proof=asked.proof)
            await self._store.join(member, used)
            self._tokens[token.name] = used
            self._roster.put(member)
        await self._connections.follow(member, authority)
        self.lost.open()
        answer = nodes.Joined(
            host=member.host,
            name=member.name,
            certificate=signed.certificate,
            authority=authority.certificate,
            mpid=member.mpid,
            proof="0" * 64,
        )
        return _proved(token.key, answer)

    def _check_known(self, known: Member | None, token: JoinToken) -> None:
        """Raises `Refused` where the token is for another machine than the one that asks."""
        if known is not None and known.host not in (token.host, token.used_by):
            raise Refused(
                Problem.NODE_KNOWN,
                f"that machine is the host {known.name} already: `velocity node token --again {known.name}` makes a "
                "token by which it joins again",
            )

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
        after = replace(
            before,
            name=before.name if isinstance(asked.name, UnsetType) else asked.name,
            address=before.address if isinstance(asked.address, UnsetType) else asked.address,
            duty=before.duty if isinstance(asked.duty, UnsetType) else Duty(asked.duty),
            labels=before.labels if isinstance(asked.labels, UnsetType) else asked.labels,
        )
        after = after if isinstance(asked.keeps_copy, UnsetType) else replace(after, keeps_copy=asked.keeps_copy)
        changes = {
            "name": (before.name, after.name),
            "address": (before.address, after.address),
            "duty": (before.duty.value, after.duty.value),
            "labels": (dict(before.labels), dict(after.labels)),
            "keeps_copy": (before.keeps_copy, after.keeps_copy),
        }
        with self._roster.claim(after.name, before.host):
            plan.step("change", "host", before.name, id=before.host, changes=changes)
            await self._store.keep(after)
            after = self._roster.change(
                before.host, name=after.name, address=after.address, duty=after.duty, labels=after.labels,
                keeps_copy=after.keeps_copy,
            )  # fmt: skip
        await self._connections.follow(after, self._authority)
        if after.keeps_copy != before.keeps_copy:
            self._copies.keepers_changed()

    def _check_copies(self, member: Member) -> None:
        if member.own:
            raise Refused(Problem.NODE_OWN, "the server's own host has the database itself", field="keeps_copy")
        if self._copies.source is None:
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
            pools = self._roster.pools_of(member) if answers else set()  # of one that is lost, nobody gets anything
            _check_empty(member, await self._store.holds(member.host, pools), answers)
            plan.step("delete", "host", member.name, id=member.host)
            plan.stop_here()
            with self._leaving(member.host):
                _check_empty(member, await self._store.remove(member.host, pools), answers)
                await self._connections.let_go(member.host)
            self._roster.drop(member.host)
            self._tokens = {name: one for name, one in self._tokens.items() if host not in (one.host, one.used_by)}


def _refused() -> Refused:
    return Refused(
        Problem.TOKEN_REFUSED,
        "this token is unknown here, was used, or has expired (after an hour): make a new one with `velocity node "
        "token` on the server",
    )


def _check_empty(member: Member, holds: tuple[int, int], answers: bool) -> None:
    vms, media = holds
    if media and not vms:
        what = "1 medium is" if media == 1 else f"{media} media are"
        raise Refused(
            Problem.NODE_BUSY,
            f"{what} in pools of {member.name}: move or delete them first (`velocity media list`)",
            field="host",
        )
    if vms:
        what = "1 VM is" if vms == 1 else f"{vms} VMs are"
        name = shlex.quote(member.name)
        cure = (
            f"move them away (`velocity node drain {name} --move`)"
            if answers
            else f"once it is off, say so (`velocity node confirm-dead {name}`) and start them elsewhere"
        )
        words = f"{what} on {member.name}, or on the way there: {cure}, or delete them"
        raise Refused(Problem.NODE_BUSY, words, field="host")


def _proved(key: bytes, answer: nodes.Joined) -> nodes.Joined:
    return with_(answer, proof=joining.proof(key, answer))


def _warnings(urls: list[str]) -> list[str]:
    if not all(map(joining.is_here, urls)):
        return []
    return [
        "another machine cannot reach this server, which listens on this machine alone: set `listen` to 0.0.0.0:8090 "
        "with tls_cert and tls_key, or name the URL of its proxy (--url)"
    ]
