"""The boot order of a VM: pure functions of specifications."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from msgspec import UNSET, UnsetType

from velocity.contract.machines import Attachment, NextBoot, Nic
from velocity.contract.problems import Problem, Refused
from velocity.machines.rules import Spec


def place(one: Attachment | Nic) -> int:
    """The place for the hypervisor."""
    return one.boot if isinstance(one.boot, int) else 0


def told(spec: Spec, boots: NextBoot | None) -> dict[str, Any]:
    """The choice for a start, for the hypervisor; without media or NICs that the VM no longer has."""
    return {} if boots is None else {"setup": boots.firmware_setup is True, "first": first(spec, boots)}


def first(spec: Spec, boots: NextBoot | UnsetType) -> UUID | int | None:
    """The medium or NIC that is tried first, if the VM has it."""
    if boots is UNSET:
        return None
    if boots.mid is not UNSET and any(one.mid == boots.mid for one in spec.media):
        return boots.mid
    return boots.nic if boots.nic is not UNSET and any(one.id == boots.nic for one in spec.interfaces) else None


def check(spec: Spec) -> None:
    """Refuse the same place twice."""
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
