"""What was deleted can be had back, with its id and its quota: routes 25 and 26."""

from __future__ import annotations

import base64
import time
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.api.world import World, world
from tests.patience import eventually
from velocity.config import PoolSetting
from velocity.hypervisor.fake import FakeHypervisor
from velocity.hypervisor.port import Fact, FactCause, FactReport, HostId, Incarnation
from velocity.steady_clock import SteadyClock
from velocity.store.trash import SqlTrash
from velocity.trash.port import Item

pytestmark = pytest.mark.anyio


async def trid(w: World, name: str) -> int:
    items = (await w.ok("POST", "/t/trash/list"))["items"]
    return next(int(one["trid"]) for one in items if one["name"] == name)


async def test_a_vm_comes_back_as_it_was(w: World) -> None:
    mid = await w.medium()
    vmid = await w.vm(
        "vm", cpus=2, media=[{"mid": mid, "mode": "BLOCK"}], displays=[{"name": "a", "width": 1, "height": 1}]
    )
    await w.ok("PUT", "/v/vm/state", vmid=vmid, state="RUNNING")
    await w.ok("PUT", "/v/vm/state", vmid=vmid, state="STOPPED", force=True)
    before = (await w.ok("POST", "/v/vm", vmid=vmid)).body
    await w.ok("DELETE", "/v/vm", vmid=vmid)
    assert await w.refused("POST", "/v/vm", vmid=vmid) == (404, 16110)
    (item,) = (await w.ok("POST", "/t/trash/list"))["items"]
    assert (item["kind"], item["id"], item["name"], item["uid"], item["gid"]) == ("vm", str(vmid), "vm", 0, 0)
    assert item["expires"] - item["deleted"] == 7 * 86_400
    assert (await w.ok("POST", "/u/group/quota", gid=0))["usage"]["vms"] == 0, "its quota is free at once"
    assert (await w.ok("PUT", "/t/trash", trid=item["trid"]))["id"] == str(vmid)
    assert (await w.ok("POST", "/v/vm", vmid=vmid)).body == before
    assert (await w.ok("POST", "/t/trash/list"))["items"] == []
    assert (await w.ok("POST", "/u/group/quota", gid=0))["usage"]["vms"] == 1
    await w.ok("PUT", "/v/vm/state", vmid=vmid, state="RUNNING")


async def test_a_medium_comes_back_with_its_bytes(w: World) -> None:
    mid = (await w.upload(b"what it holds", x_velocity_type="DISK"))["mid"]
    await w.ok("DELETE", "/m/media", mid=mid)
    assert w.files() == [f".trash/{mid}.raw"]
    assert (await w.ok("POST", "/m/pool/list", gid=0))["pools"][0]["used"] == 0
    assert (await w.ok("POST", "/t/trash/list"))["items"][0]["size"] == 13
    await w.ok("PUT", "/t/trash", trid=await trid(w, "upload"))
    assert (w.data / "media" / f"{mid}.raw").read_bytes() == b"what it holds"
    assert (await w.ok("POST", "/m/media/list", gid=0))["media"][0]["mid"] == mid
    await w.ok("DELETE", "/m/media", mid=mid)
    await w.ok("DELETE", "/t/trash", trid=await trid(w, "upload"))
    assert w.files() == []
    again = (await w.upload(b"x"))["mid"]
    await w.ok("DELETE", "/m/media", mid=again, purge=True)
    assert w.files() == []
    assert (await w.ok("POST", "/t/trash/list"))["items"] == []


