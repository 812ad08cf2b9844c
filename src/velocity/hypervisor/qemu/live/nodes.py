"""Opens and closes the files of disks in a running QEMU: the server opens them, and passes descriptors."""

from __future__ import annotations

import asyncio
import os
import resource
from collections.abc import Awaitable, Callable, Collection
from functools import partial
from typing import Any

from velocity.contract.problems import Refused
from velocity.hypervisor.port import Cache, DiskSpec, HypervisorError, NotRunning, Unknown
from velocity.hypervisor.qemu import filesizes
from velocity.hypervisor.qemu.command import FIRST_SET
from velocity.hypervisor.qemu.disk_options import as_arguments, node, node_name
from velocity.hypervisor.qemu.live.change import Change
from velocity.hypervisor.qemu.live.found import FDSET, Found
from velocity.hypervisor.qemu.watched_runs import RunEntry
from velocity.storage.port import MediaRef
from velocity.uninterrupted import in_thread

Execute = Callable[..., Awaitable[Any]]
TRIES, PAUSE = 60, 0.05
"""How often QEMU is asked to close a file that it has just released, and the seconds in between."""


async def opened(change: Change, media: MediaRef, *, readonly: bool, coming: bool = False) -> int:
    """A descriptor of its file. Raises `HypervisorError`."""
    try:
        at = partial(change.place.media.open, media, readonly=readonly, coming=coming)
        return await in_thread(at, undo=os.close)
    except (OSError, Refused) as error:
        words = error.message if isinstance(error, Refused) else error.strerror
        raise HypervisorError(f"its file cannot be opened: {words}") from None


async def add(change: Change, disk: DiskSpec, number: int, *, coming: bool = False) -> None:
    """Open it in QEMU. Raises `HypervisorError`: nothing of it remains, or the next change closes it."""
    descriptor = await opened(change, disk.media, readonly=disk.readonly, coming=coming)
    try:
        if not disk.readonly:
            allow(change.qemu.pid, filesizes.largest([descriptor]))
        in_memory = 0 if disk.readonly else filesizes.in_memory([descriptor])
        await change.note_in_memory(number, in_memory >> 20, disk)
        direct = None
        if disk.cache is Cache.NONE and not await in_thread(
            partial(change.place.media.direct_lacks, disk.media, descriptor, readonly=disk.readonly)
        ):
            direct = change.place.direct_aio
        await change.execute("query-status")  # QEMU loses one of two descriptors that it has not read yet
        fdset = await change.qemu.lend(descriptor, node_name(number), deadline=change.left)
    finally:
        os.close(descriptor)
    shared = change.place.media.is_shared(disk.media)
    try:
        await change.execute("blockdev-add", **as_arguments(node(disk, number, fdset, direct, shared=shared)))
    except (Unknown, NotRunning):
        raise
    except HypervisorError:
        await change.execute("remove-fd", **{"fdset-id": fdset})
        raise


def allow(pid: int, largest: int) -> None:
    """Raise the process's file size limit for a file of that size. Raises `HypervisorError`. prlimit(2)"""
    try:
        bound = filesizes.of_process(pid)
        if bound is not None and bound < largest - filesizes.SLACK:
            resource.prlimit(pid, resource.RLIMIT_FSIZE, (largest, largest))
    except (OSError, ValueError):
        raise HypervisorError(
            "its run may not write to a file that large, and the server lacks CAP_SYS_RESOURCE to allow it"
        ) from None


async def remove(change: Change, number: int, fdset: int) -> None:
    """Close it. Raises `Unknown` if a device that is being unplugged still uses it."""
    for tries in range(TRIES):
        try:
            await change.execute("blockdev-del", **{"node-name": node_name(number)})
            break
        except (Unknown, NotRunning):
            raise
        except HypervisorError as error:
            if tries == TRIES - 1:
                raise Unknown(f"a disk is not closed yet ({error})") from None
            await asyncio.sleep(PAUSE)
    if fdset >= 0:
        await change.execute("remove-fd", **{"fdset-id": fdset})
        change.note_left_open()


async def sweep(change: Change, found: Found, used: set[int]) -> None:
    """Close files that no drive has, and remove descriptors that were passed in vain."""
    for number, fdset in list(found.nodes.items()):
        if number not in used:
            await remove(change, number, fdset)
            del found.nodes[number]
    await _take_back(change.execute, set(found.nodes.values()))


async def close_left(entry: RunEntry, deadline: float) -> None:
    """Close files that QEMU could not close while the machine was paused: until then they take space.

    Raises `HypervisorError`, `NotRunning`, `Unknown`: the next change tries again.
    """
    execute = partial(entry.qemu.execute, deadline=deadline)
    opened = await execute("query-named-block-nodes", flat=True)
    await _take_back(execute, {int(found[1]) for one in opened if (found := FDSET.search(str(one.get("file", ""))))})
    entry.left_open = False


async def _take_back(execute: Execute, opened: Collection[int]) -> None:
    """Remove the descriptors of files that no open disk has."""
    for one in await execute("query-fdsets"):
        fdset, marks = one["fdset-id"], [fd.get("opaque") for fd in one["fds"]]
        begun_with = fdset >= FIRST_SET and None in marks
        if fdset not in opened and (begun_with or any(str(mark).startswith("disk") for mark in marks)):
            await execute("remove-fd", **{"fdset-id": fdset})
