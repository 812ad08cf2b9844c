"""Pictures of displays (route 31) and the search in them (32), over the fake's painted words."""

from __future__ import annotations

import asyncio
import base64
import io
import itertools
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from msgspec import UNSET
from PIL import Image

from tests.api.world import World, world
from tests.patience import eventually
from velocity.contract.problems import Problem, Refused
from velocity.hypervisor.port import Incarnation
from velocity.machines.consoles import screens
from velocity.machines.consoles.ocr import OWN, Ocr
from velocity.machines.consoles.screens import AT_ONCE, EVERY, TOGETHER
from velocity.unprivileged import MEMORY

pytestmark = pytest.mark.anyio


@pytest.fixture
async def w(tmp_path: Path, anyio_backend: str) -> AsyncIterator[World]:
    """In which one user may ask for as many pictures at once as several would."""
    async with world(tmp_path / "data", user_pictures=100) as made:
        yield made


DISPLAYS = [{"name": "left", "width": 640, "height": 200}, {"name": "right", "width": 320, "height": 100}]


async def running(w: World, name: str = "Penguin", **more: Any) -> int:
    vmid = await w.vm(name, displays=DISPLAYS, **more)
    await w.ok("PUT", "/v/vm/state", vmid=vmid, state="RUNNING")
    return vmid


async def get(w: World, key: str | None = None, **query: Any) -> httpx.Response:
    headers = {"authorization": f"Bearer {w.key if key is None else key}"}
    return await w.http.get("http://velocity/v/vm/screen", params=query, headers=headers)


def clock(w: World) -> list[float]:
    now = [100.0]
    w.server.services.screens.clock = lambda: now[0]
    return now


async def test_who_gets_a_picture_and_of_what(w: World, monkeypatch: pytest.MonkeyPatch) -> None:
    vmid = await w.vm("Penguin", displays=DISPLAYS)
    stranger, viewer = await w.user("stranger"), await w.user("viewer", (0, "vm.view"))
    assert await w.refused("POST", "/v/vm/screen", stranger, vmid=vmid) == (404, 31110)
    assert await w.refused("POST", "/v/vm/screen", vmid=999) == (404, 31110)
    assert await w.refused("POST", "/v/vm/screen", viewer, vmid=vmid) == (403, 31100)
    assert await w.refused("POST", "/v/vm/screen", vmid=vmid) == (406, 31120)
    assert (await get(w, vmid=vmid)).json()["code"] == 31120
    await w.ok("PUT", "/v/vm/state", vmid=vmid, state="RUNNING")
    assert await w.refused("POST", "/v/vm/screen", vmid=vmid, display="middle") == (406, 31121)

    answer = await w.ok("POST", "/v/vm/screen", vmid=vmid)
    assert (answer["vmid"], answer["display"], answer["width"], answer["height"]) == (vmid, "left", 640, 200)
    assert "text" not in answer.body
    with Image.open(io.BytesIO(base64.b64decode(answer["png"]))) as picture:
        assert (picture.format, picture.size) == ("PNG", (640, 200))
    assert (await w.ok("POST", "/v/vm/screen", vmid=vmid, display="right"))["width"] == 320
    assert w.hypervisor.screens.shots[-1][1] == 1

    blank = await w.vm("blank")
    await w.ok("PUT", "/v/vm/state", vmid=blank, state="RUNNING")
    assert await w.refused("POST", "/v/vm/screen", vmid=blank) == (406, 31121)
    monkeypatch.setenv("PATH", "/nowhere")
    assert await w.refused("POST", "/v/vm/screen", vmid=vmid, text=True) == (406, 31122)
    assert await w.refused("POST", "/v/vm/screen/search", text="x") == (406, 32120)
    assert await w.refused("POST", "/v/vm/screen/search", "", text="x") == (401, 100)


