"""CPU hot-plug: more CPUs, up to the maximum that the machine was started with.

None is unplugged: QEMU 7.2 has been seen to corrupt its memory, and crash, after a guest had released one.
https://www.qemu.org/docs/master/system/cpu-hotplug.html
"""

from __future__ import annotations

from typing import Any

from msgspec import structs

from velocity.hypervisor.qemu.layout import cpu_device, cpu_number
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
    free, plugged = _hotpluggable(await change.execute("query-hotpluggable-cpus"))
    await change.bound_memory(most_memory(structs.replace(change.made, cpus=most)))
    for slot in free[: max(0, most - plugged)]:
        await change.execute("device_add", driver=slot["type"], id=cpu_device(slot["props"]), **slot["props"])
        plugged += 1
    change.made = structs.replace(change.made, cpus=plugged)
    await change.note()


def _hotpluggable(answer: object) -> tuple[list[dict[str, Any]], int]:
    """The free slots, the first one first, and the number of CPUs that are there."""
    slots = [one for one in answer if isinstance(one, dict)] if isinstance(answer, list) else []
    free = sorted((one for one in slots if "qom-path" not in one), key=lambda one: cpu_number(one["props"]))
    return free, len(slots) - len(free)
