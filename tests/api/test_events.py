"""Route 36, GET /v/events: what is told, and to whom."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.api.test_senders import slow
from tests.api.world import PASSWORD, World, world
from tests.events.page import Stream, is_changed, is_gone, is_set, opened
from tests.patience import PATIENCE
from velocity.api import events
from velocity.events.limits import StreamLimits
from velocity.hypervisor.port import Fact, FactCause

pytestmark = pytest.mark.anyio
QUICK: Any = {"pace": {}, "wake": 0.0, "own": 100}


@pytest.fixture
async def w(tmp_path: Path, anyio_backend: str) -> AsyncIterator[World]:
    async with world(tmp_path / "data", limits=StreamLimits(**QUICK)) as made:
        yield made


async def snapshot(w: World, key: str) -> dict[str, Any]:
    stream = Stream(w, key)
    event = await stream.next()
    await stream.leave()
    assert event is not None
    assert event[0] == "snapshot"
    return dict(event[2])


def granted(uid: int, gid: int, permission: str) -> dict[str, Any]:
    return {"uid": uid, "gid": gid, "permission": f"velocity.{permission}"}


async def test_a_right_that_is_gone_is_gone_from_the_next_snapshot_of_the_same_user(w: World) -> None:
    """Whatever was made for another stream of theirs a moment before."""
    gid = await w.group("one")
    await w.ok("PUT", "/v/vm/efi", name="vm", gid=gid, cpus=1, memory_mib=64)
    key = await w.user("ann", (gid, "vm.view"))
    uid = await w.uid("ann")
    await w.settle()
    for _ in range(2):
        assert [one["name"] for one in (await snapshot(w, key))["vms"]] == ["vm"]
    await w.ok("DELETE", "/u/user/permission", **granted(uid, gid, "vm.view"))
    assert (await snapshot(w, key))["vms"] == []
    await w.ok("PUT", "/u/user/permission", **granted(uid, gid, "vm.view"))
    assert len((await snapshot(w, key))["vms"]) == 1
    await w.ok("DELETE", "/u/group", gid=gid, force=True)
    assert (await snapshot(w, key))["vms"] == []


@pytest.mark.holds("BOUND-38")
async def test_a_long_snapshot_is_sent_in_pieces_in_the_turns_of_its_user(
    w: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However many streams a user opens at once, others come between two pieces."""
    for number in range(40):
        await w.group(f"{number} " + "x" * 60)
    told = await snapshot(w, w.key)
    monkeypatch.setattr(events, "PIECE", 1000)
    slow(w.server.services.turns)
    step, counting = 0, True
    steps: list[int] = []
    """In which step of the loop a piece was sent, each time."""

    def count() -> None:
        nonlocal step
        step += 1
        if counting:
            asyncio.get_running_loop().call_soon(count)

    class Sent(asyncio.Queue[bytes | None]):
        def put_nowait(self, item: bytes | None) -> None:
            if item and len(item) == events.PIECE:  # what is short, as a sign of life, needs no turn
                steps.append(step)
            super().put_nowait(item)

    async def read() -> None:
        stream = Stream(w, w.key)
        stream.sent = Sent()
        pieces: list[bytes] = []
        while not b"".join(pieces).endswith(b"\n\n"):
            piece = await asyncio.wait_for(stream.sent.get(), PATIENCE)
            pieces.append(piece or b"")
        await stream.leave()
        assert max(map(len, pieces)) <= 1000
        assert told == json.loads(b"".join(pieces).partition(b"data: ")[2].partition(b"\nid: ")[0])

    count()
    await asyncio.gather(*(read() for _ in range(4)))
    counting = False
    assert len(steps) > 20
    assert max(map(steps.count, steps)) <= 2, "one of those that wait, and one that has just come"


