"""A pool whose file system refuses, is away or can only be read costs its own media, for as long as it does."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from tests.api.test_settling import content
from tests.api.test_transfers import TUS, metadata, send
from tests.api.test_trash import trid
from tests.api.world import World, world
from tests.patience import eventually
from velocity.cli import doctor
from velocity.config import PoolSetting, Settings
from velocity.contract.problems import Refused
from velocity.storage.port import MediaRef

pytestmark = pytest.mark.anyio

DATA = b"what it holds".ljust(512)


def two_pools(tmp_path: Path) -> dict[str, Any]:
    (tmp_path / "data").mkdir(exist_ok=True)
    return {
        "pools": [
            PoolSetting(mpid=1, name="good", path=tmp_path / "data" / "media"),
            PoolSetting(mpid=2, name="usb", path=tmp_path / "usb"),
        ]
    }


async def states(w: World, path: str = "/m/pool/list") -> dict[str, str]:
    answer = await w.ok("POST", path, **({"gid": 0} if path == "/m/pool/list" else {}))
    for one in answer["pools"]:
        assert (one["state"] == "online") == ("message" not in one)
        assert str(w.data.parent) not in one.get("message", ""), "no path of the host is shown"
    return {one["name"]: one["state"] for one in answer["pools"]}


async def furnish(w: World) -> dict[str, Any]:
    """A medium in each pool and a VM with it, one in the trash of the pool that will be away, and a group with one."""
    made: dict[str, Any] = {}
    gid = made["gid"] = await w.group("a")
    await w.ok("PUT", "/m/pool/assign", gid=gid, mpid=2, write=True, manage=True)
    for mpid, name in ((1, "good"), (2, "usb")):
        sent = {"x_velocity_type": "DISK", "x_velocity_mpid": str(mpid)}
        made[name] = (await w.upload(DATA, x_velocity_name=name, **sent))["mid"]
        made[f"vm {name}"] = await w.vm(f"vm {name}", media=[{"mid": made[name], "mode": "BLOCK"}])
    made["loose"] = (await w.upload(DATA, x_velocity_name="loose", **sent))["mid"]
    trashed = (await w.upload(DATA, x_velocity_name="trashed", **sent))["mid"]
    await w.ok("DELETE", "/m/media", mid=trashed)
    await w.medium("of a group", gid=gid, mpid=2)
    image = w.data.parent / "image.qcow2"
    subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", image, "1M"], check=True)
    made["image"] = (await w.upload(image.read_bytes(), x_velocity_name="image", **sent))["mid"]
    return made


async def refusals(w: World, made: dict[str, Any], *, reads: bool) -> None:
    """What a pool refuses that is away, or that can only be read (`reads`); none of it is done elsewhere."""
    new = {"gid": 0, "mpid": 2, "name": "new"}
    assert await w.refused("PUT", "/m/media/create", **new, size=1) == (406, 8222)
    for planned in ("true", "false"):
        upload = await w.upload(b"x" * 9, x_velocity_mpid="2", x_velocity_plan=planned, x_velocity_length="9")
        assert (upload.status, upload.code) == (406, 9225)
    tus = await send(w, "POST", TUS, upload_length=9, upload_metadata=metadata(mpid=2))
    assert tus.json()["code"] == 9225
    assert await w.refused("PUT", "/m/media/clone", **new, mid=made["good"]) == (406, 22224)
    assert await w.refused("PUT", "/m/media/import", **new, mid=made["image"]) == (406, 21224)
    if not reads:
        assert await w.refused("PUT", "/m/media/clone", **{**new, "mpid": 1}, mid=made["loose"]) == (406, 22224)
        download = await w.http.get(
            f"http://velocity/m/media/content/{made['loose']}", headers={"authorization": f"Bearer {w.key}"}
        )
        assert (download.status_code, download.json()["code"]) == (406, 14121)
    assert await w.refused("DELETE", "/m/media", mid=made["loose"]) == (406, 14322)
    assert await w.refused("DELETE", "/u/group", gid=made["gid"]) == (406, 5324)
    assert await w.refused("PUT", "/t/trash", trid=await trid(w, "trashed")) == (406, 25228)
    assert await w.refused("PUT", "/v/vm/state", vmid=made["vm usb"], state="RUNNING") == (406, 13223)
    answer = await w.call("PUT", "/v/vm/state", vmid=made["vm usb"], state="RUNNING")
    assert "'usb'" in answer["message"]
    assert str(w.data.parent) not in answer["message"]
    await w.ok("PUT", "/v/vm/state", vmid=made["vm good"], state="RUNNING")
    await w.ok("PUT", "/v/vm/state", vmid=made["vm good"], state="STOPPED", force=True)
    await w.ok("DELETE", "/m/media", mid=await w.medium("another"), purge=True)
    await w.server.services.purging.sweep()
    names = {one["name"] for one in (await w.ok("POST", "/m/media/list", gid=0))["media"]}
    assert names == {"good", "usb", "loose", "image"}, "they stay listed"
    metrics = await w.http.get("http://velocity/metrics", headers={"authorization": f"Bearer {w.key}"})
    assert metrics.status_code == 200


async def is_whole(w: World, made: dict[str, Any]) -> None:
    """All is there again, without a restart."""
    assert await states(w) == {"good": "online", "usb": "online"}
    assert await content(w, made["usb"]) == DATA
    await w.ok("PUT", "/v/vm/state", vmid=made["vm usb"], state="RUNNING")
    await w.ok("PUT", "/v/vm/state", vmid=made["vm usb"], state="STOPPED", force=True)
    await w.ok("PUT", "/t/trash", trid=await trid(w, "trashed"))
    await w.medium("new", mpid=2)
    await w.ok("DELETE", "/u/group", gid=made["gid"])


@pytest.mark.holds("DUR-7")
@pytest.mark.parametrize("left", ["nothing", "an empty directory", "a file"])
async def test_a_pool_that_goes_away_costs_its_own_media_only_and_works_again_when_it_is_back(
    tmp_path: Path, left: str
) -> None:
    usb, aside = tmp_path / "usb", tmp_path / "aside"
    async with world(tmp_path / "data", **two_pools(tmp_path)) as w:
        made = await furnish(w)
        usb.rename(aside)
        if left == "an empty directory":
            usb.mkdir()  # the mount point
        elif left == "a file":
            usb.touch()
        with pytest.raises(Refused, match="pool 'usb' is away"):  # a start that is the first to find out
            w.server.storage.files.open(MediaRef(2, UUID(made["usb"]), "raw"), readonly=True)
        assert await states(w) == {"good": "online", "usb": "away"}
        assert await states(w, "/h/host") == {"good": "online", "usb": "away"}
        (_, away) = (await w.ok("POST", "/m/pool/list", gid=0))["pools"]
        assert away["free"] == 0
        assert ("fails (Not a directory)" in away["message"]) == (left == "a file"), "with the reason"
        await refusals(w, made, reads=False)
        if usb.is_dir():
            assert list(usb.iterdir()) == [], "nothing goes below the mount point"
            usb.rmdir()
        else:
            usb.unlink(missing_ok=True)
        aside.rename(usb)
        await is_whole(w, made)


@pytest.mark.holds("GUEST-101")
async def test_a_disk_that_is_attached_while_its_pool_is_away_is_plugged_in_once_that_is_back(tmp_path: Path) -> None:
    usb, aside = tmp_path / "usb", tmp_path / "aside"
    async with world(tmp_path / "data", **two_pools(tmp_path)) as w:
        good, plugged = await w.medium("good"), await w.medium("plugged", mpid=2)
        vmid = await w.vm(media=[{"mid": good, "mode": "BLOCK"}])
        await w.ok("PUT", "/v/vm/state", vmid=vmid, state="RUNNING")
        (run,) = w.hypervisor.runs.values()
        usb.rename(aside)
        media = [{"mid": one, "mode": "BLOCK"} for one in (good, plugged)]
        altered = await w.ok("PATCH", "/v/vm", vmid=vmid, media=media)
        assert altered["waiting"] == ["media"]
        assert "'usb'" in altered["waits"]["media"]
        assert len(run.devices.spec.disks) == 1
        aside.rename(usb)
        await eventually(lambda: len(run.devices.spec.disks) == 2, "the disk")
        assert (await w.ok("POST", "/v/vm", vmid=vmid))["waiting"] == []


@pytest.mark.holds("DUR-8")
@pytest.mark.parametrize("left", ["nothing", "an empty directory"])
async def test_a_start_while_a_pool_is_away_makes_nothing_in_its_place(
    tmp_path: Path, left: str, caplog: pytest.LogCaptureFixture
) -> None:
    usb, aside = tmp_path / "usb", tmp_path / "aside"
    async with world(tmp_path / "data", **two_pools(tmp_path)) as w:
        made = await furnish(w)
    usb.rename(aside)
    (aside / ".moving" / "stray").touch()
    if left == "an empty directory":
        usb.mkdir()
    async with world(tmp_path / "data", **two_pools(tmp_path)) as w:
        (warning,) = [one for one in caplog.messages if "is away" in one]
        assert "'usb'" in warning
        assert "mount its disk there; or, to start with an empty pool there, run: install -D " in warning
        await refusals(w, made, reads=False)
        assert (list(usb.iterdir()) if usb.exists() else []) == []
        shutil.rmtree(usb, ignore_errors=True)
        aside.rename(usb)
        await is_whole(w, made)
        assert not (usb / ".moving" / "stray").exists(), "it is put in order when it comes"


@pytest.mark.holds("DUR-9")
@pytest.mark.guest
async def test_a_pool_that_can_only_be_read_is_read(tmp_path: Path) -> None:
    usb = tmp_path / "usb"
    async with world(tmp_path / "data", **two_pools(tmp_path)) as w:
        made = await furnish(w)
        with only_readable(usb):
            assert await states(w) == {"good": "online", "usb": "readonly"}
            assert (await w.ok("POST", "/m/pool/list", gid=0))["pools"][1]["free"] > 0
            await refusals(w, made, reads=True)
            assert await content(w, made["usb"]) == DATA
            reading = [{"mid": made["usb"], "mode": "BLOCK", "readonly": True}]
            await w.ok("PUT", "/v/vm/state", vmid=await w.vm("reads", media=reading), state="RUNNING")
    with only_readable(usb):
        async with world(tmp_path / "data", **two_pools(tmp_path)) as w:
            assert await states(w) == {"good": "online", "usb": "readonly"}, "a start with it"
            assert await content(w, made["usb"]) == DATA


@contextlib.contextmanager
def only_readable(directory: Path) -> Iterator[None]:
    """For root by a mount, as permissions mean nothing to it."""
    if os.geteuid() != 0:
        directory.chmod(0o500)
        yield
        directory.chmod(0o700)
        return
    subprocess.run(["mount", "--bind", directory, directory], check=True)
    try:
        subprocess.run(["mount", "-o", "remount,bind,ro", directory], check=True)
        yield
    finally:
        subprocess.run(["umount", directory], check=True)


@contextlib.contextmanager
def away(directory: Path) -> Iterator[None]:
    aside = directory.rename(directory.with_name("aside"))
    yield
    aside.rename(directory)


@contextlib.contextmanager
def full(directory: Path) -> Iterator[None]:
    """Its disk says so."""
    ask = os.statvfs

    def statvfs(path: Any) -> Any:
        facts = ask(path)
        if not Path(path).is_relative_to(directory):
            return facts
        return os.statvfs_result((*facts[:3], 0, 0, *facts[5:]))

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(os, "statvfs", statvfs)
        yield


@pytest.mark.holds("DUR-56")
@pytest.mark.parametrize(
    ("state", "made", "words"),
    [
        ("online", contextlib.nullcontext, "free"),
        ("away", away, "is not at"),
        ("readonly", only_readable, "is read-only"),
        ("full", full, "is full (no byte is free): remove media"),
    ],
)
async def test_each_state_of_a_pool_is_told_in_list_host_log_metrics_and_doctor(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, state: str, made: Any, words: str
) -> None:
    pools = two_pools(tmp_path)
    async with world(tmp_path / "data", **pools) as w:
        mid = await w.medium("there", mpid=2)
        with made(tmp_path / "usb"):
            assert await states(w) == {"good": "online", "usb": state}
            assert await states(w, "/h/host") == {"good": "online", "usb": state}
            answer = await w.http.get("http://velocity/metrics", headers={"authorization": f"Bearer {w.key}"})
            shown = [line for line in answer.text.splitlines() if 'name="usb",state=' in line]
            (is_so,) = [line for line in shown if line.endswith(" 1.0")]
            assert f'state="{state}"' in is_so
            assert len(shown) == 4
            (_, usb) = doctor.pools(Settings(data_dir=tmp_path / "data", **pools))
            assert words in usb.text
            assert usb.verdict == ("ok" if state == "online" else usb.verdict)
        said = [one for one in caplog.messages if one.startswith(f"pool 'usb' (2) is {state}")]
        assert len(said) == (state != "online"), "once, when it comes to be so"
        assert await states(w) == {"good": "online", "usb": "online"}, "by itself"
        if state == "full":
            with made(tmp_path / "usb"):
                await w.ok("DELETE", "/m/media", mid=mid)
                await w.ok("PUT", "/t/trash", trid=await trid(w, "there"))


@pytest.mark.holds("DUR-10")
async def test_a_disk_that_fails_in_the_middle_is_a_refusal_with_words(w: World) -> None:
    (w.data / "media" / ".moving").rename(w.data / "moving")
    upload = await w.upload(DATA)
    assert (upload.status, upload.code) == (406, 9225)
    assert "pool 'default' fails (No such file or directory)" in upload["message"]
    created = await w.call("PUT", "/m/media/create", gid=0, mpid=1, name="x", size=1)
    assert (created.status, created.code) == (406, 8222)
    (w.data / "moving").rename(w.data / "media" / ".moving")
    assert (await w.upload(DATA)).status == 200, "its name and its quota are given back"


@pytest.mark.holds("DUR-7")
async def test_a_start_is_refused_in_the_same_way_whether_or_not_it_is_the_first_to_find_its_pool_away(
    tmp_path: Path,
) -> None:
    async with world(tmp_path / "data", **two_pools(tmp_path)) as w:
        made = await furnish(w)
        (tmp_path / "usb").rename(tmp_path / "aside")
        asked = {"vmid": made["vm usb"], "state": "RUNNING"}
        first, again = [await w.call("PUT", "/v/vm/state", **asked) for _ in range(2)]
        assert (first.status, first.code) == (406, 13223)
        assert first.body == again.body
        shown = await w.ok("POST", "/v/vm", vmid=made["vm usb"])
        assert (shown["state"], shown["wanted"], "reason" in shown.body) == ("STOPPED", "STOPPED", False)
