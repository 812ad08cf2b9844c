"""A disk that grows in a pool that fails, does not answer, or whose server is killed: it has one size or the other."""

from __future__ import annotations

import asyncio
import errno
import struct
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from tests.api.world import Answer, World, world
from tests.faults.clock import HastyLoop
from tests.faults.served import kill
from tests.patience import eventually
from tests.store.lossy import Lossy
from velocity.config import PoolSetting
from velocity.storage.fake import FakeStorage, connect
from velocity.storage.fake.pools import CallLost, Fails, FakeHost, Hangs, Late
from velocity.storage.port import MediaRef

MIB = 1 << 20
AT_THE_FILE = 3
"""The calls of the pool before that one: its state, and twice for its space."""
LONG = 300.0


class Host:
    """A server whose second pool is in memory, and outlives it."""

    def __init__(self, data: Path) -> None:
        self.loop = HastyLoop()
        self.data = data
        self.dead: list[object] = []
        self.host = FakeHost((1, "good"), (2, "usb"))
        self.usb = self.host.pools[2]

    async def start(self) -> World:
        pools = [PoolSetting(mpid=one.mpid, name=one.name, path=self.data / one.name) for one in
                 self.host.pools.values()]  # fmt: skip
        self.storage: FakeStorage = connect(self.host)
        self.opened = world(self.data, machines=self.loop.machines, storage=lambda _: self.storage, pools=pools)
        self.w = await self.opened.__aenter__()
        return self.w

    async def killed(self) -> None:
        self.storage.line.cut = True
        await kill(self.w, self.loop)
        self.dead.append(self.opened)  # one that is collected would close in order
        self.usb.wake()

    async def hangs(self, doing: asyncio.Future[Any]) -> None:
        """Returns when pool 2 stands still by a fault of it, or when what is done has ended without."""
        await eventually(lambda: doing.done() or not self.usb.answers.is_set())

    def size(self, mid: str, format_: str) -> int:
        """Of the disk in the pool."""
        found = self.usb.kept[MediaRef(2, UUID(mid), format_)]
        return found.size if format_ == "raw" else int(struct.unpack(">Q", found.read(24, 8))[0])

    async def shown(self, mid: str) -> dict[str, Any]:
        return (await self.w.ok("POST", "/m/media", mid=mid)).body

    async def grow(self, mid: str) -> Answer:
        return await self.w.call("PATCH", "/m/media", mid=mid, size=2 * MIB)


def on_a_host(tmp_path: Path, work: Callable[[Host], Coroutine[Any, Any, None]]) -> None:
    host = Host(tmp_path / "data")

    async def whole() -> None:
        await host.start()
        await work(host)
        await host.opened.__aexit__(None, None, None)

    host.loop.run_until_complete(whole())
    host.loop.close()


@pytest.mark.holds("DUR-74")
@pytest.mark.parametrize("format_", ["raw", "qcow2"])
def test_what_the_pool_refuses_leaves_the_medium_and_its_quota_as_they_were(tmp_path: Path, format_: str) -> None:
    async def work(host: Host) -> None:
        mid = await host.w.medium(mpid=2, format=format_)
        before = await host.shown(mid)
        host.usb.after(AT_THE_FILE, Fails(errno.ENOSPC))
        answer = await host.grow(mid)
        assert (answer.status, answer.code) == (406, 14421), answer
        assert await host.shown(mid) == before and host.size(mid, format_) == MIB
        assert (await host.w.ok("POST", "/m/pool/list", gid=0))["pools"][1]["used"] == MIB
        await host.killed()
        await host.start()
        assert await host.shown(mid) == before and host.size(mid, format_) == MIB
        assert (await host.grow(mid)).status == 200 and host.size(mid, format_) == 2 * MIB

    on_a_host(tmp_path, work)


@pytest.mark.holds("DUR-74")
@pytest.mark.parametrize("format_", ["raw", "qcow2"])
@pytest.mark.parametrize("fault", [CallLost(), Hangs()])
def test_what_a_silent_pool_was_asked_is_done_when_it_answers(tmp_path: Path, format_: str, fault: Any) -> None:
    async def work(host: Host) -> None:
        mid = await host.w.medium(mpid=2, format=format_)
        host.usb.after(AT_THE_FILE, fault)
        answer = await host.grow(mid)
        assert answer.status == 200 and "it grows as soon as the pool responds" in answer["warnings"][0]
        host.usb.wake()
        await asyncio.sleep(LONG)
        assert host.size(mid, format_) == (await host.shown(mid))["size"] == 2 * MIB
        assert not host.w.server.services.library.get(UUID(mid)).growing

    on_a_host(tmp_path, work)


