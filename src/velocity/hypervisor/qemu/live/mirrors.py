"""Copies a disk of a running machine to another file while the guest writes, with QEMU's mirror jobs.

Each job is held before its last step: both files are identical and durable then, and QEMU queues the guest's writes
until it is told which file to use. https://www.qemu.org/docs/master/interop/live-block-operations.html
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Iterator
from typing import Any

from msgspec import Struct, structs

from velocity.hypervisor.port import Bus, DiskSpec, Fact, HypervisorError, MirrorProgress, NotRunning, Unknown
from velocity.hypervisor.qemu.disk_options import MIRROR, mirror_name, node_name
from velocity.hypervisor.qemu.event_interpreter import plain
from velocity.hypervisor.qemu.live import disks, nodes
from velocity.hypervisor.qemu.live.change import Change
from velocity.hypervisor.qemu.live.found import number_in
from velocity.hypervisor.qemu.run_note import Run, RunMirror
from velocity.hypervisor.waits import NOT_COPIED
from velocity.storage.port import MediaRef

PAUSE = 0.02
"""Seconds between two looks at a job that is about to finish."""
LIVE = frozenset({"created", "running", "paused", "ready", "standby", "waiting", "pending"})
READY = frozenset({"ready", "waiting", "pending"})


class Job(Struct, frozen=True):
    """A mirror job, by the numbers of its disks."""

    source: int
    target: int
    status: str
    done: int
    total: int
    error: str

    @property
    def name(self) -> str:
        return mirror_name(self.source, self.target)


def of(run: Run, media: MediaRef, answer: Any) -> Iterator[Job]:
    """The jobs of a medium among all of QEMU's."""
    for one in answer if isinstance(answer, list) else ():
        match = MIRROR.fullmatch(str(one.get("id"))) if isinstance(one, dict) else None
        if match and _is(run.nodes.get(int(match[1])) or run.nodes.get(int(match[2])), media):
            done, total = (_count(one.get(f"{name}-progress")) for name in ("current", "total"))
            yield Job(int(match[1]), int(match[2]), str(one.get("status")), done, total, plain(one.get("error", "")))


def _count(told: object) -> int:
    return told if isinstance(told, int) else 0


def _is(disk: DiskSpec | None, media: MediaRef) -> bool:
    return disk is not None and disk.media.medium == media.medium


async def begin(change: Change, source: MediaRef, target: MediaRef, *, compact: bool) -> None:
    """Implements `velocity.hypervisor.port.Mirrors.begin`."""
    found = await disks.look(change)
    number = next((number_in(one, found) for one in change.drives if _has(change, number_in(one, found), source)), None)
    if number is None:
        raise HypervisorError("the run has no such disk to write to")
    if number in found.copied.values():
        raise HypervisorError("it is being copied already")
    coming = disks.next_number(change, found)
    disk = structs.replace(change.run.nodes[number], media=target)
    opened = structs.replace(disk, detect_zeroes=disk.detect_zeroes or compact)
    descriptor = await nodes.opened(change, target, readonly=True, coming=True)
    try:
        mirror = RunMirror(os.fstat(descriptor).st_dev, os.fstat(descriptor).st_ino)
    finally:
        os.close(descriptor)
    others = {one: was for one, was in change.run.mirrors.items() if not _is(change.run.nodes.get(one), source)}
    # noted before QEMU has anything of it, so that a later server finds it
    await change.note(nodes={**change.run.nodes, coming: disk}, mirrors={**others, coming: mirror})
    await nodes.add(change, opened, coming, coming=True)
    await _dismiss(change, source)
    name = mirror_name(number, coming)
    try:
        await change.execute(
            "blockdev-mirror",
            **{"job-id": name, "filter-node-name": name, "device": node_name(number), "target": node_name(coming)},
            **{"sync": "full", "copy-mode": "write-blocking", "auto-finalize": False, "auto-dismiss": False},
        )
    except (Unknown, NotRunning):
        raise
    except HypervisorError:
        await disks.look(change)  # which closes it
        raise


def _has(change: Change, number: int | None, media: MediaRef) -> bool:
    disk = change.run.nodes.get(-1 if number is None else number)
    return disk is not None and disk.media == media and not disk.readonly


async def progress(change: Change, source: MediaRef) -> MirrorProgress:
    """Implements `velocity.hypervisor.port.Mirrors.progress`."""
    job = await _job(change, source)
    return MirrorProgress(job.done, job.total, job.status in READY)


async def _jobs(change: Change, media: MediaRef) -> list[Job]:
    return list(of(change.run, media, await change.execute("query-jobs")))