@pytest.mark.holds("BOUND-38")
async def test_a_snapshot_is_kept_from_the_last_stream_on_that_was_sent_it(w: World) -> None:
    await w.settle()
    states = w.server.services.events.initial_states
    taken = [states.take(0)[0]]
    forgetting = states.forgetting
    taken.append(states.take(0)[0])
    assert taken[0] is taken[1]
    assert forgetting is not None
    assert forgetting.cancelled()
    assert states.forgetting is not None
    assert not states.forgetting.cancelled()


# Refusals


async def test_it_needs_an_authkey_and_room(w: World, tmp_path: Path) -> None:
    for key in ("", "wrong"):
        stream = Stream(w, key)
        await stream.task
        assert stream.status == 401
        body = await stream.sent.get()
        assert json.loads(body or b"")["code"] == 100
    async with world(tmp_path / "other", limits=StreamLimits(own=2, readers=3)) as full:
        bob, ann = await full.user("bob"), await full.user("ann")
        opened = [Stream(full, bob), Stream(full, bob)]
        await opened[0].next()
        assert (await refusal(full, bob)) == (429, 429), "no more of one user"
        opened.append(Stream(full, ann))
        await opened[2].next()
        assert (await refusal(full, ann)) == (429, 429), "no more in all"
        await opened[0].leave()
        assert full.server.services.events.readers.count == 2
        again = Stream(full, ann)
        assert (await again.next() or ("",))[0] == "snapshot"
        full.server.services.events.readers.end()
        assert (await refusal(full, ann)) == (503, 503)


async def refusal(w: World, key: str) -> tuple[int, int]:
    answer = await w.call("GET", "/v/events", key)
    return answer.status, answer.code


async def test_the_protocol(w: World) -> None:
    stream = Stream(w, w.key)
    block = await stream.block()
    assert block is not None
    assert [line.split(b": ")[0] for line in block.splitlines()] == [b"event", b"data", b"id"]
    assert stream.status == 200
    assert stream.headers["content-type"] == "text/event-stream"
    assert stream.headers["cache-control"] == "no-store"
    await stream.leave()
    assert w.server.services.events.readers.count == 0
    assert (await w.call("POST", "/v/events"))["code"] == 405
    head = Stream(w, w.key, method="HEAD")
    await head.task
    assert head.status == 200, "and nothing hangs"
    by_field = await w.http.get("http://velocity/v/events", headers={"x-velocity-authkey": "wrong"})
    assert by_field.json()["code"] == 100


# What is told


async def test_what_another_request_changes_arrives(w: World) -> None:
    stream, page = await opened(w, w.key)

    async def used_by(users: list[dict[str, Any]]) -> None:
        """Wait until the page says so of the medium: it may have been told before what was waited for."""
        while page.objects["medium"][mid]["used_by"] != users:
            await page.until(stream, lambda event: True)

    gid = await w.group("a")
    group = await page.until(stream, is_set("group", gid=gid))
    assert group[2]["object"]["parent_gid"] == 0
    assert "velocity.vm.create" in group[2]["object"]["permissions"]
    mid = await w.medium("disk")
    await page.until(stream, is_set("medium", mid=mid, gid=0, used_by=[]))
    display = {"name": "d", "width": 64, "height": 48}
    vmid = await w.vm("vm", gid, media=[{"mid": mid, "mode": "BLOCK"}], displays=[display], nics=[{"type": "NAT"}])
    vm = (await page.until(stream, is_set("vm", vmid=vmid)))[2]["object"]
    assert vm == {
        "vmid": vmid, "gid": gid, "name": "vm", "cpus": 1, "memory_mib": 64, "state": "STOPPED", "wanted": "STOPPED",
        "autostart": False, "displays": [display], "media": [mid], "nics": ["NAT"], "waiting": [],
        "macs": vm["macs"], "revision": vm["revision"],
    }  # fmt: skip
    assert len(vm["macs"]) == 1
    await used_by([{"vmid": vmid, "name": "vm", "writing": False}])
    await w.ok("PUT", "/v/vm/state", vmid=vmid, state="RUNNING")
    await page.until(stream, is_set("vm", vmid=vmid, state="RUNNING"))
    await used_by([{"vmid": vmid, "name": "vm", "writing": True}])
    await w.ok("PATCH", "/v/vm", vmid=vmid, name="new", cpus=2)
    await page.until(stream, is_set("vm", vmid=vmid, name="new", waiting=["cpus"]))
    await used_by([{"vmid": vmid, "name": "new", "writing": True}])
    await w.ok("PUT", "/v/vm/state", vmid=vmid, state="STOPPED", force=True)
    await used_by([{"vmid": vmid, "name": "new", "writing": False}])
    await w.ok("DELETE", "/v/vm", vmid=vmid)
    await page.until(stream, is_gone("vm", vmid))
    await used_by([])
    await w.ok("DELETE", "/m/media", mid=mid)
    await page.until(stream, is_gone("medium", mid))
    await w.ok("DELETE", "/u/group", gid=gid)
    await page.until(stream, is_gone("group", gid))
    uid = (await w.ok("PUT", "/u/user", name="bob", password=PASSWORD))["uid"]
    await page.until(stream, is_set("user", uid=uid, name="bob"))
    await w.ok("DELETE", "/u/user", uid=uid)
    await page.until(stream, is_gone("user", uid))


