"""A loop whose time, and whose turns, do not depend on how slow the host is."""

from __future__ import annotations

import asyncio
import time

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
