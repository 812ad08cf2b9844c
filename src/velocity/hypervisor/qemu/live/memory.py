"""Memory hot-plug by virtio-mem, up to the maximum that the machine was started with, and back.

The guest takes and returns memory at its own pace: some may be returned late, or never. https://virtio-mem.gitlab.io/
"""

from __future__ import annotations

import asyncio
from typing import Any

from msgspec import structs

from velocity.hypervisor.qemu.command import MEMORY_DEVICE, MEMORY_STEP
from velocity.hypervisor.qemu.facts import memory_free_mib
from velocity.hypervisor.qemu.live.change import Change
from velocity.hypervisor.qemu.live.unplug import patience
from velocity.hypervisor.qemu.scopes import most_memory
from velocity.hypervisor.waits import LESS_MEMORY, MORE_MEMORY

MIB = 1 << 20


async def alter(change: Change) -> None:
    """Implements `velocity.hypervisor.qemu.live.Kind`."""
    wanted, has = change.asked.memory, change.made.memory
    if wanted == has:
        return
    if not change.made.max_memory:
        change.wait("memory", MORE_MEMORY)
        return
    device = await _device(change)
    if device is None:
        change.wait("memory", MORE_MEMORY)
        return
    start, most = has_at_start(await change.execute("query-memory-size-summary")), device["max-size"] // MIB
    more = max(0, min(wanted - start, most)) // MEMORY_STEP * MEMORY_STEP
    asked = device["requested-size"] // MIB
    if more > asked and more - asked > (free := memory_free_mib()):
        change.wait("memory", f"the host has {free} MiB of memory free: stop another VM, or take less")
        return
    if more > asked:
        await change.bound_memory(most_memory(structs.replace(change.made, memory=start + more)))
    await change.execute("qom-set", path=f"/machine/peripheral/{MEMORY_DEVICE}", property="requested-size",
                         value=more * MIB)  # fmt: skip
    plugged = await _settled_size(change, more) if more < asked else more
    change.made = structs.replace(change.made, memory=_as_requested(wanted, start, more, max(more, plugged)))
    await change.note()
    await change.bound_memory(most_memory(change.made))
    _say(change, wanted, start, plugged - more)


def _as_requested(wanted: int, start: int, more: int, plugged: int) -> int:
    """The memory that it has, as the user asked for it: QEMU rounds to blocks of 2 MiB."""
    exact = plugged == more and start <= wanted < start + more + MEMORY_STEP
    return wanted if exact else start + plugged


def _say(change: Change, wanted: int, start: int, over: int) -> None:
    if change.made.memory == wanted:
        return
    if over > 0:
        change.wait("memory", f"the guest has not released {over} MiB yet")
    elif wanted < start:
        change.wait("memory", LESS_MEMORY.format(start))
    else:
        change.wait("memory", MORE_MEMORY)


def has_at_start(answer: Any) -> int:
    """MiB that the guest was started with."""
    return int(answer["base-memory"]) // MIB


async def _device(change: Change) -> dict[str, Any] | None:
    for one in await change.execute("query-memory-devices"):
        if one.get("type") == "virtio-mem" and one["data"].get("id") == MEMORY_DEVICE:
            return dict(one["data"])
    return None


async def _settled_size(change: Change, more: int) -> int:
    """MiB of virtio-mem that the guest uses, once it is what was requested, or after a while."""
    loop, releases = asyncio.get_running_loop(), change.qemu.releases
    until = loop.time() + min(patience(change), change.left / 2)
    while True:
        releases.expect(MEMORY_DEVICE)
        device = await _device(change)
        plugged = 0 if device is None else int(device["size"]) // MIB
        if plugged <= more:
            releases.over(MEMORY_DEVICE)
            return plugged
        if loop.time() >= until:
            return plugged
        await releases.wait(MEMORY_DEVICE, until - loop.time())
