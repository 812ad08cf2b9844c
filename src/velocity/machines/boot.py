"""The boot order of a VM: pure functions over specifications."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from msgspec import UNSET, UnsetType

from velocity.contract.machines import Attachment, NextBoot, Nic
from velocity.contract.problems import Problem, Refused
from velocity.machines.rules import Spec


def place(one: Attachment | Nic) -> int:
    """As a hypervisor takes it."""
    return one.boot if isinstance(one.boot, int) else 0


def told(spec: Spec, boots: NextBoot | None) -> dict[str, Any]:
    """What the hypervisor is told of a start; what the VM does not have any more is none."""
    return {} if boots is None else {"setup": boots.firmware_setup is True, "first": first(spec, boots)}


def first(spec: Spec, boots: NextBoot | UnsetType) -> UUID | int | None:
    """The medium or the NIC that is tried first, if it is there."""
    if boots is UNSET:
        return None
    if boots.mid is not UNSET and any(one.mid == boots.mid for one in spec.media):
        return boots.mid
    return boots.nic if boots.nic is not UNSET and any(one.id == boots.nic for one in spec.interfaces) else None


def check(spec: Spec) -> None:
    """Refuse one place for two."""
    had: dict[int, str] = {}
    devices: tuple[tuple[str, Sequence[Attachment | Nic]], ...] = (("media", spec.media), ("nics", spec.nics))
    for field, some in devices:
        for number, one in enumerate(some):
            name = f"{field}[{number}].boot"
            if one.boot is not UNSET and (boots := place(one)) and (other := had.setdefault(boots, name)) != name:
                raise Refused(
                    Problem.MALFORMED,
                    f"{name}: {other} has the place {boots} in the boot order already: give each another",
                    field=name,
                )
