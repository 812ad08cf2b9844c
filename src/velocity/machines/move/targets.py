"""Where a VM could move to: what each host lacks, and the pools for its media."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

from msgspec import structs

from velocity.access.directory import Directory
from velocity.access.naming import sees_hosts
from velocity.access.sessions import Caller
from velocity.contract.machines import NicType, State
from velocity.contract.permissions import Permission
from velocity.contract.problems import Problem, Refused
from velocity.hypervisor.port import HostId, Hosts, Unknown
from velocity.machines import rules
from velocity.machines.placement.rules import NAMED, Candidate, Neighbours, Wanted, cannot, cannot_live, lacks, place
from velocity.machines.run.keeper import Keeper
from velocity.machines.service import Fleet
from velocity.media.assignments import Assignments
from velocity.media.attachments import Attachments
from velocity.media.library import Library
from velocity.media.quotas import PoolQuotas
from velocity.media.room import Room
from velocity.media.rules import Medium
from velocity.media.states import PoolStates

Planned = Sequence[tuple[Keeper, HostId]]
"""VMs that would have moved before, each with where to."""
Pairs = Sequence[tuple[Medium, Medium]]
"""The media that move along: as they are now, and as they will be."""


@dataclass(frozen=True)
class Target:
    """A host, why a VM cannot move to it (empty: it can), and the media that would move along.

    `told`: whether also callers who may not see hosts are told why.
    """

    host: HostId
    name: str
    lacks: str
    media: Pairs = ()
    told: bool = False


class Targets:
    """Compares a VM with all hosts."""

    def __init__(
        self,
        fleet: Fleet,
        hosts: Hosts,
        directory: Directory,
        library: Library,
        attachments: Attachments,
        assignments: Assignments,
        quotas: PoolQuotas,
        states: PoolStates,
        room: Room,
    ) -> None:
        self._fleet = fleet
        self._hosts = hosts
        self._directory = directory
        self._library = library
        self._attachments = attachments
        self._assignments = assignments
        self._quotas = quotas
        self._states = states
        self._room = room

    async def all(self, keeper: Keeper) -> list[Target]:
        """All hosts except its own; for callers who may not see hosts, only those that can run it."""
        wanted = self._wanted(keeper)
        found = [await self._look(keeper, one, wanted) for one in self._others(keeper)]
        return found if sees_hosts(self._directory) else [one for one in found if not one.lacks]

    def _others(self, keeper: Keeper, planned: Planned = ()) -> list[Candidate]:
        given: Counter[HostId] = Counter()
        for one, host in planned:
            given[host] += self._fleet.builder.claim(one.machine, one.progress.run).amount.memory_mib
        others = (one for one in self._fleet.hosts.candidates() if one.host != keeper.machine.host)
        return [replace(one, given=one.given + given[one.host]) for one in others]

    async def _look(self, keeper: Keeper, one: Candidate, wanted: Wanted) -> Target:
        why = lacks(one, wanted) or self._cannot_live(keeper, one)
        if why:
            return Target(one.host, one.name, why)
        try:
            return Target(one.host, one.name, "", await self.media(keeper, one, None))
        except Refused as refused:
            return Target(one.host, one.name, refused.message, told=True)

    async def find(self, keeper: Keeper, host: int, mpid: int | None) -> Target:
        """The requested host. Raises `Refused` with what it lacks."""
        one = next((one for one in self._fleet.hosts.candidates() if one.host == host), None)
        if one is None:
            words = f"there is no host {host}: {self._named(keeper)}"
            raise Refused(Problem.HOST_NOT_FOUND, words, field="host")
        if one.host == keeper.machine.host:
            words = f"{keeper.called} is on {self._called(one.host)} already: {self._named(keeper)}"
            raise Refused(Problem.NO_HOST, words, field="host")
        self.check(keeper, one.host)
        return Target(one.host, one.name, "", await self.media(keeper, one, mpid))

    def check(self, keeper: Keeper, host: HostId) -> None:
        """Raises `Refused` with what the host lacks, except pools. Called in the step that claims its memory."""
        one = next((one for one in self._fleet.hosts.candidates() if one.host == host), None)
        if one is None:
            raise Refused(Problem.NO_HOST, f"host {host} has been removed: choose another one", field="host")
        if why := cannot(one, self._wanted(keeper)) or self._cannot_live(keeper, one):
            told = f": {why}" if sees_hosts(self._directory) else ""
            words = f"{self._called(one.host)} cannot have it{told}; choose another one"
            raise Refused(Problem.NO_HOST, words, field="host")

    def _called(self, host: HostId) -> str:
        return self._fleet.hosts.attached.called(host)

    def _label(self, one: Candidate) -> str:
        return repr(one.name) if sees_hosts(self._directory) else f"host {one.host}"

    def _named(self, keeper: Keeper) -> str:
        if not sees_hosts(self._directory):
            return "ask an administrator of the hosts"
        others = self._others(keeper)
        named = ", ".join(f"{one.name} ({one.host})" for one in others[:NAMED])
        return f"it can move to {named}" if named else "there is no other one"

    async def best(self, keeper: Keeper, planned: Planned = ()) -> Target:
        """The best of the other hosts, once what is `planned` is done. Raises `Refused` with what each lacks.

        The chosen host is asked for its free memory; if that is too little, the next best one is chosen.
        """
        lacking: list[str] = []
        sees = sees_hosts(self._directory)
        fit: dict[HostId, tuple[Candidate, Target]] = {}
        wanted = self._wanted(keeper, planned)
        for one in self._others(keeper, planned):
            found = await self._look(keeper, one, wanted)
            if not found.lacks:
                fit[one.host] = (one, found)
            elif sees or found.told:
                lacking.append(f"{self._label(one)}: {found.lacks}")
        while fit:
            one, found = fit.pop(place([one for one, _ in fit.values()], self._wanted(keeper, planned)).host)
            try:
                await self.check_memory(keeper, found, planned)
            except Refused as refused:
                lacking.append(f"{self._label(one)}: {refused.message}")
            else:
                return found
        if not sees and not lacking:
            raise Refused(Problem.NO_HOST, "no other host can have it: ask an administrator of the hosts")
        more = f"; and {len(lacking) - NAMED} more" if len(lacking) > NAMED else ""
        raise Refused(Problem.NO_HOST, f"no other host can have it: {'; '.join(lacking[:NAMED])}{more}")

    async def check_memory(self, keeper: Keeper, target: Target, planned: Planned = ()) -> None:
        """Check that the target has the memory for the VM, if it runs, beside what comes there. Raises `Refused`."""
        run = keeper.progress.run
        if run is None:
            return
        try:
            free = await self._fleet.builder.memory.free(target.host, keeper.machine.uuid)
        except Unknown as error:
            raise Refused(Problem.NO_HOST, f"{error}: nothing was moved; try again later", field="host") from None
        free -= sum(one.progress.run.memory_mib for one, host in planned if host == target.host and one.progress.run)
        if run.memory_mib > free:
            left = f"{max(0, free)} MiB" if sees_hosts(self._directory) else "less"
            raise Refused(
                Problem.MEMORY_SHORT,
                f"{keeper.called} runs with {run.memory_mib} MiB of memory, and {self._called(target.host)} has "
                f"{left} free for it: stop another VM there, or choose another host",
                field="host",
            )

    def _wanted(self, keeper: Keeper, planned: Planned = ()) -> Wanted:
        """What it needs: the larger of its settings and those of its run; no pools, as its media move along."""
        spec, run = keeper.machine.spec, keeper.progress.run
        if run is not None:
            spec = structs.replace(
                spec,
                cpus=max(spec.cpus, run.cpus),
                memory_mib=max(spec.memory_mib, run.memory_mib),
                nics=[*spec.nics, *run.nics],
                machine_type=run.machine_type,
                firmware=run.firmware,
                hardware=run.hardware,
                cpu=run.cpu,
            )
        beside = self._fleet.claims.neighbours(keeper.gid, spec)
        near = [(one.machine.spec, host) for one, host in planned if one.gid == keeper.gid]
        apart = Counter(host for one, host in near if spec.spread and one.spread == spec.spread)
        together = Counter(host for one, host in near if spec.together and one.together == spec.together)
        beside = Neighbours(apart + Counter(beside.apart), together + Counter(beside.together))
        return Wanted(spec, {}, kept=True, beside=beside)

    def _cannot_live(self, keeper: Keeper, one: Candidate) -> str:
        run = keeper.progress.run
        if run is None:
            return ""
        source = self._hosts.about(keeper.machine.host)
        nat = bool(run.nat_places) and any(nic.type == NicType.NAT.value for nic in run.nics)
        return cannot_live(run, source, one.facts, nat=nat and rules.on_bridge(run, source))

    # Media

    async def media(self, keeper: Keeper, one: Candidate, mpid: int | None) -> Pairs:
        """The media that move along, each with the pool that it goes to. Raises `Refused`."""
        if mpid is not None and mpid not in one.pools:
            named = ", ".join(map(str, sorted(one.pools))) or "none"
            told = f", which has: {named}" if sees_hosts(self._directory) else ": leave it out"
            words = f"pool {mpid} is not on {self._called(one.host)}{told}"
            raise Refused(Problem.POOL_NOT_FOUND, words, field="mpid")
        pairs: list[tuple[Medium, Medium]] = []
        for medium in self._attached(keeper):
            if medium.mpid in one.pools:
                continue
            self._check_own(keeper, medium)
            taken = [new for _, new in pairs]
            pairs.append((medium, replace(medium, mpid=mpid or await self._pool_for(keeper, medium, one, taken))))
        if mpid is not None:
            for old, _ in pairs:
                self._check_pool(keeper, old, mpid)
        return pairs

    def _attached(self, keeper: Keeper) -> list[Medium]:
        """The media that are attached to it, and those of its run."""
        found = (self._library.find(mid) for mid in self._fleet.claims.media(keeper.machine.uuid))
        return sorted((one for one in found if one is not None), key=lambda one: (one.name, one.mid))

    def _check_own(self, keeper: Keeper, medium: Medium) -> None:
        """Raises `Refused` if other VMs use the medium, too: they would lose it."""
        for holder in self._attachments.attached_vms(medium.mid):
            if holder.vmid != keeper.machine.vmid:
                raise Refused(
                    Problem.MEDIUM_ATTACHED,
                    f"{self._library.visible_name(medium)} would move with it, and is attached to "
                    f"{self._attachments.visible_name(holder)}, too: detach it from one of the two first",
                    field="host",
                )

    def _writes(self, keeper: Keeper, medium: Medium) -> bool:
        specs = [keeper.machine.spec, *([keeper.progress.run] if keeper.progress.run else [])]
        return any(one.mid == medium.mid and not one.readonly for spec in specs for one in rules.media_of(spec))

    async def _pool_for(self, keeper: Keeper, medium: Medium, one: Candidate, taken: Sequence[Medium]) -> int:
        """The pool of the host with the most space, of those that can have the medium. Raises `Refused`."""
        rooms: dict[int, int] = {}
        why = "it has no pool"
        for mpid in one.pools:
            try:
                rooms[mpid] = await self._room_in(mpid, keeper, medium, taken)
            except Refused as refused:
                why = refused.message
        if not rooms:
            raise Refused(
                Problem.POOL_QUOTA,
                f"no pool of {self._called(one.host)} can have {self._library.visible_name(medium)}: {why}",
                field="host",
            )
        return max(rooms, key=lambda mpid: rooms[mpid])

    async def _room_in(self, mpid: int, keeper: Keeper, medium: Medium, taken: Sequence[Medium]) -> int:
        """The bytes that are free in the pool beside `taken`. Raises `Refused` with what it lacks."""
        self._check_pool(keeper, medium, mpid)
        now = await self._states.look(mpid)
        if now.state != "online":
            raise Refused(Problem.POOL_AWAY, now.message)
        coming = sum(each.size for each in taken if each.mpid == mpid)
        left = self._quotas.left(medium.gid, mpid)
        if left is not None and left < medium.size + coming:
            raise Refused(Problem.POOL_QUOTA, f"the quota in pool {mpid} does not suffice")
        return await self._room.check(mpid, medium.size + coming) - coming

    def _check_pool(self, keeper: Keeper, medium: Medium, mpid: int) -> None:
        """Raises `Refused` unless the medium's group manages the pool, and may write there if the VM does."""
        assignment = self._assignments.of(medium.gid, mpid)
        if assignment is None or not assignment.manage or (self._writes(keeper, medium) and not assignment.write):
            lacking = "`manage`" if assignment is None or not assignment.manage else "`write`"
            raise Refused(
                Problem.POOL_NOT_MANAGED,
                f"{self._directory.path(medium.gid)} does not have pool {mpid} with {lacking}: ask an administrator "
                "to assign it, or choose another pool",
                field="mpid",
            )

    def check_rights(self, caller: Caller, media: Pairs) -> None:
        """Raises `Refused` unless the caller may move these."""
        for old, _ in media:
            for permission in (Permission.MEDIA_REMOVE, Permission.MEDIA_CREATE):
                if not self._directory.holds(caller.uid, permission, old.gid):
                    raise Refused(
                        Problem.NO_PERMISSION,
                        f"{self._library.visible_name(old)} would move with it, which needs {permission.value} on "
                        f"{self._directory.called(caller.uid, old.gid)}: ask someone who can assign it there",
                        field="vmid",
                    )


def check_steady(keeper: Keeper) -> None:
    """Raises `Refused` if the VM cannot move in its present state."""
    vm = keeper.called
    keeper.passage.check_not_moving()
    if keeper.unreachable_since is not None or keeper.doubtful:
        raise Refused(Problem.NOT_FROM_THIS_STATE, f"{vm} does not respond: wait until its host does", field="vmid")
    if keeper.state is State.PAUSED:
        words = f"{vm} is PAUSED: resume it, or stop it, then move it"
        raise Refused(Problem.NOT_FROM_THIS_STATE, words, field="vmid")
    if keeper.state not in (State.STOPPED, State.RUNNING) or keeper.progress.restarts:
        words = f"{vm} is {keeper.state.value}: wait until it is RUNNING or STOPPED"
        raise Refused(Problem.NOT_FROM_THIS_STATE, words, field="vmid")
    run = keeper.progress.run
    if run is not None and (run.mirrored or keeper.mirroring):
        words = f"a disk of {vm} is being moved or converted: wait until that has ended, or cancel it"
        raise Refused(Problem.MEDIUM_IN_USE, words, field="vmid")