async def test_a_group_comes_back_with_all_that_it_had(w: World) -> None:
    top = await w.group("top")
    low = await w.group("low", top)
    await w.ok("PUT", "/u/group/quota", gid=top, vms=3)
    await w.ok("PUT", "/m/pool/assign", gid=top, mpid=1, quota=1 << 30, manage=True, write=True)
    key = await w.user("bob", (low, "vm.view"), (low, "group.view"), (low, "pool.list"), (low, "media.list"))
    await w.user("eve", (low, "vm.view"))
    mid = await w.medium("disk", gid=low)
    vmid = await w.vm("vm", low, media=[{"mid": mid, "mode": "BLOCK"}])

    async def seen() -> list[Any]:
        asked = [("/v/vm/list", {"gid": low}), ("/v/vm", {"vmid": vmid}), ("/m/media/list", {"gid": low}),
                 ("/u/group/quota", {"gid": low}), ("/m/pool/list", {"gid": low}), ("/u/user", {})]  # fmt: skip
        answers = [(await w.ok("POST", path, key, **body)).body for path, body in asked]
        del answers[4]["pools"][0]["free"]
        del answers[3]["revision"]  # eve's grants do not come back, as she is no more
        return answers

    before = await seen()
    await w.ok("DELETE", "/u/group", gid=top)
    assert (await w.ok("POST", "/v/vm/list", gid=0))["vms"] == []
    await w.ok("DELETE", "/u/user", uid=await w.uid("eve"))
    await w.ok("PUT", "/t/trash", trid=await trid(w, "top"))
    assert await seen() == before
    assert [one["name"] for one in (await w.ok("POST", "/u/group", gid=low))["memberships"]] == ["bob"]
    await w.vm("second", low)
    await w.vm("third", low)
    body = {"name": "fourth", "gid": low, "cpus": 1, "memory_mib": 64}
    assert await w.refused("PUT", "/v/vm/efi", **body) == (406, 12222), "its quota is back too"


async def test_who_may(w: World) -> None:
    gid = await w.group("a")
    vmid = await w.vm("vm", gid)
    remover = await w.user("remover", (gid, "vm.remove"))
    stranger = await w.user("stranger", (gid, "vm.view"))
    await w.ok("DELETE", "/v/vm", remover, vmid=vmid)
    number = await trid(w, "vm")
    assert (await w.ok("POST", "/t/trash/list", stranger))["items"] == []
    assert await w.refused("PUT", "/t/trash", stranger, trid=number) == (403, 25200)
    assert await w.refused("PUT", "/t/trash", stranger, trid=99) == (403, 25200)
    assert await w.refused("DELETE", "/t/trash", stranger, trid=number) == (403, 25300)
    assert await w.refused("PUT", "/t/trash", trid=99) == (404, 25210)
    assert await w.refused("DELETE", "/t/trash", trid=99) == (404, 25310)
    assert len((await w.ok("POST", "/t/trash/list", remover))["items"]) == 1
    await w.ok("PUT", "/t/trash", remover, trid=number)


@pytest.mark.holds("DUR-79")
async def test_what_is_to_be_restored_first_is_said(w: World) -> None:
    """To who may see it; where the refusal would be another one anyway, that is told."""
    above = await w.group("above")
    gid = await w.group("a", above)
    await w.ok("PUT", "/m/pool/assign", gid=above, mpid=1, quota=0, manage=True, write=True)
    mid = await w.medium("disk", gid=gid)
    vmid = await w.vm("vm", gid, media=[{"mid": mid, "mode": "BLOCK"}])
    await w.ok("DELETE", "/v/vm", vmid=vmid)
    await w.ok("DELETE", "/m/media", mid=mid)

    async def words(name: str, key: str = "") -> str:
        answer = await w.call("PUT", "/t/trash", key or None, trid=await trid(w, name))
        assert answer.status == 404
        return str(answer["message"])

    bob = await w.user("bob", (gid, "vm.remove"))
    assert (
        f"medium 'disk', which it needs, is in the trash as well: restore item {await trid(w, 'disk')}"
        in await words("vm")
    )
    assert "disk" not in await words("vm", bob)
    await w.ok("PUT", "/t/trash", trid=await trid(w, "disk"))
    await w.ok("PUT", "/t/trash", trid=await trid(w, "vm"))
    await w.ok("DELETE", "/u/group", gid=gid)
    await w.ok("DELETE", "/u/group", gid=above)
    assert "group 'above', which it needs, is in the trash as well" in await words("a")


@pytest.mark.holds("DUR-15")
async def test_what_a_restore_refuses(tmp_path: Path) -> None:
    other = PoolSetting(mpid=2, name="other", path=tmp_path / "other")
    pools = [PoolSetting(mpid=1, name="default", path=tmp_path / "data" / "media"), other]
    async with world(tmp_path / "data", pools=pools) as w:
        await refusals(w)
        await w.medium("elsewhere", mpid=2)
        await w.ok("DELETE", "/m/media", mid=(await w.ok("POST", "/m/media/list", gid=0))["media"][0]["mid"])
    async with world(tmp_path / "data", pools=pools[:1]) as w:
        assert await w.refused("PUT", "/t/trash", trid=await trid(w, "elsewhere")) == (404, 25213)


