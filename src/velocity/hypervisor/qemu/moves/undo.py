"""What has a guest run on here whose move has failed, was given up, or has lost the server that drove it.

https://www.qemu.org/docs/master/interop/qemu-qmp-ref.html (yank, migrate_cancel)
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from typing import Any

from msgspec import structs

from velocity.hypervisor.port import HypervisorError, NotRunning
from velocity.hypervisor.qemu.directories import HostDirectories
from velocity.hypervisor.qemu.event_interpreter import STANDS_STILL
from velocity.hypervisor.qemu.moves import secrecy
from velocity.hypervisor.qemu.moves.parameters import CALL
from velocity.hypervisor.qemu.run_note import Between
from velocity.hypervisor.qemu.watched_runs import RunEntry

NAME = "move-"
"""Begins the names of the jobs and nodes of a move."""
UNDER_WAY = frozenset({"setup", "active", "pre-switchover", "device", "cancelling", "wait-unplug"})
HANDED = "postmigrate"
AGAIN = 0.02
LATER = 0.5
"""Seconds until it is looked again whether something has ended, and until one that does not answer is asked again."""


async def undo(place: HostDirectories, entry: RunEntry) -> bool:
    """Returns when it runs on here and nothing of the move is left; whether it was handed over before that could be.

    Raises `NotRunning`: it has ended.
    """
    while True:
        try:
            handed = await _undone(entry)
            await note(place, entry, Between.HANDED if handed else None)
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
    async def execute(command: str, **arguments: Any) -> Any:
        return await entry.session.execute(command, deadline=CALL, **arguments)

    if (await execute("query-status"))["status"] == HANDED:
        return True
    await _break_off(execute)
    while (now := (await execute("query-migrate")).get("status")) in UNDER_WAY:
        if now != "cancelling":
            await execute("migrate_cancel")
        await asyncio.sleep(AGAIN)
    status = (await execute("query-status"))["status"]
    if status == STANDS_STILL:  # not for long
        raise HypervisorError("it does not go on yet")
    await clear(execute)
    return bool(status == HANDED)


async def _break_off(execute: Callable[..., Any]) -> None:
    """Its connections, as a call over one that is dead would not end."""
    ours = [
        one
        for one in await execute("query-yank")
        if one["type"] == "migration" or str(one.get("node-name", "")).startswith(NAME)
    ]
    if ours:
        await execute("yank", instances=ours)


async def clear(execute: Callable[..., Any]) -> None:
    """Remove its jobs, nodes and credentials."""
    while jobs := [one for one in await execute("query-jobs") if one["id"].startswith(NAME)]:
        for one in jobs:
            with contextlib.suppress(HypervisorError):  # it is ending already
                await execute("block-job-cancel", device=one["id"], force=True)
        await asyncio.sleep(AGAIN)
    for one in await execute("query-named-block-nodes", flat=True):
        if one["node-name"].startswith(NAME):
            await execute("blockdev-del", **{"node-name": one["node-name"]})
    await execute("migrate-set-parameters", **{"tls-creds": ""})
    if any(one["name"] == secrecy.OBJECT for one in await execute("qom-list", path="/objects")):
        await execute("object-del", id=secrecy.OBJECT)
