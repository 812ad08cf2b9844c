"""What a dead or blocklisted host means for its VMs: their runs have ended, and they start on other hosts."""

from __future__ import annotations

import logging
import shlex
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType
from uuid import UUID

from velocity.access.naming import for_everybody, for_the_server
from velocity.contract.machines import Reason
from velocity.contract.problems import Problem, Refused
from velocity.hypervisor.port import HostId, Unknown
from velocity.machines.hosts.evacuated import HOST_LOST, Death, Evacuated
from velocity.machines.hosts.watched import WatchedHosts
from velocity.machines.placement.rules import Candidate, Wanted, place
from velocity.machines.rules import Machine
from velocity.machines.run.life import Life
from velocity.machines.settings.builder import Builder
from velocity.machines.settings.claims import Claims

log = logging.getLogger(__name__)

NONE_ASKED: Mapping[HostId, int] = MappingProxyType({})


class Evacuation:
    """Ends runs on lost hosts, and chooses the host of a start.

    `carried` says what of a VM's own is available elsewhere; `clock` is in Unix seconds.
    """

    def __init__(
        self,
        evacuated: Evacuated,
        hosts: WatchedHosts,
        builder: Builder,
        claims: Claims,
        carried: Callable[[Machine], str],
        clock: Callable[[], float],
    ) -> None:
        self.evacuated = evacuated
        self._hosts = hosts
        self._builder = builder
        self._claims = claims
        self._carried = carried
        self._clock = clock

    def reason(self, vm: Life) -> Reason | None:
        """Why its run has ended; None if it has not."""
        if not self.evacuated.is_over(vm.who):
            return None
        with for_everybody():
            since, words = self._lost(vm.who.host)
            if self.evacuated.is_freed(vm.who):
                words += self._whither(vm.machine)
        return Reason(cause=HOST_LOST, message=words, since=since)

    def _lost(self, host: HostId) -> tuple[int, str]:
        """Since when the host is lost, and how; not by whom, as whoever sees the VM may not see users."""
        called = self._hosts.attached.called(host)
        if (death := self.evacuated.dead.get(host)) is not None:
            return death.at, f"{called} was confirmed dead"
        if (listed := self.evacuated.blocklisted.get(host)) is not None:
            return listed.at, f"{called} does not answer, and was blocklisted on Ceph"
        return int(self._clock()), f"{called} was lost"

    async def place(self, vm: Life) -> HostId:
        """The host on which to start it: of a lost one, another that has as much memory free.

        Raises `Refused` if its host is lost and no other can have it, or has not been taken back, or if it runs
        elsewhere.
        """
        machine = vm.machine
        self._check_runs_nowhere_else(vm)
        if not self.evacuated.is_freed(vm.who):
            self._check_taken_back(vm)
            return machine.host
        free: dict[HostId, int] = {}
        silent: list[HostId] = []
        try:
            while (host := self._elsewhere(machine, free, silent)) not in free:
                try:
                    free[host] = await self._builder.memory.free(host, machine.uuid)
                except Unknown:
                    silent.append(host)
            return host
        except Refused as refused:
            if silent:
                return silent[0]  # the code that prepares the start says so
            called = self._hosts.attached.called(machine.host)
            how = "confirmed dead" if machine.host in self.evacuated.dead else "lost, and blocklisted on Ceph"
            words = f"{vm.called} is on {called}, which is {how}: {refused.message}"
            raise Refused(Problem.HYPERVISOR, words) from None

    def _check_taken_back(self, vm: Life) -> None:
        host, hosts = vm.machine.host, self._hosts.attached
        if host in self.evacuated.blocklisted and host not in hosts.silent:
            why = (
                f"`velocity node show {shlex.quote(hosts.name(host) or f'id:{host}')}` says why"
                if hosts.named()
                else "ask an administrator of the hosts"
            )
            raise Refused(
                Problem.NOT_FROM_THIS_STATE,
                f"{vm.called} is on {hosts.called(host)}, which {self.evacuated.how_lost(host)} and has not been taken "
                f"back yet: {why}",
            )

    def _check_runs_nowhere_else(self, vm: Life) -> None:
        """A run unknown to the database, which may be an older copy, may be of a VM that was moved since."""
        machine = vm.machine
        for host, watched in self._hosts.by_id.items():
            if host == machine.host or host in self.evacuated.dead:
                continue
            if any(who.machine == machine.uuid for who in watched.observer.unknown):
                raise Refused(
                    Problem.HYPERVISOR,
                    f"{vm.called} runs on {self._hosts.attached.called(host)}, where this database does not "
                    "know it: shut its guest down (`velocity doctor` on that host names its process), then start it",
                )

    def _elsewhere(
        self, machine: Machine, free: Mapping[HostId, int] = NONE_ASKED, silent: Collection[HostId] = ()
    ) -> HostId:
        """What other hosts lack goes to the log: a VM's reason is read by people who may not see hosts.

        `free`: of those that were asked, the memory that is free there, in MiB. `silent` have not answered.
        """
        spec = machine.spec
        candidates = (one for one in self._hosts.candidates() if not one.lost and one.host not in silent)
        alive = [replace(one, free=free.get(one.host)) for one in candidates]
        pools = self._builder.reach.pools(spec)
        there = {mpid for one in alive for mpid in one.pools}
        stays = next((name for mpid, name in pools.items() if mpid not in there), None)
        if stays is not None:
            raise Refused(Problem.NO_HOST, f"{stays} is on no other host, so it starts only when that host is back")
        beside = self._claims.neighbours(machine.gid, spec)
        wanted = Wanted(spec, pools, kept=True, beside=beside, starts=True)
        try:
            return place(alive, wanted).host
        except Refused:
            self._log(machine, alive, wanted)
            return place(alive, replace(wanted, told=False)).host

    def _log(self, machine: Machine, alive: Sequence[Candidate], wanted: Wanted) -> None:
        """Log what each of these hosts lacks."""
        with for_the_server():
            pools = self._builder.reach.pools(machine.spec)
        try:
            place(alive, replace(wanted, pools=pools))
        except Refused as refused:
            log.warning("vm %d: %s", machine.vmid, refused.message)

    async def confirm(self, host: HostId, by: str) -> None:
        """The host's VMs become STOPPED, and may be started elsewhere. Raises `Refused`, and has then changed nothing.

        The caller guarantees that nothing runs there.
        """
        death = Death(int(self._clock()), by)
        told = Reason(cause=HOST_LOST, message="its host was confirmed dead", since=death.at)
        await self.evacuated.confirm(host, death, told)
        with for_the_server():
            log.warning("%s was confirmed dead by %s", self._hosts.attached.called(host), by)
        watched = self._hosts.by_id.get(host)
        for keeper in list(watched.keepers.values()) if watched else ():
            keeper.mark_unknown()  # their runs are known to have ended now
        self._hosts.doubt(host, "confirmed dead")  # what it has reported before must not be taken for its return

    async def confirm_some(self, host: HostId, machines: Collection[UUID], by: str) -> None:
        """As `confirm`, for VMs that can no longer write to any of their disks, whether they still run or not."""
        now = int(self._clock())
        with for_everybody():
            since, words = self._lost(host)
        await self.evacuated.confirm_some(host, machines, now, Reason(cause=HOST_LOST, message=words, since=since))
        with for_the_server():
            called = self._hosts.attached.called(host)
            log.warning("%s was blocklisted on Ceph by %s, which ended %d of its VMs", called, by, len(machines))
        watched = self._hosts.by_id.get(host)
        for keeper in list(watched.keepers.values()) if watched else ():
            if keeper.machine.uuid in machines:
                keeper.mark_unknown()
        self._hosts.doubt(host, "blocklisted")

    def _whither(self, machine: Machine) -> str:
        try:
            self._elsewhere(machine)
        except Refused as refused:
            return f"; it cannot be started elsewhere: {refused.message}"
        return f": a start brings it to another host{self._carried(machine)}"

    async def returned(self, host: HostId) -> bool:
        """The host responds, and runs nothing that has ended. Returns whether it was dead until now."""
        if host not in self.evacuated.dead:
            return False
        try:
            await self.evacuated.returned(host)
        except Refused as refused:
            log.warning("the return of %s is not stored yet: %s", self._hosts.attached.called(host), refused)
            self._hosts.doubt(host, "its return could not be stored")  # to be noticed again, and stored
            return False
        log.info("%s has returned", self._hosts.attached.called(host))
        return True
