"""The choice for a VM's next start, stored until then."""

from __future__ import annotations

from msgspec import UNSET

from velocity import plan
from velocity.contract.boot import ChooseBoot
from velocity.contract.machines import NextBoot
from velocity.contract.problems import Problem, Refused
from velocity.machines.rules import Spec
from velocity.machines.run.keeper import Keeper


async def choose(keeper: Keeper, request: ChooseBoot) -> None:
    """Called in the keeper's turn. Raises `Refused`."""
    machine, before = keeper.machine, keeper.progress.boots
    boots = choice(machine.spec, request)
    changes = {"next_boot": (before, boots)}
    plan.step("change", "vm", machine.name, id=machine.vmid, gid=machine.gid, changes=changes)
    if boots != before:
        plan.stop_here()
        await keeper.revise(boots=boots)


def choice(spec: Spec, request: ChooseBoot) -> NextBoot | None:
    """The requested choice; None if there is none. Raises `Refused`."""
    boots = NextBoot(firmware_setup=request.firmware_setup or UNSET, mid=request.mid, nic=request.nic)
    said = [name for name in boots.__struct_fields__ if getattr(boots, name) is not UNSET]
    if len(said) > 1:
        raise Refused(
            Problem.MALFORMED, f"{said[1]}: the next start does one thing: leave out {said[0]}, or this", field=said[1]
        )
    if request.mid is not UNSET and not any(one.mid == request.mid for one in spec.media):
        raise Refused(Problem.MEDIUM_NOT_FOUND, "the VM has no such medium: attach it first", field="mid")
    if request.nic is not UNSET and not any(one.id == request.nic for one in spec.interfaces):
        there = ", ".join(str(one.id) for one in spec.interfaces) or "none"
        raise Refused(Problem.INTERFACE_NOT_FOUND, f"the VM has no NIC {request.nic}; it has: {there}", field="nic")
    return boots if said else None