async def test_what_the_guest_does_arrives(w: World) -> None:
    vmid = await w.vm()
    await w.ok("PUT", "/v/vm/state", vmid=vmid, state="RUNNING")
    stream, page = await opened(w, w.key)
    (run,) = w.hypervisor.runs.values()
    w.hypervisor.play(run.who.machine, Fact.PAUSED, FactCause.GUEST_PANICKED)
    event = await page.until(stream, is_set("vm", vmid=vmid, state="PAUSED"))
    assert event[2]["object"]["reason"]["cause"] == "guest-panicked"
    w.hypervisor.play(run.who.machine, Fact.ENDED, FactCause.GUEST_SHUTDOWN)
    event = await page.until(stream, is_set("vm", vmid=vmid, state="STOPPED"))
    assert event[2]["object"]["reason"]["cause"] == "guest-shutdown"


async def test_a_start_is_seen_while_it_takes_its_time(w: World) -> None:
    vmid = await w.vm()
    stream, page = await opened(w, w.key)
    w.hypervisor.faults.hold = asyncio.Event()
    starting = asyncio.create_task(w.ok("PUT", "/v/vm/state", vmid=vmid, state="RUNNING"))
    await page.until(stream, is_set("vm", vmid=vmid, state="STARTING", wanted="RUNNING"))
    w.hypervisor.faults.refuse = "no luck"
    w.hypervisor.faults.hold.set()
    with contextlib.suppress(AssertionError):
        await starting
    event = await page.until(stream, is_set("vm", vmid=vmid, state="STOPPED"))
    assert event[2]["object"]["reason"]["message"] == "no luck"


async def test_tasks_and_what_they_make(w: World) -> None:
    mid = await w.medium("disk")
    stream, page = await opened(w, w.key)
    tid = (await w.ok("PUT", "/m/media/clone", mid=mid, gid=0, mpid=1, name="copy"))["tid"]
    done = await page.until(stream, is_set("task", tid=tid, state="DONE"))
    assert done[2]["object"] == (await w.ok("POST", "/t/task", tid=tid)).body
    copy = (await w.ok("POST", "/t/task", tid=tid))["mid"]
    assert copy in page.objects["medium"]


