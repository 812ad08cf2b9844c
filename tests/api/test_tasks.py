"""The ends of tasks: what is shown of one is so, whatever becomes of the note of its end."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import pytest
import sqlalchemy as sa

from tests.api.images import wait
from tests.api.world import World, world
from tests.patience import asked_until
from velocity.steady_clock import SteadyClock
from velocity.store.tables import tasks

pytestmark = pytest.mark.anyio

DISK_FULL = """
create trigger full before update on tasks begin select raise(abort, 'database or disk is full'); end
"""


async def _execute(w: World, statement: str) -> None:
    await w.server.database.aside(lambda connection: connection.execute(sa.text(statement)) and None)


async def _clone(w: World) -> int:
    mid = await w.medium()
    return int((await w.ok("PUT", "/m/media/clone", mid=mid, gid=0, mpid=1, name="copy"))["tid"])


async def _ended(w: World, tid: int) -> str:
    return str((await wait(w, {"tid": tid}))["state"])


@pytest.mark.holds("DUR-45")
async def test_the_end_of_a_task_that_cannot_be_written_is_shown_and_written_later(
    tmp_path: Path,
) -> None:
    async with world(tmp_path / "data") as w:
        await _execute(w, DISK_FULL)
        tid = await _clone(w)
        assert await _ended(w, tid) == "DONE"

        async def kept() -> str:
            found = await w.server.database.aside(
                lambda connection: connection.scalar(sa.select(tasks.c.state).where(tasks.c.tid == tid))
            )
            return str(found)

        assert await kept() == "RUNNING"
        await _execute(w, "drop trigger full")
        await asked_until(kept, lambda state: state == "DONE", "that its end is written")


@pytest.mark.holds("DUR-46")
async def test_a_task_whose_medium_is_there_has_not_failed_when_a_crash_comes_before_its_end_is_written(
    tmp_path: Path,
) -> None:
    async with world(tmp_path / "data") as w:
        await _execute(w, DISK_FULL)
        tid = await _clone(w)
        assert await _ended(w, tid) == "DONE"
        await _execute(w, "drop trigger full")
    async with world(tmp_path / "data") as w:
        task = await w.ok("POST", "/t/task", tid=tid)
        (made,) = (one for one in (await w.ok("POST", "/m/media/list", gid=0))["media"] if one["name"] == "copy")
        assert (task["state"], task["mid"]) == ("DONE", made["mid"])


@pytest.mark.holds("DUR-80")
async def test_a_clock_that_is_set_to_another_year_forgets_no_task(tmp_path: Path) -> None:
    async with world(tmp_path / "data") as w:
        tid = await _clone(w)
        assert await _ended(w, tid) == "DONE"
        began, passed = time.time(), 0.0
        w.server.services.tasks.steady = SteadyClock(lambda: began + passed, lambda: passed)
        passed += 7200
        began += 365 * 86_400
        mid = await w.medium("other")
        again = int((await w.ok("PUT", "/m/media/clone", mid=mid, gid=0, mpid=1, name="second"))["tid"])
        assert await _ended(w, again) == "DONE"
        assert await _ended(w, tid) == "DONE"
        passed += 3600
        await w.ok("PUT", "/m/media/clone", mid=mid, gid=0, mpid=1, name="third")
        assert await w.refused("POST", "/t/task", tid=tid) == (404, 23110)


@pytest.mark.holds("DUR-87")
async def test_a_task_that_is_cancelled_again_or_at_its_end_has_one_end(tmp_path: Path) -> None:
    """Both requests come at any moment of its work, and of its end."""
    ends: dict[int, str] = {}
    async with world(tmp_path / "data") as w:
        mid = await w.medium()
        for turns in range(60):
            tid = (await w.ok("PUT", "/m/media/clone", mid=mid, gid=0, mpid=1, name=f"copy {turns}"))["tid"]
            cancelling = [asyncio.ensure_future(w.call("DELETE", "/t/task", tid=tid))]
            for _ in range(turns % 20):
                await asyncio.sleep(0)
            cancelling.append(asyncio.ensure_future(w.call("DELETE", "/t/task", tid=tid)))
            for one in cancelling:
                answer = await one
                assert answer.status == 200, answer
            ends[tid] = (await w.ok("POST", "/t/task", tid=tid))["state"]
            assert ends[tid] in ("DONE", "CANCELLED"), turns
        await w.settle()
        names = [one["name"] for one in (await w.ok("POST", "/m/media/list", gid=0))["media"]]
        assert len(names) == len(w.files()) == 1 + list(ends.values()).count("DONE")
    async with world(tmp_path / "data") as w:
        for tid, state in ends.items():
            assert (await w.ok("POST", "/t/task", tid=tid))["state"] == state