async def test_the_hypervisors_words_are_told_and_a_failure_counts_as_a_picture(w: World) -> None:
    vmid, now = await running(w), clock(w)
    w.hypervisor.faults.refuse = "no ink"
    answer = await w.call("POST", "/v/vm/screen", vmid=vmid)
    assert (answer.status, answer.code) == (500, 31130)
    assert "no ink" in answer["message"]
    assert await w.refused("POST", "/v/vm/screen", vmid=vmid) == (500, 31130), "not asked again so soon"
    assert len(w.hypervisor.screens.shots) == 1
    now[0] += EVERY
    await w.ok("POST", "/v/vm/screen", vmid=vmid)


@pytest.mark.holds("CONSOLE-6")
async def test_all_who_ask_share_one_picture(w: World) -> None:
    vmid, now = await running(w), clock(w)
    w.hypervisor.faults.hold = asyncio.Event()
    w.server.services.turns.clock = itertools.repeat(0.0).__next__  # none waits for its turn, however slow the host is
    asking = [asyncio.create_task(w.ok("POST", "/v/vm/screen", vmid=vmid)) for _ in range(10)]
    left = asyncio.create_task(get(w, vmid=vmid))
    await eventually(lambda: bool(w.hypervisor.screens.shots))
    for _ in range(100):  # all have come as far as they can
        await asyncio.sleep(0)
    left.cancel()  # who leaves takes nothing from the others
    now[0] += 60  # also while it takes long
    w.hypervisor.faults.hold.set()
    assert len({answer["png"] for answer in await asyncio.gather(*asking)}) == 1
    assert len(w.hypervisor.screens.shots) == 1
    first = (await w.ok("POST", "/v/vm/screen", vmid=vmid))["png"]
    assert len(w.hypervisor.screens.shots) == 2
    now[0] += 1.99
    assert (await get(w, vmid=vmid)).content == base64.b64decode(first)
    assert len(w.hypervisor.screens.shots) == 2
    await w.ok("POST", "/v/vm/screen", vmid=vmid, display="right")
    assert len(w.hypervisor.screens.shots) == 3, "each display for itself"
    await w.ok("PUT", "/v/vm/state", vmid=vmid, state="STOPPED", force=True)
    assert await w.refused("POST", "/v/vm/screen", vmid=vmid) == (406, 31120), "no picture outlives its run"
    await w.ok("PUT", "/v/vm/state", vmid=vmid, state="RUNNING")
    await w.ok("POST", "/v/vm/screen", vmid=vmid)
    assert len(w.hypervisor.screens.shots) == 4


async def test_what_has_waited_for_its_turn_is_not_taken_twice(w: World) -> None:
    displays = [{"name": str(number), "width": 16, "height": 16} for number in range(8)]
    now = clock(w)
    vmids = [await w.vm(name, displays=displays) for name in ("one", "two", "three")]
    for vmid in vmids:
        await w.ok("PUT", "/v/vm/state", vmid=vmid, state="RUNNING")
    w.hypervisor.faults.hold = asyncio.Event()

    async def all_of_them() -> None:
        every = [(vmid, display["name"]) for vmid in vmids for display in displays]
        await asyncio.gather(*(w.ok("POST", "/v/vm/screen", vmid=vmid, display=name) for vmid, name in every))

    asking = asyncio.create_task(all_of_them())
    await eventually(lambda: len(w.hypervisor.screens.shots) >= AT_ONCE)
    now[0] += 60
    w.hypervisor.faults.hold.set()
    await asking
    assert len(w.hypervisor.screens.shots) == 24
    await all_of_them()
    assert len(w.hypervisor.screens.shots) == 24 + AT_ONCE


