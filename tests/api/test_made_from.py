"""What a task reads while it makes a medium: nothing else writes to it, and nothing follows from its changes."""

from __future__ import annotations

import asyncio
import struct
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Literal

import pytest

from tests.api.held import held_start
from tests.api.image_cases import tar
from tests.api.images import body, disk, hostile, qemu_img, upload, wait
from tests.api.world import World
from tests.patience import PATIENCE, eventually
from velocity.media.conversions import OWN
from velocity.storage.directory.images import AT_ONCE, LOOKS

pytestmark = pytest.mark.anyio


class Turn(asyncio.Semaphore):
    """`wanted` is how often somebody has asked for it."""

    wanted = 0

    async def acquire(self) -> Literal[True]:
        self.wanted += 1
        return await super().acquire()


async def taken(w: World) -> Turn:
    """All turns are."""
    turn = Turn(AT_ONCE)
    w.images.turns = defaultdict(lambda: turn)
    for _ in range(AT_ONCE):
        await turn.acquire()
    return turn


@asynccontextmanager
async def waiting(w: World, path: str, **fields: Any) -> AsyncIterator[dict[str, Any]]:
    """Begin a task that waits for its turn, as the others are taken, until this is left: what began it is given."""
    turn = await taken(w)
    answer = await w.call("PUT", path, **fields)
    assert answer.status == 200, answer
    try:
        yield answer.body
    finally:
        for _ in range(AT_ONCE):
            turn.release()


@pytest.mark.holds("IMAGE-25")
async def test_archives_that_many_look_into_take_no_thread_of_the_pool_from_others(w: World, tmp_path: Path) -> None:
    (tmp_path / "image.tar").write_bytes(tar({"disk.raw": bytes(512)}))
    mid = await upload(w, tmp_path / "image.tar")
    turn = Turn(LOOKS)
    w.images.looks = defaultdict(lambda: turn)
    for _ in range(LOOKS):
        await turn.acquire()
    wanted = turn.wanted
    imports = [
        asyncio.create_task(w.call("PUT", "/m/media/import", **body(mid, name=f"made {number}"))) for number in range(9)
    ]
    async with asyncio.timeout(PATIENCE):
        await eventually(lambda: turn.wanted == wanted + len(imports))
        await w.medium("another's")
    assert not any(one.done() for one in imports)
    for _ in range(LOOKS):
        turn.release()
    for answer in await asyncio.gather(*imports):
        assert (await wait(w, answer.body))["state"] == "DONE"


@pytest.mark.holds("IMAGE-2")
@pytest.mark.parametrize("target", ["raw", "qcow2"])
@pytest.mark.parametrize("word", ["backing file", "other file", "is encrypted", "has changed"])
async def test_an_image_that_changes_after_it_was_checked_is_not_imported(
    w: World, tmp_path: Path, word: str, target: str
) -> None:
    """As a guest could do to it while the import waits for its turn: the check holds at the conversion."""
    images = hostile(tmp_path)
    encrypted = bytearray((tmp_path / "good.qcow2").read_bytes())
    encrypted[32:36] = struct.pack(">I", 1)
    qemu_img("create", "-f", "qcow2", tmp_path / "larger", "2M")
    images |= {"is encrypted": bytes(encrypted), "has changed": (tmp_path / "larger").read_bytes()}
    qemu_img("create", "-f", "qcow2", "-b", "/etc/passwd", "-F", "raw", tmp_path / "reads", "1M")  # all may read it
    images["backing file"] = (tmp_path / "reads").read_bytes()
    mid = await upload(w, tmp_path / "good.qcow2")
    before = w.files()
    async with waiting(w, "/m/media/import", **body(mid, format=target)) as started:
        (w.data / "media" / f"{mid}.raw").write_bytes(images[word])
    task = await wait(w, started)
    assert task["state"] == "FAILED", task
    assert word in task["message"]
    assert str(tmp_path) not in task["message"]
    assert w.files() == before


