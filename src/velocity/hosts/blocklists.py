"""Blocklisting: the storage cluster accepts no more writes from a lost host, which proves that its VMs on that storage
cannot write.

A VM that has other disks, too, may still write to those, so it is not freed. When the host answers again, its VMs that
were freed are ended and their images released there before the host is taken off the blocklist.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import defaultdict
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace

from velocity.contract.problems import Problem, Refused, done_before
from velocity.hosts.members import Member, MemberStore
from velocity.hosts.port import Attaching, Blocklisting, VmWrites
from velocity.hosts.roster import Roster
from velocity.hosts.silence import Failures
from velocity.hypervisor.port import HostId
from velocity.storage.port import MediaRef

log = logging.getLogger(__name__)

DEADLINE = 90.0
"""Seconds that storage has to answer for one pool."""
LIFT_AGAIN = (2.0, 5.0, 30.0)
"""Seconds before each further attempt to take a host off the blocklist. The last value repeats."""
KEPT = 4
"""How many addresses of a host are kept for a pool: clients that it opened under an earlier one may still exist."""


class Blocklists:
    """Puts hosts on the blocklists of pools, and takes them off. A pool is asked through a host that reaches it."""

    def __init__(
        self,
        store: MemberStore,
        roster: Roster,
        attaching: Attaching,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._store = store
        self._roster = roster
        self._disks, self._noted = attaching.disks, attaching.noted
        self._clock = clock
        self.lifting = Failures(LIFT_AGAIN)
        self._turns: defaultdict[HostId, asyncio.Lock] = defaultdict(asyncio.Lock)
        """Held while a host is being blocklisted or taken off the blocklist: neither happens during the other."""
        self.failed = Failures()
        """Hosts that could not be blocklisted automatically, and why."""

    # What they know

    async def note_clients(self) -> None:
        """Store the addresses that hosts have reported: when they are needed, the host can no longer be asked."""
        for member in list(self._roster):
            told = self._disks.clients.get(member.host, {})
            clients = dict(member.clients) | {
                mpid: tuple(dict.fromkeys([*now, *member.clients.get(mpid, ())]))[:KEPT] for mpid, now in told.items()
            }
            if clients != member.clients:
                try:
                    await self._store.note_clients(replace(member, clients=clients))
                    self._roster.change(member.host, clients=clients)
                except Refused as refused:  # it is tried again at the next look
                    log.debug(
                        "the addresses of %s in its Ceph clusters are not stored yet: %s", member.name, refused.message
                    )

    def of(self, host: HostId) -> Blocklisting | None:
        return self._disks.blocklisted.get(host)

    def why_not_lifted(self, host: HostId) -> str:
        return self.lifting.words(host)

    def could(self, member: Member) -> list[VmWrites]:
        """The VMs of this host that blocklisting it may free: all that they write to is in pools that support it."""
        mpids = member.clients.keys()
        return [one for one in self._disks.writes(member.host) if not _lacks(one, mpids)]

    def frees(self, member: Member) -> bool:
        """Whether blocklisting this host may free a VM that is to be restarted elsewhere."""
        return any(one.restarts for one in self.could(member))

    # What they do

    async def add(self, member: Member, by: str) -> None:
        """Blocklist it in all its pools, and free the VMs that then can write to nothing.

        `by`: what confirmed it, for users. Raises `Refused`: no VM was freed.
        """
        self.check(member)
        async with self._turns[member.host]:
            await self._add(member, by)

    async def _add(self, member: Member, by: str) -> None:
        if self.of(member.host) is None:
            told = Blocklisting(int(self._clock()), by, dict(member.clients))
            await self._disks.blocklist(member.host, told)
            self._roster.tell(member.host)
        listed = self._disks.blocklisted[member.host]
        vms = self._disks.writes(member.host)
        watched, refused = await self._blocklist(listed.addresses, vms)
        lacks = {one: _lacks(one, watched.keys()) or _open(one, watched) for one in vms}
        if self._disks.answers(member.host):
            raise Refused(Problem.NODE_ANSWERS, f"{member.name} responds again, so it is not lost")
        if len(refused) == len(listed.addresses):
            raise Refused(Problem.NOT_FENCED, f"nothing is proven, and no VM was freed: {'; '.join(refused)}")
        free = {one.machine for one, words in lacks.items() if not words}
        if free:
            with done_before(f"{member.name} is blocklisted, and no VM was freed: repeat this"):
                await self._disks.confirm_some(member.host, free, by)
        for one, words in lacks.items():
            if words and one.runs:
                log.warning("vm %d: nothing proves that it has ended on %s: %s", one.vmid, member.name, words)
        self.failed.forget(member.host)
        self._roster.tell(member.host)

    def check(self, member: Member) -> None:
        """Raises `Refused` if it has no known address, or another host has the same one and would be cut off, too."""
        if not member.clients:
            raise Refused(
                Problem.NO_BLOCKLIST,
                f"{member.name} has no pool on RBD, or has not yet reported its address in the cluster: "
                "nothing can be blocklisted",
                field="host",
            )
        for other in self._roster:
            for mpid, addresses in other.clients.items() if other.host != member.host else ():
                if same := set(addresses[:1]) & set(member.clients.get(mpid, ())):
                    raise Refused(
                        Problem.NO_BLOCKLIST,
                        f"the cluster of pool {mpid} knows {other.name} by the same address, {same.pop()}, as of hosts "
                        "behind one router: both would be blocklisted",
                        field="host",
                    )

    async def _blocklist(
        self, addresses: Mapping[int, tuple[str, ...]], vms: Sequence[VmWrites]
    ) -> tuple[dict[int, dict[MediaRef, str]], list[str]]:
        """Blocklist these addresses, by pool.

        Returns, for each pool that did so, the address at which each object is still open (empty: it is not); and why
        the other pools did not.
        """

        async def one(mpid: int) -> dict[MediaRef, str]:
            refs = tuple(dict.fromkeys(ref for vm in vms for ref in vm.objects if ref.pool == mpid))
            left = await self._disks.pools.blocklist(mpid, addresses[mpid], refs, deadline=DEADLINE)
            return dict(zip(refs, left, strict=True))

        answers = await asyncio.gather(*map(one, addresses), return_exceptions=True)
        done, refused = {}, []
        for mpid, answer in zip(addresses, answers, strict=True):
            if isinstance(answer, Refused):
                refused.append(f"pool {mpid}: {answer.message}")
            elif isinstance(answer, BaseException):
                raise answer
            else:
                done[mpid] = answer
        return done, refused

    async def lift(self) -> None:
        """Take the hosts off the blocklist that answer again. A failure is tried again later."""
        for host in list(self._disks.blocklisted):
            turn = self._turns[host]
            if turn.locked() or not self._disks.answers(host) or self.lifting.waits(host):
                continue
            async with turn:
                await self._lift(self._roster.get(host))

    async def _lift(self, member: Member) -> None:
        try:
            for mpid, addresses in self._disks.blocklisted[member.host].addresses.items():
                await self._disks.give_up(member.host, mpid)
                await self._disks.pools.take_off_blocklist(mpid, addresses, deadline=DEADLINE)
            await self._disks.off_blocklists(member.host)
        except Refused as refused:
            log.warning("%s cannot be taken off the blocklist yet: %s", member.name, refused.message)
            self.lifting.note(member.host, refused.message)
        else:
            log.info("%s is on no blocklist any more", member.name)
            self.lifting.forget(member.host)
            self._noted("unblock_node", member.host)
        self._roster.tell(member.host)


def _lacks(vm: VmWrites, mpids: Collection[int]) -> str:
    """Why blocklisting its host in these pools cannot free this VM; empty if it can."""
    if vm.obstacle:
        return vm.obstacle
    if not vm.objects:
        return "it writes to no disk, so a blocklist has no effect on it"
    elsewhere = sorted({ref.pool for ref in vm.objects} - set(mpids))
    return f"it may also write to pool {elsewhere[0]}, where its host is not blocklisted" if elsewhere else ""


def _open(vm: VmWrites, watched: Mapping[int, Mapping[MediaRef, str]]) -> str:
    """That one of its disks is still open for writing, and where; empty if none is."""
    found = next((at for ref in vm.objects if (at := watched[ref.pool][ref])), "")
    return f"a disk of it is open to write at {found}" if found else ""