async def refusals(w: World) -> None:
    """Each leaves everything as it was: the same restore works when what was in its way is gone."""

    async def refused(name: str) -> tuple[int, int]:
        files, usage = w.files(), (await w.ok("POST", "/u/group/quota", gid=0)).body
        answer = await w.refused("PUT", "/t/trash", trid=await trid(w, name))
        assert w.files() == files
        assert (await w.ok("POST", "/u/group/quota", gid=0)).body == usage
        return answer

    gid = await w.group("a")
    await w.ok("PUT", "/m/pool/assign", gid=gid, mpid=1, quota=1 << 20, manage=True, write=True)
    mid = await w.medium("disk", gid=gid)
    vmid = await w.vm("vm", gid, cpus=2, media=[{"mid": mid, "mode": "BLOCK"}])
    await w.ok("DELETE", "/v/vm", vmid=vmid)
    rival = await w.vm("vm", gid)
    assert await refused("vm") == (409, 25220)
    await w.ok("DELETE", "/v/vm", vmid=rival, purge=True)
    rival = await w.vm("rival", gid, media=[{"mid": mid, "mode": "BLOCK"}])
    assert await refused("vm") == (409, 25223)
    await w.ok("DELETE", "/v/vm", vmid=rival, purge=True)
    for limit, code in (("cpus", 25224), ("memory_mib", 25225), ("vms", 25226)):
        await w.ok("PUT", "/u/group/quota", gid=gid, **{limit: 0})
        assert await refused("vm") == (406, code)
    await w.ok("PUT", "/u/group/quota", gid=gid)
    await w.ok("DELETE", "/m/media", mid=mid)
    assert await refused("vm") == (404, 25212)
    second = await w.medium("disk", gid=gid, size=1 << 19)
    assert await refused("disk") == (406, 25227)
    await w.ok("PUT", "/m/pool/assign", gid=gid, mpid=1, manage=True, write=True)
    assert await refused("disk") == (409, 25221)
    await w.ok("DELETE", "/m/media", mid=second, purge=True)
    await w.ok("PUT", "/t/trash", trid=await trid(w, "disk"))
    await w.ok("DELETE", "/v/vm", vmid=await w.vm("last", gid))
    await w.ok("DELETE", "/u/group", gid=gid)
    assert await refused("last") == (404, 25211)
    rival = await w.group("a")
    assert await refused("a") == (409, 25222)
    await w.ok("DELETE", "/u/group", gid=rival, purge=True)
    await w.ok("PUT", "/t/trash", trid=await trid(w, "a"))
    for name in ("vm", "last"):
        await w.ok("PUT", "/t/trash", trid=await trid(w, name))
    assert len((await w.ok("POST", "/v/vm/list", gid=gid))["vms"]) == 2
    await w.ok("DELETE", "/u/group", gid=gid, purge=True)
    assert [file for file in w.files() if "other" not in file] == []


@pytest.mark.holds("DUR-14")
async def test_the_trash_outlives_a_restart_and_a_crash(tmp_path: Path) -> None:
    fake = FakeHypervisor()
    async with world(tmp_path / "data", fake) as w:
        first, second = await w.medium("first"), await w.medium("second")
        vmid = await w.vm("vm", media=[{"mid": first, "mode": "BLOCK"}])
        await w.ok("DELETE", "/v/vm", vmid=vmid)
        await w.ok("DELETE", "/m/media", mid=second)
        media = tmp_path / "data" / "media"
        (media / ".trash" / f"{second}.raw").rename(media / ".moving" / f"{second}.raw")
        (media / f"{first}.raw").rename(media / ".trash" / f"{first}.raw")
        (media / ".trash" / "of nobody").touch()
    async with world(tmp_path / "data", fake) as w:
        assert w.files() == [f".trash/{second}.raw", f"{first}.raw"], "the database decides"
        for name in ("vm", "second"):
            await w.ok("PUT", "/t/trash", trid=await trid(w, name))
        assert await w.vm("next") == vmid + 1


