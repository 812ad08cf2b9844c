"""Port forwards: which are allowed, whose they are, and which a run has."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any
from uuid import UUID

from msgspec import UNSET, structs

from velocity.access.rules import common
from velocity.contract.machines import NicType
from velocity.contract.problems import Problem, Refused
from velocity.contract.vm_settings import Forward
from velocity.hypervisor.port import ForwardSpec, HostFacts, MachineSpec, NatSpec, NicSpec
from velocity.hypervisor.waits import NO_NIC_YET
from velocity.machines.rules import Spec

NAT = NicType.NAT.value


@dataclass(frozen=True)
class AllowedPorts:
    """The host ports that may be forwarded: `ports`, except those that the server itself listens on by TCP.

    `why` there are no others.
    """

    ports: range
    own: Collection[int] = ()
    why: str = "the setting forward_ports"

    def within(self, quota: range | None) -> AllowedPorts:
        """Those of them that a group's quota allows."""
        if quota is None:
            return self
        return replace(
            self, ports=common(self.ports, quota), why="the quota of the group, and the setting forward_ports"
        )


def asked(one: Forward) -> ForwardSpec:
    """The forward, for the hypervisor."""
    address = "" if one.host_address is UNSET else one.host_address
    return ForwardSpec(one.host_port, one.guest_port, one.protocol, address)


def told(one: ForwardSpec) -> Forward:
    """The forward, from the hypervisor."""
    return Forward(one.host_port, one.guest_port, one.protocol, one.host_address or UNSET)


def words(one: Forward) -> str:
    """The host's address and port, in words."""
    address = "" if one.host_address is UNSET else f"{one.host_address}:"
    return f"{address}{one.host_port}/{one.protocol}"


def first_nat(spec: Spec) -> int | None:
    """The id of the NIC that forwards lead to; None if it has none."""
    return next((one.id for nic, one in zip(spec.nics, spec.interfaces, strict=True) if nic.type == NAT), None)


def check(spec: Spec, has: Spec | None, allowed: AllowedPorts) -> None:
    """Refuse forwards that are not allowed, except existing ones. Raises `Refused`."""
    if not any(nic.type == NAT for nic in spec.nics):
        raise Refused(
            Problem.NO_NAT_NIC,
            "forwards lead to a VM's first NAT NIC, and this VM has none: add one, or leave out `forwards`; a guest on "
            "BRIDGE has an address of its own",
            field="forwards",
        )
    had = has.forwards if has else []
    for place, one in enumerate(spec.forwards):
        if any(_overlap(one, other) for other in spec.forwards[:place]):
            raise Refused(
                Problem.PORT_TAKEN,
                f"the port {words(one)} of the host is forwarded twice: choose another for one of them",
                field=f"forwards[{place}].host_port",
            )
        if one not in had:
            _check_allowed(one, place, allowed)


def _check_allowed(one: Forward, place: int, allowed: AllowedPorts) -> None:
    field = f"forwards[{place}].host_port"
    if not allowed.ports:
        raise Refused(
            Problem.PORT_NOT_ALLOWED, f"no port of this host may be forwarded here ({allowed.why})", field=field
        )
    first, last = allowed.ports[0], allowed.ports[-1]
    if one.host_port not in allowed.ports:
        raise Refused(
            Problem.PORT_NOT_ALLOWED,
            f"the port {one.host_port} of the host may not be forwarded: choose one of {first} to {last} "
            f"({allowed.why})",
            field=field,
        )
    if one.protocol == "tcp" and one.host_port in allowed.own:
        raise Refused(
            Problem.PORT_NOT_ALLOWED,
            f"the server itself listens on the port {one.host_port} of the host: choose another of {first} to {last}",
            field=field,
        )


def _overlap(one: Forward, other: Forward) -> bool:
    """Whether they have a port of the host and its address in common."""
    same = (one.protocol, one.host_port) == (other.protocol, other.host_port)
    return same and (UNSET in (one.host_address, other.host_address) or one.host_address == other.host_address)


class TakenPorts:
    """The host ports that VMs have."""

    def __init__(self) -> None:
        self._holders: dict[tuple[str, int], list[tuple[UUID, Forward]]] = {}

    def put(self, uuid: UUID, forwards: Iterable[Forward]) -> None:
        for one in forwards:
            self._holders.setdefault((one.protocol, one.host_port), []).append((uuid, one))

    def drop(self, uuid: UUID, forwards: Iterable[Forward]) -> None:
        for one in forwards:
            key = one.protocol, one.host_port
            self._holders[key].remove((uuid, one))
            if not self._holders[key]:
                del self._holders[key]

    def taken(self, uuid: UUID, forwards: Sequence[Forward]) -> Iterator[tuple[int, UUID]]:
        """Which of these forwards another VM has: their indexes, and the VM."""
        for place, one in enumerate(forwards):
            for holder, other in self._holders.get((one.protocol, one.host_port), ()):
                if holder != uuid and _overlap(one, other):
                    yield place, holder


# Of a run


def wait(spec: Spec, run: Spec, facts: HostFacts) -> str:
    """Implements `velocity.machines.settings.forecast.Why`."""
    nat = first_nat(spec)
    return NO_NIC_YET if spec.forwards and nat not in {one.id for one in run.interfaces} else ""


def bare(nic: NicSpec) -> NicSpec:
    """The NIC without forwards."""
    return structs.replace(nic, forwards=()) if isinstance(nic, NatSpec) else nic


def after(made: MachineSpec) -> Mapping[str, Any]:
    """The fields of a run that the hypervisor reports as this one."""
    there = [one for nic in made.nics if isinstance(nic, NatSpec) for one in nic.forwards]
    return {"forwards": [told(one) for one in there]}
