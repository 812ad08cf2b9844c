"""Whether a VM's host has its host NICs and pools, and may start it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from uuid import UUID

from velocity.access.sessions import Caller
from velocity.contract.machines import NicType
from velocity.contract.problems import Problem, Refused
from velocity.hypervisor.attached import AttachedHosts, Duty
from velocity.hypervisor.port import HostId
from velocity.machines.rules import Machine, Spec
from velocity.media.library import Library
from velocity.media.rules import Medium
from velocity.storage.port import MediaRef


class Reach:
    """Compares specifications with what hosts have."""

    def __init__(self, hosts: AttachedHosts, library: Library) -> None:
        self.hosts = hosts
        self._library = library

    def nics(self, host: HostId) -> Mapping[int, str]:
        """The host NICs declared there: nicid -> identifier."""
        one = self.hosts.by_id.get(host)
        return {} if one is None else one.nics

    def pools(self, spec: Spec, seen_by: tuple[Caller, int] | None = None) -> dict[int, str]:
        """The pools of attached media, each with the name of one medium.

        `seen_by`: raises `Refused` for media that this user may not attach to a VM of the group.
        """
        if seen_by is not None:
            for one in spec.media:
                self._library.visible(*seen_by, one.mid)
        return {medium.mpid: self._library.visible_name(medium) for _, medium in self._media(spec)}

    def refs(self, mids: Iterable[UUID]) -> tuple[MediaRef, ...]:
        """The objects of these media, as far as they are known."""
        return tuple(medium.ref for mid in mids if (medium := self._library.find(mid)) is not None)

    def _media(self, spec: Spec) -> Iterator[tuple[int, Medium]]:
        for number, one in enumerate(spec.media):
            if (medium := self._library.find(one.mid)) is not None:
                yield number, medium

    def check(self, spec: Spec, has: Spec | None, host: HostId) -> None:
        """Raises `Refused` for host NICs and new media that are not there."""
        for number, nic in enumerate(spec.nics):
            if nic.type == NicType.BRIDGE.value and isinstance(nic.host, int) and nic.host not in self.nics(host):
                raise Refused(
                    Problem.NIC_NOT_FOUND,
                    f"there is no host NIC {nic.host}{self._there(host)} (`velocity nic list`, POST /v/nic/list, lists "
                    "them)",
                    field=f"nics[{number}].host",
                )
        if not self.hosts.many:
            return
        had = {one.mid for one in has.media} if has else set()
        for number, medium in self._media(spec):
            if medium.mid not in had and (words := self._elsewhere(medium, host)):
                raise Refused(Problem.NO_HOST, words, field=f"media[{number}].mid")

    def stays(self, host: HostId) -> bool:
        """Whether it is there, and is not being removed."""
        return host in self.hosts.by_id and host not in self.hosts.leaving

    def check_there(self, machine: Machine, wanted: int | None, vm: str) -> None:
        """Raises `Refused`, which calls it `vm`, if its host is gone, or is not the wanted one."""
        if not self.stays(machine.host):
            raise Refused(
                Problem.NO_HOST,
                f"{vm} was on a host that is gone (host {machine.host}): name another one (`host`), or "
                "attach that host again",
                field="host",
            )
        if wanted is not None and wanted != machine.host:
            raise Refused(
                Problem.NO_HOST,
                f"{vm} is on {self.hosts.called(machine.host)}, where its firmware variables are: leave "
                "the host out, and move it when it is there",
                field="host",
            )

    def check_start(self, machine: Machine) -> None:
        """Raises `Refused` if its host starts no VMs, or lacks what it needs for a start."""
        one = self.hosts.by_id.get(machine.host)
        if one is not None and one.duty is Duty.MAINTENANCE:
            raise Refused(
                Problem.NOT_FROM_THIS_STATE,
                f"{self.hosts.called(one.host)} is in maintenance and starts no VMs: end that first, or have the VM "
                "elsewhere",
            )
        if self.hosts.many:
            for _, medium in self._media(machine.spec):
                if words := self._elsewhere(medium, machine.host):
                    raise Refused(Problem.POOL_AWAY, words)

    def _elsewhere(self, medium: Medium, host: HostId) -> str:
        """That a medium is on another host; empty if it is not, or that is not known."""
        at = self.hosts.host_of(medium.mpid)
        if at is None or not self.hosts.pool_hosts.lacks(host, medium.mpid):
            return ""
        if self.hosts.pool_hosts.is_shared(medium.mpid):
            return (
                f"{self._library.visible_name(medium)} is in a shared pool that {self.hosts.called(host)}, where the "
                "VM is, does not have: declare it there, with its storage in reach, or use a medium of another pool"
            )
        return (
            f"{self._library.visible_name(medium)} is on {self.hosts.called(at)}, and the VM on "
            f"{self.hosts.called(host)}: move the medium into a pool there first, or use another one"
        )

    def _there(self, host: HostId) -> str:
        return f" on {self.hosts.called(host)}" if self.hosts.many else ""