async def test_the_trash_is_emptied_by_age_and_when_a_pool_runs_short(w: World) -> None:
    await w.ok("DELETE", "/m/media", mid=await w.medium("empty"))
    for name in ("old", "new"):
        await discarded(w, name)
    await w.ok("DELETE", "/v/vm", vmid=await w.vm("vm"))
    files = w.directory(1)
    free = files.free
    files.free = lambda: free() if len(w.files()) < 3 else 10  # type: ignore[method-assign]
    assert (await w.upload(b"x" * 1000)).status == 200
    left = [one["name"] for one in (await w.ok("POST", "/t/trash/list"))["items"]]
    assert left == ["vm", "new", "empty"], "the oldest medium with bytes goes first, and no more than is needed"
    purging = w.server.services.purging
    purging.clock = lambda: 4_000_000_000.0
    await purging.sweep()
    assert (await w.ok("POST", "/t/trash/list"))["items"] == []
    assert len(w.files()) == 1


@pytest.mark.holds("DUR-80")
async def test_a_clock_that_is_set_to_another_year_does_not_empty_the_trash(w: World) -> None:
    """Before it is set right again: it has to run so for an hour."""
    purging, began, passed = w.server.services.purging, time.time(), 0.0
    await discarded(w, "kept")

    async def left() -> list[str]:
        await purging.look()
        return [one["name"] for one in (await w.ok("POST", "/t/trash/list"))["items"]]

    purging.clock = lambda: began + passed
    purging.steady = SteadyClock(lambda: purging.clock(), lambda: passed)
    passed += 7200
    assert await left() == ["kept"], "it is no week old"
    began += 365 * 86_400
    for _ in range(2):
        passed += 1799
        assert await left() == ["kept"]
    passed += 3
    assert await left() == ["kept"]
    passed += 1800
    assert await left() == []