async def test_what_is_read_again_is_said_only(w: World) -> None:
    gid = await w.group("a")
    low = await w.group("b", gid)
    vmid = await w.vm("vm", low)
    mid = await w.medium("disk")
    stream, page = await opened(w, w.key)
    await w.ok("PUT", "/u/group/quota", gid=gid, vms=3)
    await page.until(stream, is_changed("quota", gid))
    await w.vm("other", low)
    for one in (low, gid, 0):
        await page.until(stream, is_changed("quota", one))
    await w.ok("PUT", "/m/pool/assign", gid=gid, mpid=1, quota=0, write=True, manage=True)
    await page.until(stream, is_changed("pool", gid))
    await w.ok("DELETE", "/v/vm", vmid=vmid)
    await page.until(stream, is_changed("trash", low))
    await w.ok("DELETE", "/m/media", mid=mid)
    await page.until(stream, is_changed("trash", 0))
    await page.until(stream, is_changed("history", 0))
    trid = (await w.ok("POST", "/t/trash/list"))["items"][0]["trid"]
    await w.ok("PUT", "/t/trash", trid=trid)
    await page.until(stream, is_set("medium", mid=mid))
    await page.until(stream, is_changed("trash", 0))
    await w.ok("DELETE", "/u/group", gid=gid, force=True)
    await page.until(stream, is_gone("group", low))
    await page.until(stream, is_changed("trash", 0))
    trid = (await w.ok("POST", "/t/trash/list"))["items"][0]["trid"]
    await w.ok("PUT", "/t/trash", trid=trid)
    await page.until(stream, is_set("group", gid=low))
    assert {one["gid"] for one in page.objects["vm"].values()} == {low}
    await w.ok("POST", "/u/auth", "", name="root", password=PASSWORD)
    await page.until(stream, is_changed("session"))


async def test_what_is_unchanged_is_not_told_again(w: World) -> None:
    vmid = await w.vm()
    stream, page = await opened(w, w.key)
    await w.ok("PATCH", "/v/vm", vmid=vmid, name="one")
    await page.until(stream, is_set("vm", name="one"))
    before = len(page.told)
    await w.ok("PATCH", "/v/vm", vmid=vmid, name="one")
    await w.ok("PUT", "/v/vm/state", vmid=vmid, state="STOPPED")
    await w.group("the end")
    await page.until(stream, is_set("group", name="the end"))
    assert not [one for one in page.told[before:] if is_set("vm")(one)]


# To whom


@pytest.mark.holds("EVENT-2")
async def test_who_has_no_right_is_told_nothing(w: World) -> None:
    ours, theirs = await w.group("ours"), await w.group("theirs")
    bob = await w.user("bob", (ours, "vm.view"))
    stream, page = await opened(w, bob)
    assert "users" not in page.told[0][2]
    assert [one["gid"] for one in page.objects["group"].values()] == [0, ours]
    vmid = await w.vm("secret", theirs)
    mid = await w.medium("secret", gid=0)
    await w.ok("PUT", "/v/vm/state", vmid=vmid, state="RUNNING")
    await w.ok("PUT", "/u/group/quota", gid=theirs, vms=3)
    await w.group("secret", theirs)
    await w.user("secret", (theirs, "vm.view"))
    await w.ok("PUT", "/m/media/clone", mid=mid, gid=0, mpid=1, name="secret copy")
    await w.ok("PUT", "/v/vm/state", vmid=vmid, state="STOPPED", force=True)
    await w.ok("DELETE", "/v/vm", vmid=vmid)
    await w.ok("DELETE", "/u/group", gid=theirs)
    assert await stream.nothing(0.2)
    mine = await w.vm("mine", ours, media=[{"mid": mid, "mode": "BLOCK"}])
    await page.until(stream, is_set("vm", vmid=mine))
    assert await stream.nothing(), "the medium is not his to list"
    assert "secret" not in str(page.told)


