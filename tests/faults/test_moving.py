"""A medium that moves, or is converted, amid faults and kills: its bytes are at its old place, or at its new one."""

from __future__ import annotations

import asyncio
import errno
from pathlib import Path
from typing import Any

import pytest

from tests.faults.test_growing import LONG, Host, on_a_host
from velocity.storage.fake.pools import CallLost, Fails, Hangs

DATA = b"what it holds".ljust(4096, b"\0") * 3


async def uploaded(host: Host, number: int, mpid: int) -> str:
    sent = {"x_velocity_mpid": str(mpid), "x_velocity_name": f"disk {number}", "x_velocity_type": "DISK"}
    return str((await host.w.upload(DATA, **sent))["mid"])


async def whole(host: Host, mid: str) -> dict[str, Any]:
    """The medium as it is shown: its bytes are there, once."""
    one = await host.shown(mid)
    pools = host.host.pools.values()
    held = [(ref.pool, ref.format) for pool in pools for ref in pool.kept if str(ref.medium) == mid]
    assert held == [(one["mpid"], one["format"])], "it is there once"
    assert not any(pool.moving or pool.left for pool in pools), "and nothing is left of the other"
    headers = {"authorization": f"Bearer {host.w.key}"}
    answer = await host.w.http.get(f"http://velocity/m/media/content/{mid}", headers=headers)
    assert answer.content == DATA
    used = [pool["used"] for pool in (await host.w.ok("POST", "/m/pool/list", gid=0))["pools"]]
    media = (await host.w.ok("POST", "/m/media/list", gid=0))["media"]
    assert used == [sum(each["size"] for each in media if each["mpid"] == mpid) for mpid in (1, 2)]
    return one


async def begin(host: Host, way: str, mid: str) -> int:
    """The task; it goes on by itself."""
    one = await host.shown(mid)
    if way == "move":
        answer = await host.w.call("PUT", "/m/media/move", mid=mid, mpid=3 - one["mpid"])
    else:
        format_ = one["format"] if way == "compact" else "qcow2"
        answer = await host.w.call("PUT", "/m/media/convert", mid=mid, format=format_)
    return int(answer.body.get("tid", 0))


async def over(host: Host, begun: asyncio.Future[int]) -> None:
    await begun
    await host.w.server.services.tasks.settle()


@pytest.mark.holds("DUR-77")
@pytest.mark.long
@pytest.mark.parametrize(("way", "mpid"), [("move", 1), ("move", 2), ("compact", 2)])
def test_a_kill_at_any_point_leaves_a_medium_at_one_place_with_its_bytes(tmp_path: Path, way: str, mpid: int) -> None:
    async def work(host: Host) -> None:
        ends: list[str] = []
        for calls in range(30):
            mid = await uploaded(host, calls, mpid)
            before = await host.shown(mid)
            host.usb.after(calls, Hangs())
            doing = asyncio.ensure_future(begin(host, way, mid))
            ending = asyncio.ensure_future(over(host, doing))
            await host.hangs(ending)
            ended = ending.done()
            await host.killed()
            doing.cancel()
            host.usb.faults.clear()
            await host.start()
            one = await whole(host, mid)
            moved = (one["mpid"], one["format"]) != (before["mpid"], before["format"])
            tasks = (await host.w.ok("POST", "/t/task/list", gid=0))["tasks"]
            state = next((each["state"] for each in tasks if each["name"] == f"disk {calls}"), None)
            if way != "compact" and state != "CANCELLED":  # as what is killed here is cancelled, and may yet say so
                assert moved is (state == "DONE"), (calls, state)
            ends.append(state or "never begun")
            if ended:
                break
        assert ended and ends[-1] == "DONE", "without a kill it is done"
        assert {"FAILED", "CANCELLED"} & set(ends), "some were cut amid the work"

    on_a_host(tmp_path, work)


@pytest.mark.holds("DUR-77")
@pytest.mark.long
@pytest.mark.parametrize(
    ("way", "fault"), [("move", CallLost()), ("move", Fails(errno.EIO)), ("convert", Fails(errno.ENOSPC))]
)
def test_a_fault_at_any_point_leaves_a_medium_at_one_place_with_its_bytes(tmp_path: Path, way: str, fault: Any) -> None:
    async def work(host: Host) -> None:
        for calls in range(30):
            mid = await uploaded(host, calls, 2)
            host.usb.after(calls, fault)
            await begin(host, way, mid)
            await host.w.server.services.tasks.settle()
            await asyncio.sleep(LONG)
            met = not host.usb.faults
            host.usb.faults.clear()
            await host.w.ok("POST", "/m/pool/list", gid=0)
            await whole(host, mid)
            if not met:
                break
        assert calls > 4 and not met, "each of its calls has met the fault"

    on_a_host(tmp_path, work)