@pytest.mark.holds("IMAGE-3")
@pytest.mark.parametrize(("path", "in_use"), [("/m/media/import", (409, 21223)), ("/m/media/clone", (409, 22223))])
async def test_what_a_task_reads_is_written_to_by_no_vm(
    w: World, tmp_path: Path, path: str, in_use: tuple[int, int]
) -> None:
    image = tmp_path / "image.qcow2"
    qemu_img("create", "-f", "qcow2", image, "1M")
    mid = await upload(w, image)
    writer = await w.vm("writer", media=[{"mid": mid, "mode": "BLOCK"}])
    reader = await w.vm("reader", media=[{"mid": mid, "mode": "BLOCK", "readonly": True}])
    more = {"format": "qcow2"}  # a clone is converted too, and waits
    async with waiting(w, path, **body(mid, **more)) as started:
        assert await w.refused("PUT", "/v/vm/state", vmid=writer, state="RUNNING") == (409, 13224)
        answer = await w.call("PUT", "/v/vm/state", vmid=writer, state="PAUSED")
        assert (
            f"'image' is being {'cloned to' if 'clone' in path else 'imported as'} medium 'made'" in answer["message"]
        )
        await w.ok("PUT", "/v/vm/state", vmid=reader, state="RUNNING")
        await w.ok("PUT", "/v/vm/state", vmid=reader, state="STOPPED", force=True)
    assert (await wait(w, started))["state"] == "DONE"
    await w.ok("PUT", "/v/vm/state", vmid=writer, state="RUNNING")
    assert await w.refused("PUT", path, **body(mid, name="again")) == in_use
    await w.ok("PUT", "/v/vm/state", vmid=writer, state="STOPPED", force=True)
    async with waiting(w, path, **body(mid, **more, name="cancelled")) as started:
        assert (await w.ok("DELETE", "/t/task", tid=started["tid"]))["state"] == "CANCELLED"
    await w.ok("PUT", "/v/vm/state", vmid=writer, state="RUNNING")


async def test_a_start_on_its_way_counts_as_writing(w: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before it is written down it shows nowhere, but it is past the question whether a task reads."""
    mid = await upload(w, disk(tmp_path, 1 << 21))
    vmid = await w.vm("vm", media=[{"mid": mid, "mode": "BLOCK"}])
    async with held_start(w, monkeypatch, vmid) as starting:
        assert await w.refused("PUT", "/m/media/clone", **body(mid)) == (409, 22223)
    assert (await starting)["state"] == "RUNNING"


async def test_what_a_task_reads_may_be_deleted(w: World, tmp_path: Path) -> None:
    raw = disk(tmp_path)
    mid = await upload(w, raw)
    async with waiting(w, "/m/media/clone", **body(mid, format="qcow2")) as started:
        await w.ok("DELETE", "/m/media", mid=mid, purge=True)
    task = await wait(w, started)
    assert task["state"] == "DONE", task
    qemu_img("convert", "-f", "qcow2", "-O", "raw", w.data / "media" / f"{task['mid']}.qcow2", tmp_path / "back")
    assert (tmp_path / "back").read_bytes() == raw.read_bytes()


@pytest.mark.holds("BOUND-21")
async def test_one_users_tasks_leave_a_turn_to_others(w: World, tmp_path: Path) -> None:
    """Whatever they are: what packs takes no turn of `qemu-img`, but the host has only so many uids for programs."""
    mid = await upload(w, disk(tmp_path))
    rights = [(0, "media.create"), (0, "media.list")]
    greedy, other = await w.user("greedy", *rights), await w.user("other", *rights)
    turn = await taken(w)
    clones = [
        await w.ok("PUT", "/m/media/clone", key, **body(mid, name=f"clone {number}", format="qcow2"))
        for number, key in enumerate([greedy] * 5 + [other])
    ]
    await eventually(lambda: turn.wanted >= AT_ONCE + OWN + 1)
    for _ in range(20):
        await asyncio.sleep(0.01)
    assert turn.wanted == AT_ONCE + OWN + 1, "two of the one, and the one of the other"
    for _ in range(AT_ONCE):
        turn.release()
    for clone in clones:
        assert (await wait(w, clone))["state"] == "DONE"
