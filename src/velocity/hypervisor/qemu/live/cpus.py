"""CPUs of a machine that runs: more of them, up to the maximum that it was started with.

None is taken out: QEMU 7.2 has been seen to corrupt its own memory, and so to end, after a guest had let go of one.
https://www.qemu.org/docs/master/system/cpu-hotplug.html
"""

from __future__ import annotations

from typing import Any

from msgspec import structs

from velocity.hypervisor.qemu.layout import cpu_device, seat_number
from velocity.hypervisor.qemu.live.change import Change
from velocity.hypervisor.qemu.scopes import most_memory
from velocity.hypervisor.waits import LESS_CPUS, MORE_CPUS


async def alter(change: Change) -> None:
    """Implements `velocity.hypervisor.qemu.live.Kind`."""
    wanted, has = change.asked.cpus, change.made.cpus
    if wanted < has:
        change.wait("cpus", LESS_CPUS)
    if wanted > max(has, change.made.max_cpus):
        change.wait("cpus", MORE_CPUS)
    most = min(wanted, change.made.max_cpus)
    if most <= has:
        return
    free, plugged = _seats(await change.execute("query-hotpluggable-cpus"))
    await change.bound_memory(most_memory(structs.replace(change.made, cpus=most)))
    for seat in free[: max(0, most - plugged)]:
        await change.execute("device_add", driver=seat["type"], id=cpu_device(seat["props"]), **seat["props"])
        plugged += 1
    change.made = structs.replace(change.made, cpus=plugged)
    await change.note()


def _seats(answer: object) -> tuple[list[dict[str, Any]], int]:
    """Those without a CPU, the first one first, and how many have one."""
    seats = [one for one in answer if isinstance(one, dict)] if isinstance(answer, list) else []
    free = sorted((one for one in seats if "qom-path" not in one), key=lambda one: seat_number(one["props"]))
    return free, len(seats) - len(free)
