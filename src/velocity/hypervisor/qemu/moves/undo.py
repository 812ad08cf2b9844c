"""Makes a guest continue here whose migration has failed, was cancelled, or has lost its server.

https://www.qemu.org/docs/master/interop/qemu-qmp-ref.html (yank, migrate_cancel)
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Sequence
from typing import Any

from msgspec import structs

from velocity.hypervisor.port import Fact, HypervisorError, NotRunning
from velocity.hypervisor.qemu.directories import HostDirectories
from velocity.hypervisor.qemu.event_interpreter import STANDS_STILL
from velocity.hypervisor.qemu.monitor import SILENT_AFTER
from velocity.hypervisor.qemu.moves import secrecy
from velocity.hypervisor.qemu.moves.parameters import CALL
from velocity.hypervisor.qemu.run_note import Between
from velocity.hypervisor.qemu.watched_run import WatchedRun
from velocity.hypervisor.qemu.watched_runs import RunEntry
from velocity.uninterrupted import in_thread

NAME = "move-"
"""The prefix of the names of a migration's jobs and nodes."""
UNDER_WAY = frozenset({"setup", "active", "pre-switchover", "device", "cancelling", "wait-unplug"})
HANDED = "postmigrate"
AGAIN = 0.02
LATER = 0.5
"""Seconds between checks whether something has ended, and between attempts when QEMU does not answer."""


async def undo(place: HostDirectories, entry: RunEntry, connections: Sequence[socket.socket] = ()) -> bool:
    """Return when the guest runs here and nothing of the move is left. Raises `NotRunning`: it has ended.

    Returns whether it was handed over before that was possible. `connections` are those of QEMU to the target that are
    open here, too. While QEMU sends the rest of the guest, its main loop, and so the monitor, waits for them.
    """
    if not await _is_handed(entry.qemu):
        for one in connections:
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
    while True:
        try:
            handed = await _undone(entry)
            await note(place, entry, Between.HANDED if handed else None)
            if not handed:
                entry.qemu.serial.input.release()
        except NotRunning:
            raise
        except (HypervisorError, OSError):
            await asyncio.sleep(LATER)
            continue
        entry.qemu.observed.leaving = False
        await asyncio.to_thread(secrecy.remove, place.runs.own(entry.run.machine))
        return handed


async def _is_handed(qemu: WatchedRun) -> bool:
    """Whether its disks are the target's, as far as that can be known at once: QEMU 7.2 may end if its connections to
    them are closed then.
    """
    if qemu.observed.does(Fact.HANDED):
        return True
    try:
        return await _status(qemu, SILENT_AFTER) == HANDED  # that event may be unread still
    except NotRunning:
        return True
    except HypervisorError:
        return False


async def note(place: HostDirectories, entry: RunEntry, between: Between | None) -> None:
    """Raises `OSError`."""
    entry.run = structs.replace(entry.run, between=between)
    await in_thread(place.runs.write, entry.run)


async def _undone(entry: RunEntry) -> bool:
    qemu = entry.qemu
    if await _status(qemu) == HANDED:
        return True
    await _break_off(qemu)
    while (now := (await _ask(qemu, "query-migrate")).get("status")) in UNDER_WAY:
        if now != "cancelling":
            await _ask(qemu, "migrate_cancel")
        await asyncio.sleep(AGAIN)
    status = await _status(qemu)
    if status == STANDS_STILL:  # not for long
        raise HypervisorError("it does not continue yet")
    await clear(qemu)
    return status == HANDED


async def _ask(qemu: WatchedRun, command: str, **arguments: Any) -> Any:
    return await qemu.execute(command, deadline=CALL, **arguments)


async def _status(qemu: WatchedRun, deadline: float = CALL) -> str:
    return str((await qemu.execute("query-status", deadline=deadline))["status"])


async def _break_off(qemu: WatchedRun) -> None:
    """Close its connections (yank): a command that uses a dead one would not end."""
    ours = [
        one
        for one in await _ask(qemu, "query-yank")
        if one["type"] == "migration" or str(one.get("node-name", "")).startswith(NAME)
    ]
    if ours:
        await _ask(qemu, "yank", instances=ours)


async def clear(qemu: WatchedRun) -> None:
    """Remove a migration's jobs, nodes and credentials. Raises `HypervisorError`, `NotRunning`, `Unknown`."""
    while jobs := [one for one in await _ask(qemu, "query-jobs") if one["id"].startswith(NAME)]:
        for one in jobs:
            with contextlib.suppress(HypervisorError):  # it is ending already
                await _ask(qemu, "block-job-cancel", device=one["id"], force=True)
        await asyncio.sleep(AGAIN)
    for one in await _ask(qemu, "query-named-block-nodes", flat=True):
        if one["node-name"].startswith(NAME):
            await _ask(qemu, "blockdev-del", **{"node-name": one["node-name"]})
    await _ask(qemu, "migrate-set-parameters", **{"tls-creds": ""})
    if any(one["name"] == secrecy.OBJECT for one in await _ask(qemu, "qom-list", path="/objects")):
        await _ask(qemu, "object-del", id=secrecy.OBJECT)