@pytest.mark.holds("DUR-81")
async def test_an_error_that_nobody_foresaw_does_not_end_the_emptying_of_the_trash(
    w: World, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    failed: list[int] = []

    async def fails(trash: SqlTrash) -> Sequence[Item]:
        failed.append(1)
        raise ValueError("this")

    monkeypatch.setattr(SqlTrash, "items", fails)
    purging = w.server.services.purging
    await purging.close()
    purging.open(every=0.01)
    await eventually(lambda: len(failed) > 2)
    assert "the trash could not be checked" in caplog.text


async def discarded(w: World, name: str, size: int = 4096) -> None:
    """A medium with bytes, in the trash."""
    mid = (await w.upload(b"x" * size, x_velocity_name=name, x_velocity_type="DISK"))["mid"]
    await w.ok("DELETE", "/m/media", mid=mid)


@pytest.mark.holds("DUR-16")
async def test_what_is_refused_anyway_takes_nothing_out_of_the_trash(w: World) -> None:
    """Neither the quota, nor a name, nor what no pool can hold costs others what they deleted; nor does a plan."""
    gid = await w.group("a")
    await w.ok("PUT", "/m/pool/assign", gid=gid, mpid=1, quota=1000, write=True, manage=True)
    await discarded(w, "of others")
    await w.medium("taken")
    files = w.directory(1)
    files.free = lambda: 10  # type: ignore[method-assign]

    async def refused(size: int, **more: str) -> int:
        fields = {"gid": "0", "name": "new", "mpid": "1", "type": "DISK", "readonly": "false"} | more
        pairs = [f"{key} {base64.b64encode(value.encode()).decode()}" for key, value in fields.items()]
        sent = {"tus_resumable": "1.0.0", "upload_length": str(size), "upload_metadata": ",".join(pairs)}
        tus = await w.raw("POST", "/m/media/tus", authorization=f"Bearer {w.key}", **sent)
        headers = {f"x_velocity_{key}": value for key, value in fields.items()}
        for plan in ("true", "false"):
            answer = await w.upload(b"" if plan == "true" else chunk(), x_velocity_length=str(size),
                                    x_velocity_plan=plan, **headers)  # fmt: skip
            assert (answer.status, answer.code) == (tus.status, tus.code)
        assert [one["name"] for one in (await w.ok("POST", "/t/trash/list"))["items"]] == ["of others"]
        return answer.code

    async def chunk() -> AsyncIterator[bytes]:
        yield b"x"

    assert await refused(1 << 60, gid=str(gid)) == 9221, "more than its quota"
    assert await refused(1001, gid=str(gid)) == 9221, "more than its quota"
    assert await refused(1001, name="taken") == 9220
    assert await refused(1 << 60) == 9221, "more than the pool could ever hold"
    assert await refused(4096 + 11) == 9221, "more than there would be without any trash"


async def test_a_pool_that_runs_short_keeps_no_trash(w: World) -> None:
    files = w.directory(1)
    files.free = lambda: 1 << 20  # type: ignore[method-assign]
    await discarded(w, "first")
    assert w.files() == []
    assert (await w.ok("POST", "/t/trash/list"))["items"] == []


async def test_room_is_made_for_a_guest_that_stands_still_for_want_of_it(w: World) -> None:
    mid = await w.medium("used")
    vmid = await w.vm("vm", media=[{"mid": mid, "mode": "BLOCK"}])
    await w.ok("PUT", "/v/vm/state", vmid=vmid, state="RUNNING")
    await discarded(w, "gone")
    assert len(w.files()) == 2
    files = w.directory(1)
    files.free = lambda: 0  # type: ignore[method-assign]
    who = w.server.services.fleet.get(vmid).who
    w.hypervisor.play(who.machine, Fact.PAUSED, FactCause.DISK_FULL)
    await w.settle()
    assert w.files() == [f"{mid}.raw"]


async def test_without_a_trash_what_is_deleted_is_gone(tmp_path: Path) -> None:
    async with world(tmp_path / "data", trash_days=0) as w:
        await w.ok("DELETE", "/m/media", mid=await w.medium())
        assert w.files() == []
        assert (await w.ok("POST", "/t/trash/list"))["items"] == []


@pytest.mark.parametrize("heard", [True, False])
@pytest.mark.holds("DUR-21")
async def test_what_a_crash_left_of_a_vm_goes_at_the_next_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, heard: bool
) -> None:
    """Between the commit of its end and the removal of its firmware variables; what others have stays.

    Not `heard`: its host was not told either that the end of its run was taken note of.
    """
    fake = FakeHypervisor()

    async def crash(_uuid: object) -> None:
        raise SystemError("the server is gone")

    async with world(tmp_path / "data", fake) as w:
        vmids = {name: await w.vm(name) for name in ("running", "stopped", "trashed", "purged")}
        uuids = {name: w.server.services.fleet.get(vmid).machine.uuid for name, vmid in vmids.items()}
        for name, vmid in vmids.items():
            await w.ok("PUT", "/v/vm/state", vmid=vmid, state="RUNNING")
            if name != "running":
                await w.ok("PUT", "/v/vm/state", vmid=vmid, state="STOPPED", force=True)
        await w.ok("DELETE", "/v/vm", vmid=vmids["trashed"])
        with monkeypatch.context() as crashing:
            crashing.setattr(fake.machines, "forget", crash)
            assert (await w.call("DELETE", "/v/vm", vmid=vmids["purged"], purge=True)).status == 500
    assert fake.state.keeps == set(uuids.values())
    if not heard:
        who = Incarnation(uuids["purged"], HostId(1), fake.state.epochs[uuids["purged"]])
        fake.state.ends[who.machine] = FactReport(who, Fact.ENDED, FactCause.ASKED)
    async with world(tmp_path / "data", fake) as w:
        assert fake.machines.forgotten == [uuids["purged"]]
        assert fake.state.keeps == set(uuids.values()) - {uuids["purged"]}
        assert (await w.ok("POST", "/v/vm/state", vmid=vmids["running"]))["state"] == "RUNNING"


async def test_a_database_without_a_vm_removes_nothing(tmp_path: Path) -> None:
    """It may be the wrong one; the variables of the right one's VMs stay."""
    fake = FakeHypervisor()
    async with world(tmp_path / "data", fake) as w:
        vmid = await w.vm()
        await w.ok("PUT", "/v/vm/state", vmid=vmid, state="RUNNING")
        await w.ok("PUT", "/v/vm/state", vmid=vmid, state="STOPPED", force=True)
    async with world(tmp_path / "another", fake):
        assert fake.machines.forgotten == []
