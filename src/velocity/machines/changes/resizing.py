"""Grows disks of running VMs."""

from __future__ import annotations

from velocity.contract.problems import Problem, Refused
from velocity.hypervisor import port
from velocity.hypervisor.port import HypervisorError, Machines, NotRunning
from velocity.machines.rules import CALL_DEADLINE
from velocity.machines.service import Fleet
from velocity.media.attachments import Attachments
from velocity.media.library import Library
from velocity.media.rules import Medium
from velocity.storage.port import Unknown


class Resizing:
    """Lets the hypervisor, which has the file open, grow a disk: the guest sees it at once."""

    def __init__(self, fleet: Fleet, machines: Machines, attachments: Attachments, library: Library) -> None:
        self._fleet = fleet
        self._machines = machines
        self._attachments = attachments
        self._library = library

    async def grow(self, medium: Medium, size: int) -> None:
        """Grow it to so many bytes in the VM that writes to it. Raises `Refused`, and `Unknown`: it may still grow."""
        holder = next((one for one in self._attachments.attached_vms(medium.mid) if one.writing), None)
        if holder is None or holder.vmid is None:
            raise Unknown(f"the VM that ran with {self._library.visible_name(medium)} has just stopped")
        keeper = self._fleet.get(holder.vmid)

        async def work() -> None:
            await self._machines.resize(keeper.who, medium.ref, size, deadline=CALL_DEADLINE)

        try:
            await keeper.alone(work)
        except Refused as refused:
            if refused.problem is Problem.VM_MOVING:
                raise Refused(Problem.MEDIUM_IN_USE, refused.message, field="size") from None
            raise
        except (NotRunning, port.Unknown) as error:
            raise Unknown(f"{self._attachments.visible_name(holder)} has not responded in time ({error})") from None
        except HypervisorError as error:
            raise Refused(
                Problem.MEDIUM_IN_USE,
                f"{self._attachments.visible_name(holder)} runs and cannot let it grow ({error}): stop the VM first",
                field="size",
            ) from None