@pytest.mark.holds("DUR-74")
@pytest.mark.parametrize("format_", ["raw", "qcow2"])
def test_a_kill_at_any_point_leaves_a_disk_as_large_as_its_medium(tmp_path: Path, format_: str) -> None:
    async def work(host: Host) -> None:
        cut = 0
        for calls in range(AT_THE_FILE + 2):
            mid = await host.w.medium(f"disk {calls}", mpid=2, format=format_)
            host.usb.after(calls, Hangs())
            growing = asyncio.ensure_future(host.grow(mid))
            await host.hangs(growing)
            await host.killed()
            growing.cancel()
            cut += host.size(mid, format_) == MIB
            await host.start()
            await asyncio.sleep(LONG)
            size = (await host.shown(mid))["size"]
            assert size == host.size(mid, format_) == (MIB if calls < AT_THE_FILE else 2 * MIB), calls
        assert cut == AT_THE_FILE + 1, "in one case the server finished what was committed"

    on_a_host(tmp_path, work)


async def left_growing(host: Host) -> str:
    """A medium that is to grow, as it was to when the server was killed; its disk fails now."""
    mid = await host.w.medium(mpid=2)
    host.usb.after(AT_THE_FILE, Hangs())
    growing = asyncio.ensure_future(host.grow(mid))
    await host.hangs(growing)
    await host.killed()
    growing.cancel()
    host.usb.faults = {host.usb.calls + number: Fails(errno.EIO) for number in range(1, 100)}
    await host.start()
    assert (await host.shown(mid))["size"] == 2 * MIB and host.size(mid, "raw") == MIB
    return mid


@pytest.mark.holds("DUR-86")
def test_what_was_changed_meanwhile_stays_so_when_a_disk_has_grown(tmp_path: Path) -> None:
    async def work(host: Host) -> None:
        mid = await left_growing(host)
        before = host.usb.calls
        host.usb.faults = {before + 1: Late(5.0)}
        await eventually(lambda: host.usb.calls > before, every=0.5)
        await host.w.ok("PATCH", "/m/media", mid=mid, name="another name")  # as it is about to be tried again
        await asyncio.sleep(LONG)
        one = await host.shown(mid)
        assert (one["name"], one["size"], host.size(mid, "raw")) == ("another name", 2 * MIB, 2 * MIB)
        await host.killed()
        await host.start()
        assert (await host.shown(mid))["name"] == "another name"

    on_a_host(tmp_path, work)


@pytest.mark.holds("DUR-86")
def test_a_disk_that_was_to_grow_when_it_was_deleted_grows_when_it_is_restored(tmp_path: Path) -> None:
    async def work(host: Host) -> None:
        mid = await left_growing(host)
        host.usb.faults = {}
        await host.w.ok("DELETE", "/m/media", mid=mid)
        assert [one.size for one in host.usb.trash.values()] == [MIB]
        await asyncio.sleep(LONG)
        (item,) = (await host.w.ok("POST", "/t/trash/list"))["items"]
        await host.w.ok("PUT", "/t/trash", trid=item["trid"])
        await asyncio.sleep(LONG)
        assert (await host.shown(mid))["size"] == host.size(mid, "raw") == 2 * MIB

    on_a_host(tmp_path, work)


@pytest.mark.holds("DUR-86")
def test_a_growth_that_is_refused_and_cannot_be_taken_back_is_shown_and_finished(tmp_path: Path) -> None:
    async def work(host: Host) -> None:
        mid = await host.w.medium(mpid=2)
        database = Lossy(host.w.server.database)
        host.usb.after(AT_THE_FILE, Hangs())
        growing = asyncio.ensure_future(host.grow(mid))
        await host.hangs(growing)
        database.silent, host.usb.state = True, "readonly"
        host.usb.wake()
        answer = await growing
        assert answer.status == 200 and "it grows as soon as it can" in answer["warnings"][0]
        assert (await host.shown(mid))["size"] == 2 * MIB
        database.silent, host.usb.state = False, "online"
        await asyncio.sleep(LONG)
        assert host.size(mid, "raw") == 2 * MIB
        assert (await host.w.ok("POST", "/m/pool/list", gid=0))["pools"][1]["used"] == 2 * MIB
        await host.killed()
        await host.start()
        assert (await host.shown(mid))["size"] == 2 * MIB

    on_a_host(tmp_path, work)


@pytest.mark.holds("DUR-86")
def test_an_error_that_nobody_foresaw_keeps_no_disk_from_growing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def work(host: Host) -> None:
        mid = await left_growing(host)
        blobs, times = host.storage.blobs, 0
        grow = blobs.grow

        async def fails_once(ref: MediaRef, size: int, *, deadline: float) -> None:
            nonlocal times
            times += 1
            if times == 1:
                raise RuntimeError("can't start new thread")
            await grow(ref, size, deadline=deadline)

        monkeypatch.setattr(blobs, "grow", fails_once)
        host.usb.faults = {}
        await asyncio.sleep(LONG)
        assert times == 2 and host.size(mid, "raw") == 2 * MIB

    on_a_host(tmp_path, work)
