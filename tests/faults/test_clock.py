"""A loop whose time, and whose turns, do not depend on how slow the host is."""

from __future__ import annotations

import asyncio
import threading
import time

import pytest

from tests.faults import clock
from tests.faults.clock import AT_WORK, HastyLoop, passed


def test_what_a_thread_takes_is_no_time_and_few_turns() -> None:
    loop = HastyLoop()

    async def work() -> None:
        begun = loop.time()
        working = loop.run_in_executor(None, time.sleep, 0.1)
        await passed(AT_WORK + 1)
        assert working.done()
        assert loop.time() == begun
        await asyncio.sleep(100.0)
        assert loop.time() == begun + 100.0

    loop.run_until_complete(work())
    loop.end_threads()
    loop.close()


def test_a_thread_that_never_ends_is_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clock, "PATIENCE", 0.1)
    loop, ends = HastyLoop(), threading.Event()

    async def work() -> None:
        working = loop.run_in_executor(None, ends.wait, 10.0)
        with pytest.raises(AssertionError, match="still at work"):
            await passed(AT_WORK + 1)
        ends.set()
        assert await working

    loop.run_until_complete(work())
    loop.end_threads()
    loop.close()