async def test_a_medium_names_only_vms_that_one_may_view(w: World) -> None:
    ours, theirs = await w.group("ours"), await w.group("theirs")
    mid = await w.medium("iso", gid=0)
    bob = await w.user("bob", (0, "media.list"), (ours, "vm.view"))
    bobs, pages = await opened(w, bob)
    roots, page = await opened(w, w.key)
    attached = [{"mid": mid, "mode": "USB", "readonly": True}]
    hers = await w.vm("hers", theirs, media=attached)
    mine = await w.vm("mine", ours, media=attached)
    both = [{"vmid": hers, "name": "hers", "writing": False}, {"vmid": mine, "name": "mine", "writing": False}]
    await page.until(roots, is_set("medium", mid=mid, used_by=both))
    await pages.until(bobs, is_set("medium", mid=mid, used_by=both[1:]))
    assert "hers" not in str(pages.told)
    assert (await w.ok("POST", "/m/media/list", bob, gid=0))["media"][0]["used_by"] == both[1:]
    assert (await w.ok("POST", "/m/media/list", gid=0))["media"][0]["used_by"] == both
    assert (await snapshot(w, bob))["media"][0]["used_by"] == both[1:]


async def test_rights_given_and_taken_while_reading(w: World) -> None:
    gid = await w.group("a")
    vmid = await w.vm("vm", gid)
    bob = await w.user("bob")
    uid = await w.uid("bob")
    stream, page = await opened(w, bob)
    assert page.objects["vm"] == {}
    await w.ok("PUT", "/u/user/permission", **granted(uid, gid, "vm.view"))
    await page.until(stream, lambda event: event[0] == "snapshot")
    assert list(page.objects["vm"]) == [vmid]
    assert page.objects["group"][gid]["permissions"] == ["velocity.vm.view"]
    await w.ok("PUT", "/u/user/permission", **granted(uid, gid, "vm.view"))  # held already
    await w.ok("PATCH", "/v/vm", vmid=vmid, name="new")
    assert (await page.until(stream, lambda _: True))[0] == "set"
    await w.ok("DELETE", "/u/user/permission", **granted(uid, gid, "vm.view"))
    await w.ok("PATCH", "/v/vm", vmid=vmid, name="secret")
    await page.until(stream, lambda event: event[0] == "snapshot")
    assert page.objects["vm"] == page.objects["group"] == {}
    assert await stream.nothing()
    assert "secret" not in str(page.told)


async def test_a_group_that_goes_takes_the_rights_on_it(w: World) -> None:
    gid = await w.group("a")
    bob = await w.user("bob", (gid, "vm.view"))
    stream, page = await opened(w, bob)
    assert set(page.objects["group"]) == {0, gid}
    await w.ok("DELETE", "/u/group", gid=gid)
    await page.until(stream, lambda event: event[0] == "snapshot")
    assert page.objects["group"] == {}, "what was shown only to draw the tree is gone with it"
    trid = (await w.ok("POST", "/t/trash/list"))["items"][0]["trid"]
    await w.ok("PUT", "/t/trash", trid=trid)
    await page.until(stream, lambda event: event[0] == "snapshot")
    assert set(page.objects["group"]) == {0, gid}


async def test_a_pool_that_is_given_and_taken(w: World) -> None:
    gid = await w.group("a")
    low = await w.group("b", gid)
    bob = await w.user("bob", (low, "pool.list"), (low, "media.list"))
    stream, page = await opened(w, bob)
    assert page.rest["pools"] == []
    await w.ok("PUT", "/m/pool/assign", gid=gid, mpid=1, write=True, manage=True)
    await page.until(stream, lambda event: event[0] == "snapshot")
    assert page.rest["pools"] == [{"mpid": 1, "name": "default"}]
    mid = await w.medium("disk", gid=low)
    await page.until(stream, is_set("medium", mid=mid, readonly=False))
    await w.ok("PUT", "/m/pool/assign", gid=gid, mpid=1, write=False, manage=True)
    await page.until(stream, is_set("medium", mid=mid, readonly=True))
    await w.ok("DELETE", "/m/pool/assign", gid=gid, mpid=1)
    await page.until(stream, lambda event: event[0] == "snapshot")
    assert page.rest["pools"] == []
