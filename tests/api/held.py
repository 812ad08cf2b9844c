"""A start of a VM that stands still in the middle."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from tests.api.world import World
from velocity.store.machines import SqlMachines


@asynccontextmanager
async def held_start(w: World, monkeypatch: pytest.MonkeyPatch, vmid: int) -> AsyncIterator[asyncio.Task[Any]]:
    """Within, a start of the VM has begun and is not stored yet. Afterwards it continues: the task has its answer."""
    begin_run, begun, on = SqlMachines.begin_run, asyncio.Event(), asyncio.Event()

    async def held(store: SqlMachines, *what: Any) -> int:
        begun.set()
        await on.wait()
        return await begin_run(store, *what)

    monkeypatch.setattr(SqlMachines, "begin_run", held)
    starting = asyncio.create_task(w.ok("PUT", "/v/vm/state", vmid=vmid, state="RUNNING"))
    await begun.wait()
    try:
        yield starting
    finally:
        on.set()
