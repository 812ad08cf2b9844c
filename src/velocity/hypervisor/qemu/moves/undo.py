"""Makes a guest continue here whose migration has failed, was cancelled, or has lost its server.

https://www.qemu.org/docs/master/interop/qemu-qmp-ref.html (yank, migrate_cancel)
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any

from msgspec import structs

from velocity.hypervisor.port import HypervisorError, NotRunning
from velocity.hypervisor.qemu.directories import HostDirectories
from velocity.hypervisor.qemu.event_interpreter import STANDS_STILL
from velocity.hypervisor.qemu.moves import secrecy
from velocity.hypervisor.qemu.moves.parameters import CALL
from velocity.hypervisor.qemu.run_note import Between
from velocity.hypervisor.qemu.watched_run import WatchedRun
from velocity.hypervisor.qemu.watched_runs import RunEntry

NAME = "move-"
"""The prefix of the names of a migration's jobs and nodes."""
UNDER_WAY = frozenset({"setup", "active", "pre-switchover", "device", "cancelling", "wait-unplug"})
HANDED = "postmigrate"
AGAIN = 0.02
LATER = 0.5
"""Seconds between checks whether something has ended, and between attempts when QEMU does not answer."""


async def undo(place: HostDirectories, entry: RunEntry) -> bool:
    """Return when the guest runs here and nothing of the move is left. Raises `NotRunning`: it has ended.

    Returns whether it was handed over before that was possible.
    """
    while True:
        try:
            handed = await _undone(entry)
            await note(place, entry, Between.HANDED if handed else None)
            if not handed:
                entry.session.serial.input.release()
        except NotRunning:
            raise
        except (HypervisorError, OSError):
            await asyncio.sleep(LATER)
            continue
        entry.session.observed.leaving = False
        await asyncio.to_thread(secrecy.remove, place.runs.own(entry.run.machine))
        return handed


async def note(place: HostDirectories, entry: RunEntry, between: Between | None) -> None:
    """Raises `OSError`."""
    entry.run = structs.replace(entry.run, between=between)
    await asyncio.to_thread(place.runs.write, entry.run)


async def _undone(entry: RunEntry) -> bool:
    session = entry.session
    if await _status(session) == HANDED:
        return True
    await _break_off(session)
    while (now := (await _ask(session, "query-migrate")).get("status")) in UNDER_WAY:
        if now != "cancelling":
            await _ask(session, "migrate_cancel")
        await asyncio.sleep(AGAIN)
    status = await _status(session)
    if status == STANDS_STILL:  # not for long
        raise HypervisorError("it does not go on yet")
    await clear(session)
    return status == HANDED


async def _ask(session: WatchedRun, command: str, **arguments: Any) -> Any:
    return await session.execute(command, deadline=CALL, **arguments)


async def _status(session: WatchedRun) -> str:
    return str((await _ask(session, "query-status"))["status"])


async def _break_off(session: WatchedRun) -> None:
    """Close its connections (yank): a command that uses a dead one would not end."""
    ours = [
        one
        for one in await _ask(session, "query-yank")
        if one["type"] == "migration" or str(one.get("node-name", "")).startswith(NAME)
    ]
    if ours:
        await _ask(session, "yank", instances=ours)


async def clear(session: WatchedRun) -> None:
    """Remove a migration's jobs, nodes and credentials. Raises `HypervisorError`, `NotRunning`, `Unknown`."""
    while jobs := [one for one in await _ask(session, "query-jobs") if one["id"].startswith(NAME)]:
        for one in jobs:
            with contextlib.suppress(HypervisorError):  # it is ending already
                await _ask(session, "block-job-cancel", device=one["id"], force=True)
        await asyncio.sleep(AGAIN)
    for one in await _ask(session, "query-named-block-nodes", flat=True):
        if one["node-name"].startswith(NAME):
            await _ask(session, "blockdev-del", **{"node-name": one["node-name"]})
    await _ask(session, "migrate-set-parameters", **{"tls-creds": ""})
    if any(one["name"] == secrecy.OBJECT for one in await _ask(session, "qom-list", path="/objects")):
        await _ask(session, "object-del", id=secrecy.OBJECT)
