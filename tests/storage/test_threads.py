"""What hangs in a pool is given up, undone when it ends after all, and holds up nothing else."""

from __future__ import annotations

import asyncio
import threading

import pytest

from velocity.storage.directory.threads import AT_ONCE, Threads
from velocity.storage.port import Unknown

pytestmark = pytest.mark.anyio

PATIENCE = 30.0


async def test_what_was_given_up_is_undone_when_it_ends_after_all() -> None:
    threads, go_on, undone = Threads("usb"), threading.Event(), threading.Event()

    def work() -> int:
        assert go_on.wait(PATIENCE)
        return 7

    given: list[int] = []

    def undo(value: int) -> None:
        given.append(value)
        undone.set()

    with pytest.raises(Unknown, match="'usb' does not respond"):
        await threads.do(0.01, work, undo=undo)
    with pytest.raises(Unknown):
        threads.check()
    assert await threads.do(PATIENCE, lambda: 8) == 8, "others go on"
    go_on.set()
    assert await asyncio.to_thread(undone.wait, PATIENCE)
    assert given == [7]
    await threads.do(PATIENCE, lambda: None)
    threads.check()
    await threads.close()


async def test_who_is_cancelled_has_it_undone_too() -> None:
    threads, go_on, undone = Threads("usb"), threading.Event(), threading.Event()
    doing = asyncio.create_task(threads.do(PATIENCE, go_on.wait, PATIENCE, undo=lambda _: undone.set()))
    await asyncio.sleep(0)
    doing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await doing
    threads.check()  # it was not late
    assert not undone.is_set()
    go_on.set()
    assert await asyncio.to_thread(undone.wait, PATIENCE)
    await threads.close()


async def test_a_pool_all_of_whose_threads_hang_takes_none_of_the_others() -> None:
    sick, well, go_on = Threads("sick"), Threads("well"), threading.Event()
    for _ in range(2 * AT_ONCE):
        with pytest.raises(Unknown):
            await sick.do(0.001, go_on.wait, PATIENCE)
    assert await well.do(PATIENCE, lambda: 1) == 1
    assert await asyncio.to_thread(lambda: 2) == 2
    go_on.set()
    assert await sick.do(PATIENCE, lambda: 3) == 3
    for one in (sick, well):
        await one.close()
