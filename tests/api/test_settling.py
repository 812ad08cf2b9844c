"""A file that cannot be moved or removed after a commit: what was committed is so, and the file follows."""

from __future__ import annotations

import subprocess
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from tests.api.images import body, wait
from tests.api.test_trash import trid
from tests.api.world import World, world
from tests.patience import eventually
from velocity.config import Settings
from velocity.storage.declared import open_directories
from velocity.storage.directory.places import Places
from velocity.storage.port import Storage
from velocity.store.media import SqlMedia

pytestmark = pytest.mark.anyio

DATA = b"what it holds".ljust(512)


async def in_the_way(w: World, way: Callable[[], Awaitable[object]], place: str = ".") -> list[Path]:
    """Do it, while what its commit makes cannot be moved: directories stand where the files belong. These are given."""
    made: list[Path] = []
    add, remove = SqlMedia.add, SqlMedia.remove

    def block(name: str) -> None:
        made.append(w.data / "media" / place / name)
        made[-1].mkdir()

    async def add_and_block(store: SqlMedia, medium: Any) -> None:
        await add(store, medium)
        block(f"{medium.mid}.{medium.format}")

    async def remove_and_block(store: SqlMedia, mid: Any, discarded: Any = None) -> None:
        await remove(store, mid, discarded)
        block(f"{mid}.raw")

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(SqlMedia, "add", add_and_block)
        patched.setattr(SqlMedia, "remove", remove_and_block)
        await way()
    return made


async def content(w: World, mid: str) -> bytes:
    headers = {"authorization": f"Bearer {w.key}"}
    answer = await w.http.get(f"http://velocity/m/media/content/{mid}", headers=headers)
    assert answer.status_code == 200, answer.text
    return answer.content


@pytest.mark.holds("DUR-5")
@pytest.mark.parametrize("way", ["create", "upload", "clone", "import"])
async def test_what_is_committed_is_not_lost_or_told_as_failed_when_its_file_cannot_be_moved(
    tmp_path: Path, way: str
) -> None:
    async with world(tmp_path / "data") as w:
        image = tmp_path / "image.qcow2"
        subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", image, "1M"], check=True)
        source = (await w.upload(DATA, x_velocity_name="source", x_velocity_type="DISK"))["mid"]
        packed = (await w.upload(image.read_bytes(), x_velocity_name="image", x_velocity_type="DISK"))["mid"]

        async def upload() -> None:
            assert (await w.upload(DATA, x_velocity_name="made")).status == 200

        async def task(what: str, mid: str) -> None:
            assert (await wait(w, await w.ok("PUT", f"/m/media/{what}", **body(mid))))["state"] == "DONE"

        ways: dict[str, tuple[Callable[[], Awaitable[object]], bytes]] = {
            "create": (lambda: w.medium("made", size=13), bytes(13)),
            "upload": (upload, DATA),
            "clone": (lambda: task("clone", source), DATA),
            "import": (lambda: task("import", packed), bytes(1 << 20)),
        }
        do, expected = ways[way]
        (blocked,) = await in_the_way(w, do)
        mid = next(one["mid"] for one in (await w.ok("POST", "/m/media/list", gid=0))["media"] if one["name"] == "made")
        assert await content(w, mid) == expected, "used from where it is"
        blocked.rmdir()
        await w.ok("POST", "/m/pool/list", gid=0)
        assert blocked.is_file(), "moved at the next look at the pool"
        assert await content(w, mid) == expected
        await w.ok("DELETE", "/m/media", mid=mid)
        (blocked,) = await in_the_way(w, lambda: w.medium("again", size=13))
        blocked.rmdir()
    async with world(tmp_path / "data") as w:
        assert blocked.is_file(), "or at the next start"


@pytest.mark.holds("DUR-6")
async def test_what_is_deleted_or_restored_is_so_when_its_file_cannot_be_moved(w: World) -> None:
    mid = (await w.upload(DATA, x_velocity_type="DISK"))["mid"]
    place, trash = w.data / "media" / f"{mid}.raw", w.data / "media" / ".trash" / f"{mid}.raw"

    async def listed() -> list[str]:
        return [one["mid"] for one in (await w.ok("POST", "/m/media/list", gid=0))["media"]]

    (blocked,) = await in_the_way(w, lambda: w.ok("DELETE", "/m/media", mid=mid), ".trash")
    assert await listed() == []
    await w.ok("PUT", "/t/trash", trid=await trid(w, "upload"))
    assert await content(w, mid) == DATA, "restored, although it never came into the trash"
    blocked.rmdir()
    await w.ok("DELETE", "/m/media", mid=mid)
    assert trash.is_file()
    place.mkdir()
    await w.ok("PUT", "/t/trash", trid=await trid(w, "upload"))
    assert await listed() == [mid]
    assert not trash.exists(), "what was restored is not thrown away again"
    assert await content(w, mid) == DATA
    place.rmdir()
    await w.ok("POST", "/m/pool/list", gid=0)
    assert place.is_file()
    await w.ok("DELETE", "/m/media", mid=mid)
    trash.rename(w.data / "aside")
    trash.mkdir()
    await w.ok("DELETE", "/t/trash", trid=await trid(w, "upload"))
    assert (await w.ok("POST", "/t/trash/list"))["items"] == []


def impatient(settings: Settings) -> Storage:
    places = [Places(one.mpid, one.name, one.path, settings.data_dir / "pools") for one in settings.media_pools]
    return open_directories(places, None, again=0.05)


@pytest.mark.holds("DUR-51")
async def test_what_cannot_be_removed_or_moved_is_later_without_anybody_looking(tmp_path: Path) -> None:
    pool = tmp_path / "data" / "media"
    async with world(tmp_path / "data") as w:
        mid = (await w.upload(DATA, x_velocity_type="DISK"))["mid"]
        await w.ok("DELETE", "/m/media", mid=mid)
    strays = [pool / ".moving" / "stray", pool / ".trash" / "stray"]
    for stray in strays:
        stray.mkdir()  # no unlink(2) removes it
    async with world(tmp_path / "data", storage=impatient) as w:
        assert (await w.ok("POST", "/m/pool/list", gid=0))["pools"][0]["state"] == "online"
        for stray in strays:
            stray.rmdir()
            stray.touch()
        await eventually(lambda: not any(stray.exists() for stray in strays))
        trashed = pool / ".trash" / f"{mid}.raw"
        trashed.rename(aside := tmp_path / "aside")
        trashed.mkdir()
        await w.ok("DELETE", "/t/trash", trid=await trid(w, "upload"))
        trashed.rmdir()
        aside.rename(trashed)
        await eventually(lambda: not trashed.exists())
        (blocked,) = await in_the_way(w, lambda: w.medium("made", size=13))
        blocked.rmdir()
        await eventually(blocked.is_file)
