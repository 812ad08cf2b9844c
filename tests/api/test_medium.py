"""One medium: what is shown of it, and how it is renamed, made read-only and larger."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from tests.api.images import disk, upload
from tests.api.world import World, world
from tests.patience import eventually
from velocity.config import PoolSetting

pytestmark = pytest.mark.anyio

MEDIUM = "/m/media"
MIB = 1 << 20


async def shown(w: World, mid: str) -> dict[str, Any]:
    return (await w.ok("POST", MEDIUM, mid=mid)).body


@pytest.mark.holds("IMAGE-38")
async def test_a_medium_is_shown_with_what_its_file_tells(w: World) -> None:
    mid = await w.medium("disk", format="qcow2", size=8 * MIB)
    vmid = await w.vm("web", media=[{"mid": mid, "mode": "BLOCK"}])
    (listed,) = (await w.ok("POST", "/m/media/list", gid=0))["media"]
    one = await shown(w, mid)
    assert {**one, **listed, "gid": 0} == one, "all that the list has"
    assert one["layout"] == {"cluster_size": 128 << 10, "subcluster_size": 4 << 10}
    assert one["allocated"] > 0 and one["file_size"] == (w.data / "media" / f"{mid}.qcow2").stat().st_size
    assert one["boots"] is False, "nothing is on it"
    assert one["used_by"] == [{"vmid": vmid, "name": "web", "writing": False}]
    raw = await shown(w, await upload(w, disk(w.data)))
    assert "layout" not in raw and "boots" not in raw and raw["file_size"] == raw["size"]
    key = await w.user("bob", (0, "media.list"))
    assert (await w.ok("POST", MEDIUM, key, mid=mid))["used_by"] == [], "bob sees no VM"
    (w.data / "media" / f"{mid}.qcow2").unlink()
    gone = await shown(w, mid)
    assert gone["missing"] is True and "file_size" not in gone


@pytest.mark.holds("IMAGE-39")
async def test_a_medium_is_renamed_at_once_while_vms_use_it(w: World) -> None:
    mid, other = await w.medium("disk"), await w.medium("other")
    vmid = await w.vm("web", media=[{"mid": mid, "mode": "BLOCK"}])
    await w.ok("PUT", "/v/vm/state", vmid=vmid, state="RUNNING")
    before = await shown(w, mid)
    for body in ({"name": "other"}, {"name": "data", "revision": "of old"}):
        assert (await w.refused("PATCH", MEDIUM, mid=mid, **body))[0] == 409
    assert await shown(w, mid) == before
    altered = await w.ok("PATCH", MEDIUM, mid=mid, name="data", revision=before["revision"])
    assert altered["waiting"] == [] and altered["revision"] != before["revision"]
    assert (await shown(w, mid))["name"] == "data"
    await w.ok("PATCH", MEDIUM, mid=other, name="disk")  # its name is free
    iso = (await w.upload(b"x" * 4096, x_velocity_name="iso"))["mid"]
    await w.ok("PATCH", MEDIUM, mid=iso, name="my iso")
    assert "'my iso' has the type ISO" in (await shown(w, iso))["content"]["warning"]


@pytest.mark.holds("IMAGE-39")
async def test_what_a_vm_writes_to_does_not_become_read_only_and_the_rest_waits_where_it_has_to(w: World) -> None:
    mid = await w.medium("disk")
    vmid = await w.vm("web", media=[{"mid": mid, "mode": "BLOCK"}])
    await w.ok("PUT", "/v/vm/state", vmid=vmid, state="RUNNING")
    for body in ({"readonly": True}, {"type": "ISO"}):
        answer = await w.call("PATCH", MEDIUM, mid=mid, **body)
        assert (answer.status, answer.code, answer["field"]) == (409, 14423, next(iter(body)))
        assert "VM 'web'" in answer["message"] and "stop it first" in answer["message"]
    await w.ok("PUT", "/v/vm/state", vmid=vmid, state="STOPPED", force=True)
    await w.ok("PATCH", MEDIUM, mid=mid, readonly=True)
    second = await w.vm("second", media=[{"mid": mid, "mode": "BLOCK"}])
    await w.ok("PUT", "/v/vm/state", vmid=vmid, state="RUNNING")
    assert [one.readonly for one in next(iter(w.hypervisor.runs.values())).spec.disks] == [True]
    assert await w.refused("PATCH", MEDIUM, mid=mid, readonly=False) == (409, 14426), "for one of the two at most"
    await w.ok("DELETE", "/v/vm", vmid=second)
    assert (await w.ok("PATCH", MEDIUM, mid=mid, readonly=False))["waiting"] == ["readonly"]
    third = {"name": "third", "gid": 0, "cpus": 1, "memory_mib": 64, "media": [{"mid": mid, "mode": "BLOCK"}]}
    assert await w.refused("PUT", "/v/vm/efi", **third) == (409, 12228), "it is written by the first again"


@pytest.mark.holds("IMAGE-40")
async def test_a_disk_grows_and_never_becomes_smaller(w: World) -> None:
    gid = await w.group("team")
    await w.ok("PUT", "/m/pool/assign", gid=gid, mpid=1, write=True, manage=True, quota=20 * MIB)
    for format_ in ("raw", "qcow2"):
        mid = await w.medium(format_, gid=gid, format=format_, size=2 * MIB)
        vmid = await w.vm(format_, gid, media=[{"mid": mid, "mode": "BLOCK"}])
        before = await shown(w, mid)
        for size, code, words in (
            (MIB, 14425, f"medium '{format_}' has 2.0 MiB and cannot shrink to 1.0 MiB"),
            (2 * MIB + 1, 14425, "use 2097664"),
            (100 * MIB, 14421, "quota"),
        ):
            answer = await w.call("PATCH", MEDIUM, mid=mid, size=size, name="new")
            assert (answer.status, answer.code, answer["field"]) == (406, code, "size"), answer
            assert words in answer["message"] and await shown(w, mid) == before
        await w.ok("PATCH", MEDIUM, mid=mid, size=8 * MIB, name=f"{format_} disk")
        assert ((await shown(w, mid))["size"], (await shown(w, mid))["name"]) == (8 * MIB, f"{format_} disk")
        file = w.data / "media" / f"{mid}.{format_}"
        info = json.loads(subprocess.check_output(["qemu-img", "info", "--output=json", "-f", format_, file]))
        assert info["virtual-size"] == 8 * MIB
        assert file.stat().st_mode & 0o777 == 0o600
        await w.ok("PUT", "/v/vm/state", vmid=vmid, state="RUNNING")
    used = next(one for one in (await w.ok("POST", "/m/pool/list", gid=gid))["pools"])["used"]
    assert used == 16 * MIB
    for content, name in ((b"x" * 4096, "an ISO"), (b"\x1f\x8b\x08" + bytes(4093), "packed")):
        kind = "ISO" if name == "an ISO" else "DISK"
        mid = (await w.upload(content, x_velocity_name=name.replace(" ", "%20"), x_velocity_type=kind))["mid"]
        assert await w.refused("PATCH", MEDIUM, mid=mid, size=MIB) == (406, 14425)


@pytest.mark.holds("IMAGE-46")
async def test_a_disk_grows_in_the_vm_that_runs_with_it(w: World) -> None:
    mid = await w.medium("disk", size=2 * MIB)
    writer = await w.vm("writer", media=[{"mid": mid, "mode": "BLOCK"}])
    await w.ok("PUT", "/v/vm/state", vmid=writer, state="RUNNING")
    (run,) = w.hypervisor.runs.values()
    await w.ok("PATCH", MEDIUM, mid=mid, size=4 * MIB)
    assert list(run.devices.sizes.values()) == [4 * MIB]
    w.hypervisor.faults.hang(run.who.machine)
    answer = await w.ok("PATCH", MEDIUM, mid=mid, size=6 * MIB)
    assert "grows as soon as" in answer["warnings"][0]
    assert (await shown(w, mid))["size"] == 6 * MIB
    w.hypervisor.faults.wake(run.who.machine)
    await eventually(lambda: list(run.devices.sizes.values()) == [6 * MIB])


@pytest.mark.holds("IMAGE-46")
async def test_what_a_vm_only_reads_does_not_grow_while_it_runs(w: World) -> None:
    mid = await w.medium("disk", size=2 * MIB)
    reader = await w.vm("reader", media=[{"mid": mid, "mode": "BLOCK", "readonly": True}])
    await w.ok("PUT", "/v/vm/state", vmid=reader, state="RUNNING")
    answer = await w.call("PATCH", MEDIUM, mid=mid, size=4 * MIB)
    assert (answer.status, answer.code) == (409, 14423)
    assert "only reads" in answer["message"]
    await w.ok("PUT", "/v/vm/state", vmid=reader, state="STOPPED", force=True)
    await w.ok("PATCH", MEDIUM, mid=mid, size=4 * MIB)


async def test_only_who_may_make_media_there_changes_them(w: World) -> None:
    gid = await w.group("team")
    key = await w.user("bob", (gid, "media.create"), (gid, "media.list"))
    await w.ok("PUT", "/m/pool/assign", gid=gid, mpid=1, write=True, manage=True)
    mid = await w.medium("disk", gid=gid)
    await w.ok("PUT", "/m/pool/assign", gid=gid, mpid=1, write=True)
    assert await w.refused("PATCH", MEDIUM, key, mid=mid, name="x") == (403, 14401), "the pool is not managed"
    await w.ok("PUT", "/m/pool/assign", gid=gid, mpid=1, write=True, manage=True)
    await w.ok("PATCH", MEDIUM, key, mid=mid, name="x")
    lists = await w.user("ann", (gid, "media.list"))
    assert await w.refused("PATCH", MEDIUM, lists, mid=mid, name="y") == (403, 14400)


async def test_what_is_not_there_or_lies_in_a_pool_that_is_away_is_said(tmp_path: Path) -> None:
    pools = [PoolSetting(mpid=one, name=name, path=tmp_path / name) for one, name in ((1, "media"), (2, "fast"))]
    async with world(tmp_path / "data", pools=pools) as w:
        mid, nowhere = await w.medium(mpid=2), str(UUID(int=1))
        for method, path, body, code in (
            ("POST", MEDIUM, {}, 14111), ("PATCH", MEDIUM, {"name": "x"}, 14410),
            ("PUT", f"{MEDIUM}/move", {"mpid": 1}, 43210),
            ("PUT", f"{MEDIUM}/convert", {"format": "raw"}, 42210),
        ):  # fmt: skip
            assert await w.refused(method, path, mid=nowhere, **body) == (404, code)
        assert await w.refused("PUT", f"{MEDIUM}/move", mid=mid, gid=10**6) == (404, 43211)
        assert await w.refused("PUT", f"{MEDIUM}/move", mid=mid, mpid=9) == (404, 43212)
        (tmp_path / "fast").rename(tmp_path / "aside")
        assert await w.refused("PATCH", MEDIUM, mid=mid, size=2 * MIB) == (406, 14422)
        assert await w.refused("PUT", f"{MEDIUM}/move", mid=mid, mpid=1) == (406, 43222)
        assert await w.refused("PUT", f"{MEDIUM}/convert", mid=mid, format="qcow2") == (406, 42222)
        await w.ok("PATCH", MEDIUM, mid=mid, name="renamed")
        assert (await shown(w, mid))["name"] == "renamed" and "file_size" not in await shown(w, mid)


@pytest.mark.holds("IMAGE-40")
async def test_a_qcow2_disk_whose_guest_has_broken_its_header_does_not_grow(w: World) -> None:
    mid = await w.medium(format="qcow2")
    with (w.data / "media" / f"{mid}.qcow2").open("r+b") as file:
        file.seek(72)
        file.write((0b100).to_bytes(8, "big"))  # its data is elsewhere
    answer = await w.call("PATCH", MEDIUM, mid=mid, size=2 * MIB)
    assert (answer.status, answer.code) == (406, 14427) and "another file" in answer["message"]
    assert (await shown(w, mid))["size"] == MIB
