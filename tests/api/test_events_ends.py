"""Route 36, GET /v/events: what a cut, a lag and an end do."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.api.test_events import QUICK, granted, refusal
from tests.api.test_events import w as w
from tests.api.world import World, world
from tests.events.page import Page, Stream, is_changed, is_set, opened
from tests.patience import PATIENCE
from velocity.events.limits import StreamLimits
from velocity.events.pending import Key

pytestmark = pytest.mark.anyio


async def test_it_goes_on_after_a_cut_exactly(w: World) -> None:
    stream, page = await opened(w, w.key)
    names = [f"g{number}" for number in range(60)]
    for name in names[:20]:
        await w.group(name)
    await page.until(stream, is_set("group", name="g7"))
    await stream.leave()  # what was sent since is lost on the way
    for name in names[20:40]:
        await w.group(name)
    both = [Stream(w, w.key, last=page.last), Stream(w, w.key, query=f"last={page.last}")]
    for name in names[40:]:
        await w.group(name)
    for again in both:
        rest = Page()
        await rest.until(again, is_set("group", name="g59"))
        assert rest.snapshots == 0
        assert [one[2]["object"]["name"] for one in rest.told if is_set("group")(one)] == names[8:]


async def test_what_cannot_be_gone_on_from_begins_anew(tmp_path: Path) -> None:
    async with world(tmp_path / "data", limits=StreamLimits(most=10, **QUICK)) as w:
        stream, page = await opened(w, w.key)
        await stream.leave()
        instance = page.last.split("-")[0]
        for number in range(12):
            await w.group(f"g{number}")
        for last in (page.last, "", "x", f"{instance}-99999", f"{instance}-x", f"other-{1}", f"{instance}--1", "²-²"):
            again = Stream(w, w.key, last=last.encode().decode("latin-1"))
            event = await again.next()
            assert event is not None
            assert event[0] == "snapshot", last
            assert len(event[2]["groups"]) == 13
            await again.leave()


async def test_who_lags_out_of_the_ring_gets_a_snapshot(tmp_path: Path) -> None:
    async with world(tmp_path / "data", limits=StreamLimits(most=10, **QUICK)) as w:
        stream, page = await opened(w, w.key)
        stream.unstuck.clear()
        for number in range(30):
            await w.group(f"g{number}")
        stream.unstuck.set()
        await page.until(stream, lambda event: event[0] == "snapshot")
        assert len(page.objects["group"]) == 31
        await w.group("after")
        await page.until(stream, is_set("group", name="after"))


@pytest.mark.holds("EVENT-3")
async def test_rights_that_changed_over_a_cut(w: World) -> None:
    gid = await w.group("a")
    vmid = await w.vm("vm", gid)
    bob = await w.user("bob", (gid, "vm.view"))
    stream, page = await opened(w, bob)
    await stream.leave()
    await w.ok("DELETE", "/u/user/permission", **granted(await w.uid("bob"), gid, "vm.view"))
    await w.ok("PATCH", "/v/vm", vmid=vmid, name="secret")
    again = Stream(w, bob, last=page.last)
    await page.until(again, lambda event: event[0] == "snapshot")
    assert page.objects["vm"] == {}
    assert "secret" not in str(page.told)


@pytest.mark.holds("EVENT-8")
async def test_a_sign_of_life_carries_the_place(tmp_path: Path) -> None:
    async with world(tmp_path / "data", limits=StreamLimits(life=0.05, **QUICK)) as w:
        bob = await w.user("bob")
        stream, page = await opened(w, bob)
        for number in range(5):
            await w.group(f"g{number}")
        block = await stream.block()
        while block is not None and not block.startswith(b"event: alive\n"):
            block = await stream.block()
        assert block is not None
        _, place, data = block.split(b"\n")
        assert data == b"data: {}", "a browser passes on no event without data"
        assert int(place.split(b"-")[1]) > int(page.last.split("-")[1]), "a cut later costs no snapshot"


async def test_sign_out_ends_it(w: World) -> None:
    bob = await w.user("bob")
    stream, page = await opened(w, bob)
    await w.ok("DELETE", "/u/auth", bob)
    event = await page.until(stream, lambda event: event[0] == "bye")
    assert event[2] == {"reason": "signed out"}
    assert await stream.next() is None
    await stream.task
    assert (await refusal(w, bob)) == (401, 100)


async def test_a_new_password_and_removal_end_it(w: World) -> None:
    for change in ("password", "removal"):
        bob = await w.user("bob", (0, "vm.view"))
        stream, page = await opened(w, bob)
        uid = await w.uid("bob")
        if change == "password":
            await w.ok("PATCH", "/u/user", uid=uid, password="another one")
        await w.ok("DELETE", "/u/user", uid=uid)
        await w.vm(f"secret {change}")
        event = await page.until(stream, lambda event: event[0] == "bye")
        assert event[2] == {"reason": "signed out"}
        assert f"secret {change}" not in str(page.told)


async def test_it_ends_with_the_session(tmp_path: Path) -> None:
    async with world(tmp_path / "data", limits=StreamLimits(life=0.05, **QUICK)) as w:
        bob = await w.user("bob")
        stream, page = await opened(w, bob)
        now = w.server.services.access.sessions.clock()
        w.server.services.access.sessions.clock = lambda: now + 10**6
        event = await page.until(stream, lambda event: event[0] == "bye")
        assert event[2] == {"reason": "signed out"}


async def test_the_end_of_the_server_is_said(w: World) -> None:
    streams = [await opened(w, w.key) for _ in range(3)]
    w.server.services.events.readers.end()
    for stream, page in streams:
        event = await page.until(stream, lambda event: event[0] == "bye")
        assert event[2] == {"reason": "shutting down"}
        assert await stream.next() is None
        await stream.task


async def test_who_does_not_read_is_cut_off(tmp_path: Path) -> None:
    async with world(tmp_path / "data", limits=StreamLimits(patience=0.05, farewell=0.05, **QUICK)) as w:
        stuck, _ = await opened(w, w.key)
        slow, page = await opened(w, w.key)
        for stream in (stuck, slow):
            stream.unstuck.clear()
        slow.reads_again = b"slow"
        await w.group("a")
        event = await page.until(slow, lambda event: event[0] == "bye")
        assert event[2] == {"reason": "slow"}
        await asyncio.wait_for(asyncio.gather(stuck.task, slow.task), PATIENCE)
        assert stuck.cut
        assert not slow.cut
        assert w.server.services.events.readers.count == 0


async def test_a_hundred_readers_hear_all_of_it(w: World) -> None:
    streams = [await opened(w, w.key) for _ in range(100)]
    vmids = [await w.vm(f"vm{number}") for number in range(20)]
    for stream, page in streams:
        await page.until(stream, is_set("vm", vmid=vmids[-1]))
        assert list(page.objects["vm"]) == vmids
    assert len({json.dumps([one for one in page.told if is_set("vm")(one)]) for _, page in streams}) == 1


@pytest.mark.holds("EVENT-7")
async def test_a_fault_in_telling_of_one_thing_keeps_nothing_else_from_being_told(
    w: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    gid = await w.group("team")
    await w.user("bob", home=gid)
    stream, page = await opened(w, w.key)
    writer = w.server.services.events.writer
    tell = writer.renderer

    def fails(key: Key, line: Sequence[int]) -> None:
        if key[0] == "user":
            raise KeyError(key)
        tell(key, line)

    monkeypatch.setattr(writer, "renderer", fails)
    await w.ok("DELETE", "/u/group", gid=gid)
    await page.until(stream, is_changed("trash", 0))
    await stream.leave()