async def _job(change: Change, media: MediaRef) -> Job:
    """The running one. Raises `HypervisorError` if there is none."""
    jobs = await _jobs(change, media)
    live = next((one for one in jobs if one.status in LIVE), None)
    if live is None:
        raise HypervisorError(next((one.error for one in jobs if one.error), NOT_COPIED))
    return live


async def hold(change: Change, source: MediaRef) -> None:
    """Implements `velocity.hypervisor.port.Mirrors.hold`. A job that cannot be held in time is cancelled."""
    job = await _job(change, source)
    if job.status not in READY:
        raise HypervisorError("its copy is not complete yet")
    await _halt(change, job)
    try:
        async with asyncio.timeout(change.left * 0.6):
            if job.status == "ready":
                await change.execute("job-complete", id=job.name)
            async for jobs in _watched(change, source):
                now = next((one for one in jobs if one.name == job.name), None)
                if now is None or now.status == "concluded":
                    raise HypervisorError(now.error if now and now.error else NOT_COPIED)
                if now.status == "pending":
                    return
    except TimeoutError:
        await _end(change, source, job.name, "job-cancel")
        await _go_on(change, job.target)
        raise HypervisorError("the guest writes faster than its disk can be copied: try again later") from None
    except (Unknown, NotRunning):
        raise
    except HypervisorError:
        await _go_on(change, job.target)
        raise


async def _watched(change: Change, media: MediaRef) -> AsyncIterator[list[Job]]:
    """Its jobs, queried again and again."""
    while True:
        yield await _jobs(change, media)
        await asyncio.sleep(PAUSE)


async def settle(change: Change, media: MediaRef) -> bool:
    """Implements `velocity.hypervisor.port.Mirrors.settle`."""
    jobs = await _jobs(change, media)
    own = change.run.mirrors
    if not jobs and not any(_is(change.run.nodes.get(number), media) for number in own):
        return False
    named = await _file_of(change, media)
    for job in jobs:
        if job.status in LIVE:
            fits = job.status == "pending" and job.target in own and _same(own[job.target], named)
            await _end(change, media, job.name, "job-finalize" if fits else "job-cancel")
        await _go_on(change, job.target)
    await _dismiss(change, media)
    found = await disks.look(change)
    now = {number_in(one, found) for one in change.drives}
    return any(number in now and _same(own[number], named) for number in own)


async def _file_of(change: Change, media: MediaRef) -> RunMirror:
    """The file with this name at present. Raises `Unknown` if that cannot be determined."""
    try:
        descriptor = await nodes.opened(change, media, readonly=True)
    except HypervisorError as error:
        raise Unknown(str(error)) from None
    try:
        facts = os.fstat(descriptor)
    finally:
        os.close(descriptor)
    return RunMirror(facts.st_dev, facts.st_ino)


def _same(one: RunMirror, other: RunMirror) -> bool:
    return (one.device, one.inode) == (other.device, other.inode)


async def _end(change: Change, media: MediaRef, name: str, how: str) -> None:
    """Return when the job has finished. Raises `Unknown`: it may still finish."""
    try:
        await change.execute(how, id=name)
    except (Unknown, NotRunning):
        raise
    except HypervisorError:
        pass  # it has ended by itself meanwhile
    async for jobs in _watched(change, media):
        if not any(one.name == name and one.status in LIVE | {"aborting"} for one in jobs):
            return


async def _dismiss(change: Change, media: MediaRef) -> None:
    """Remove finished jobs from QEMU's list."""
    for job in await _jobs(change, media):
        if job.status == "concluded":
            await change.execute("job-dismiss", id=job.name)


async def _halt(change: Change, job: Job) -> None:
    """Stop the guest while the file changes under a USB disk; other buses queue their requests.

    USB disks send requests even while QEMU drains the disk, and QEMU 7.2 was seen to crash then.
    """
    disk = change.run.nodes.get(job.target)
    if disk is not None and disk.bus is Bus.USB and change.qemu.observed.does(Fact.RUNNING):
        await _note_halted(change, job.target, halted=True)
        await change.qemu.pause(deadline=change.left)


async def _go_on(change: Change, number: int) -> None:
    mirror = change.run.mirrors.get(number)
    if mirror is not None and mirror.halted:
        await change.qemu.resume(deadline=change.left)
        await _note_halted(change, number, halted=False)


async def _note_halted(change: Change, number: int, *, halted: bool) -> None:
    mirror = structs.replace(change.run.mirrors[number], halted=halted)
    await change.note(mirrors={**change.run.mirrors, number: mirror})
