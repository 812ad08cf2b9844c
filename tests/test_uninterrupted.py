"""Whoever is cancelled while a thread works for them waits for it: it uses what they close, or give to others, next."""

from __future__ import annotations

import asyncio
import gc
import os
import threading
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast
from uuid import uuid4

import pytest

from tests.patience import PATIENCE, eventually
from velocity.hypervisor.qemu.live import nodes
from velocity.hypervisor.qemu.live.change import Change
from velocity.storage.port import MediaRef
from velocity.uninterrupted import ended, in_thread

pytestmark = pytest.mark.anyio


class Slow:
    """Opens a file once it is let go on."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self.began, self.go_on = threading.Event(), threading.Event()
        self.descriptors: list[int] = []

    def open(self, *what: object, **how: object) -> int:
        self.began.set()
        assert self.go_on.wait(PATIENCE)
        self.descriptors.append(os.open(self._file, os.O_RDONLY | os.O_CREAT))
        return self.descriptors[-1]

    async def cancelled(self, work: asyncio.Task[int], times: int) -> None:
        """It is cancelled so many times while the thread opens the file."""
        await eventually(self.began.is_set)
        for _ in range(times):
            work.cancel()
            await asyncio.wait({work}, timeout=0.05)
            assert not work.done(), "the thread has not ended"
        self.go_on.set()
        with pytest.raises(asyncio.CancelledError):
            await work
        (descriptor,) = self.descriptors
        with pytest.raises(OSError, match="Bad file descriptor"):
            os.fstat(descriptor)


@pytest.mark.parametrize("times", [1, 2])
async def test_who_is_cancelled_waits_for_the_thread_and_undoes_what_it_did(tmp_path: Path, times: int) -> None:
    slow = Slow(tmp_path / "file")
    await slow.cancelled(asyncio.create_task(in_thread(slow.open, undo=os.close)), times)


async def test_a_disk_that_is_opened_for_a_change_that_ran_out_of_time_is_closed(tmp_path: Path) -> None:
    slow = Slow(tmp_path / "file")
    change = cast(Change, SimpleNamespace(place=SimpleNamespace(media=slow)))
    opening = nodes.opened(change, MediaRef(1, uuid4(), "raw"), readonly=True)
    await slow.cancelled(asyncio.create_task(opening), 2)


async def test_without_a_cancellation_the_result_is_the_callers() -> None:
    undone: list[int] = []
    assert await in_thread(int, "17", undo=undone.append) == 17
    with pytest.raises(ValueError, match="invalid literal"):
        await in_thread(int, "seventeen", undo=undone.append)
    assert undone == []


@pytest.mark.parametrize("fails", [False, True])
async def test_whoever_is_cancelled_waits_for_the_end_and_leaves_no_error_that_nobody_takes(fails: bool) -> None:
    """asyncio would log it, with its traceback."""
    told: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: told.append(context))
    go_on = asyncio.Event()

    async def work() -> str:
        await go_on.wait()
        if fails:
            raise ValueError("it fails")
        return "done"

    doing = asyncio.ensure_future(work())
    waiting = asyncio.ensure_future(ended(doing))
    await asyncio.sleep(0)
    for _ in range(2):
        waiting.cancel()
        await asyncio.sleep(0)
        assert not waiting.done()
    go_on.set()
    await asyncio.wait({waiting})
    assert waiting.cancelled()
    assert doing.done()
    del doing, waiting
    gc.collect()
    await asyncio.sleep(0)
    assert told == []
