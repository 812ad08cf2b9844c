"""What a host confirmed dead means for its VMs: their runs are over, and a start finds another host."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import replace

from velocity.contract.machines import Reason
from velocity.contract.problems import Problem, Refused
from velocity.hypervisor.port import HostId
from velocity.machines.builder import Builder
from velocity.machines.claims import Claims
from velocity.machines.evacuated import HOST_LOST, Death, Evacuated
from velocity.machines.life import Life
from velocity.machines.placement import Wanted, place
from velocity.machines.rules import Machine
from velocity.machines.watched import WatchedHosts

log = logging.getLogger(__name__)


class Evacuation:
    """Ends what is over, and says where a VM is started.

    `carried` says what of its own a VM has elsewhere; `clock` is in Unix seconds.
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
        """Why its run is over; None: it is not."""
        if not self.evacuated.is_over(vm.who):
            return None
        death = self.evacuated.dead.get(vm.who.host)
        by = f" by {death.by}" if death else ""
        words = f"{self._hosts.attached.called(vm.who.host)} was confirmed dead{by}"
        if death is not None:
            words += self._whither(vm.machine)
        return Reason(cause=HOST_LOST, message=words, since=death.at if death else int(self._clock()))

    def place(self, machine: Machine) -> HostId:
        """Where a start of it takes place.

        Raises `Refused` where its own host is dead, and no other can have it, and where it runs elsewhere.
        """
        self._check_runs_nowhere_else(machine)
        if machine.host not in self.evacuated.dead:
            return machine.host
        try:
            return self._elsewhere(machine)
        except Refused as refused:
            dead = self._hosts.attached.called(machine.host)
            words = f"VM {machine.name!r} is on {dead}, which is confirmed dead: {refused.message}"
            raise Refused(Problem.HYPERVISOR, words) from None

    def _check_runs_nowhere_else(self, machine: Machine) -> None:
        """A run that the database does not know, as it is a copy of before, may be of a VM that was moved since."""
        for host, watched in self._hosts.by_id.items():
            if host == machine.host or host in self.evacuated.dead:
                continue
            if any(who.machine == machine.uuid for who in watched.observer.unknown):
                raise Refused(
                    Problem.HYPERVISOR,
                    f"VM {machine.name!r} runs on {self._hosts.attached.called(host)}, where this database does not "
                    "know it: shut its guest down (`velocity doctor` on that host names its process), then start it",
                )

    def _elsewhere(self, machine: Machine) -> HostId:
        """What each host lacks is for the log: a VM's reason is read by people who are to see no hosts."""
        spec, dead = machine.spec, self.evacuated.dead
        alive = [one for one in self._hosts.candidates() if one.host not in dead]
        pools = self._builder.reach.pools(spec)
        there = {mpid for one in alive for mpid in one.pools}
        stays = next((name for mpid, name in pools.items() if mpid not in there), None)
        if stays is not None:
            raise Refused(Problem.NO_HOST, f"{stays} is on no other host, so it starts only when that host is back")
        beside = self._claims.spread(machine.gid, spec.spread) if spec.spread else {}
        wanted = Wanted(spec, pools, kept=True, beside=beside, starts=True)
        try:
            return place(alive, wanted).host
        except Refused as refused:
            log.warning("vm %d: %s", machine.vmid, refused.message)
            return place(alive, replace(wanted, told=False)).host

    async def confirm(self, host: HostId, by: str) -> None:
        """Its VMs are STOPPED, and may be started elsewhere. Raises `Refused`, and then nothing has changed.

        Whoever asks answers for it that nothing runs there.
        """
        death = Death(int(self._clock()), by)
        told = Reason(cause=HOST_LOST, message=f"its host was confirmed dead by {by}", since=death.at)
        await self.evacuated.confirm(host, death, told)
        log.warning("%s was confirmed dead by %s", self._hosts.attached.called(host), by)
        watched = self._hosts.by_id.get(host)
        for keeper in list(watched.keepers.values()) if watched else ():
            keeper.mark_unknown()  # it is known by now: it is over
        self._hosts.doubt(host, "confirmed dead")  # what it told before is not to be taken for its return

    def _whither(self, machine: Machine) -> str:
        try:
            self._elsewhere(machine)
        except Refused as refused:
            return f"; it cannot be started elsewhere: {refused.message}"
        return f": a start gives it to another host{self._carried(machine)}"

    async def returned(self, host: HostId) -> bool:
        """It answers, and nothing runs there that is over. Whether it was dead until now."""
        if host not in self.evacuated.dead:
            return False
        try:
            await self.evacuated.returned(host)
        except Refused as refused:
            log.warning("that %s has returned is not written yet: %s", self._hosts.attached.called(host), refused)
            self._hosts.doubt(host, "its return could not be written down")  # it is found again, and written then
            return False
        log.info("%s has returned", self._hosts.attached.called(host))
        return True