@pytest.mark.holds("METRIC-10")
async def test_many_that_show_nothing_cost_the_others_nothing(w: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(screens, "HOLD", 0.05)
    display = [{"name": "screen", "width": 16, "height": 16}]
    keepers = []
    for number in range(2 * AT_ONCE + 1):
        vmid = await w.vm(f"vm{number}", displays=display)
        await w.ok("PUT", "/v/vm/state", vmid=vmid, state="RUNNING")
        keepers.append(w.server.services.fleet.get(vmid))
    *_, good = keepers

    class Blank:
        """Displays that never come, but for one."""

        async def shot(self, who: Incarnation, index: int, *, deadline: float) -> bytes:
            if who != good.who:
                await asyncio.Event().wait()
            return await w.hypervisor.screens.shot(who, index, deadline=deadline)

    vm_screens = screens.VmScreens(Blank(), Ocr(None))
    blank = [asyncio.create_task(vm_screens.picture(keeper, UNSET)) for keeper in keepers[:-1]]
    picture = await asyncio.wait_for(vm_screens.picture(good, UNSET), 30)
    assert (picture.width, picture.height) == (16, 16)
    assert not any(task.done() for task in blank)
    await vm_screens.close()
    await asyncio.gather(*blank, return_exceptions=True)


async def test_an_image_is_scaled_and_known_again(w: World) -> None:
    vmid, now = await running(w), clock(w)
    whole, small = await get(w, vmid=vmid), await get(w, vmid=vmid, display="left", width="160")
    assert whole.headers["content-type"] == "image/png"
    assert "no-cache" in whole.headers["cache-control"]
    for answer, size in ((whole, (640, 200)), (small, (160, 50)), (await get(w, vmid=vmid, width=2000), (640, 200))):
        with Image.open(io.BytesIO(answer.content)) as picture:
            assert picture.size == size
    assert len({whole.headers["etag"], small.headers["etag"]}) == 2

    async def again() -> httpx.Response:
        headers = {"authorization": f"Bearer {w.key}", "if-none-match": f'"other", W/{small.headers["etag"]}'}
        return await w.http.get("http://velocity/v/vm/screen", params={"vmid": vmid, "width": 160}, headers=headers)

    now[0] += EVERY
    known = await again()
    assert (known.status_code, known.content) == (304, b"")
    assert len(w.hypervisor.screens.shots) == 2, "it was looked at, and has not changed"
    now[0] += EVERY
    w.hypervisor.screens.shows[w.hypervisor.machines.started[0].machine, 0] = "another"
    assert (await again()).status_code == 200


@pytest.mark.parametrize(
    "query", [{}, {"vmid": "x"}, {"vmid": 1 << 63}, {"vmid": 1, "width": 0}, {"vmid": 1, "width": "1.5"}]
)
async def test_queries_without_sense(w: World, query: dict[str, Any]) -> None:
    answer = await get(w, **query)
    assert (answer.status_code, answer.json()["code"]) == (400, 400)
    assert answer.json()["field"] in ("vmid", "width")


async def test_an_image_needs_the_same_rights(w: World) -> None:
    vmid = await running(w)
    stranger, viewer = await w.user("stranger"), await w.user("viewer", (0, "vm.view"))
    for key, code in ((stranger, 31110), (viewer, 31100), ("nonsense", 100)):
        assert (await get(w, key, vmid=vmid)).json()["code"] == code
    assert (await get(w, vmid=vmid, display="middle")).json()["code"] == 31121
    assert w.hypervisor.screens.shots == []


@pytest.mark.holds("CONSOLE-9")
async def test_the_text_is_read_and_found(w: World) -> None:
    team = await w.group("team")
    now = clock(w)
    one, two, stopped = await running(w), await running(w, "Giraffe", gid=team), await w.vm("Walrus", displays=DISPLAYS)
    of_two = w.hypervisor.machines.started[-1].machine
    assert "Penguin left" in (await w.ok("POST", "/v/vm/screen", vmid=one, text=True))["text"]
    found = await w.ok("POST", "/v/vm/screen/search", text="PENGUIN")
    assert {(hit["vmid"], hit["display"]) for hit in found["hits"]} == {(one, "left"), (one, "right")}
    assert found["complete"] is True
    assert all("Penguin" in hit["line"] for hit in found["hits"])
    assert (await w.ok("POST", "/v/vm/screen/search", text="walrus"))["hits"] == [], stopped

    member = await w.user("member", (team, "vm.view"), (team, "vm.interact"))
    shots = len(w.hypervisor.screens.shots)
    now[0] += EVERY
    assert (await w.ok("POST", "/v/vm/screen/search", member, text="penguin"))["hits"] == []
    assert len(w.hypervisor.screens.shots) == shots + 2, "screens of others are not even looked at"
    w.hypervisor.screens.shows[of_two, 0] = "Kernel panic"
    now[0] += EVERY
    (hit,) = (await w.ok("POST", "/v/vm/screen/search", member, text="panic"))["hits"]
    assert hit == {"vmid": two, "display": "left", "line": "Kernel panic"}
    w.hypervisor.faults.refuse = "no ink"
    now[0] += EVERY
    half = await w.ok("POST", "/v/vm/screen/search", member, text="giraffe")
    assert half["complete"] is False, "a screen that could not be read is told"


async def test_reading_is_bounded(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, w: World) -> None:
    slow = tmp_path / "tesseract"
    slow.write_text("#!/bin/sh\nexec sleep 60\n")
    slow.chmod(0o755)
    vmid = await running(w)
    picture = base64.b64decode((await w.ok("POST", "/v/vm/screen", vmid=vmid))["png"])
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    for impatient in (Ocr(None, seconds=0.2), Ocr(None, waiting=0)):
        with pytest.raises(Refused) as refused:
            await impatient.read(picture, 0)
        assert refused.value.problem is Problem.TOO_MANY_ATTEMPTS
    slow.write_text("#!/bin/sh\nexit 1\n")
    with pytest.raises(Refused) as refused:
        await Ocr(None).read(picture, 0)
    assert refused.value.problem is Problem.NO_READER, "a failure is not taken for an empty screen"


@pytest.mark.holds("BOUND-21")
async def test_the_queue_of_readings_is_fair(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, w: World) -> None:
    """One user's many are read one by one, with another's between them, and never take all of the queue."""
    reader = tmp_path / "tesseract"
    reader.write_text("#!/bin/sh\nexec sleep 0.05\n")
    reader.chmod(0o755)
    picture = base64.b64decode((await w.ok("POST", "/v/vm/screen", vmid=await running(w)))["png"])
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    ocr, done = Ocr(None), list[int]()

    async def read(uid: int) -> None:
        await ocr.read(picture, uid)
        done.append(uid)

    greedy = [asyncio.create_task(read(1)) for _ in range(OWN)]
    await asyncio.sleep(0)
    with pytest.raises(Refused, match=f"{OWN} screens .* as many as one user may have"):
        await read(1)
    await read(2)
    assert done.index(2) <= 2
    for task in greedy:
        task.cancel()
    await asyncio.gather(*greedy, return_exceptions=True)


@pytest.mark.holds("BOUND-21")
async def test_a_search_of_many_screens_leaves_room_for_anothers(w: World, monkeypatch: pytest.MonkeyPatch) -> None:
    displays = [{"name": str(number), "width": 16, "height": 16} for number in range(8)]
    for number in range(OWN // 8 + 1):
        vmid = await w.vm(f"vm{number}", displays=displays)
        await w.ok("PUT", "/v/vm/state", vmid=vmid, state="RUNNING")
    ocr, most, waiting = w.server.services.screens.ocr, 0, 0

    async def read(_png: bytes, _uid: int) -> str:
        nonlocal most, waiting
        waiting += 1
        most = max(most, waiting)
        await asyncio.sleep(0.05)
        waiting -= 1
        return "penguin"

    monkeypatch.setattr(ocr, "read", read)
    found = await w.ok("POST", "/v/vm/screen/search", text="penguin")
    assert (len(found["hits"]), found["complete"]) == (OWN + 8, True)
    assert most <= TOGETHER


async def test_a_reader_has_no_privileges_and_no_room(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, w: World
) -> None:
    told = tmp_path / "tesseract"
    told.write_text("#!/bin/sh\ncat /proc/self/status | tr '\\t' ' ' | grep NoNewPrivs\nulimit -f\nulimit -v\n")
    told.chmod(0o755)
    tmp_path.chmod(0o755)
    picture = base64.b64decode((await w.ok("POST", "/v/vm/screen", vmid=await running(w)))["png"])
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    assert (await Ocr(None).read(picture, 0)).split() == ["NoNewPrivs:", "1", "0", str(MEMORY // 1024)]
