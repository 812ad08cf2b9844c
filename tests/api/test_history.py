"""Who did what, and what was refused: route 27. Secrets are never in it."""

from __future__ import annotations

import asyncio
import re
import time
from pathlib import Path
from typing import Any

import pytest

from tests.api.test_transfers import begin, patch
from tests.api.test_trash import trid
from tests.api.world import PASSWORD, World, world
from tests.clocks import believed
from tests.patience import eventually
from velocity.store.history import SqlHistory

pytestmark = pytest.mark.anyio


async def entries(w: World, _key: str | None = None, **body: Any) -> list[dict[str, Any]]:
    return list((await w.ok("POST", "/t/history", _key, **body))["entries"])


@pytest.mark.holds("TEAM-10")
async def test_what_is_done_and_what_is_refused(w: World) -> None:
    gid = await w.group("a")
    key = await w.user("bob", (gid, "vm.view"))
    vmid = await w.vm("vm", gid)
    await w.refused("DELETE", "/v/vm", key, _plan=False, vmid=vmid)
    await w.refused("POST", "/u/user/list", key)
    await w.refused("POST", "/u/auth", "", name="bob", password="a wrong one")
    await w.refused("POST", "/u/auth", "", name="hunter2 typed here", password="a wrong one")
    await w.ok("POST", "/v/vm", key, vmid=vmid)
    found = await entries(w)
    told = [(one["name"], one["operation"], one["status"], one.get("code")) for one in found[:5]]
    assert told == [
        ("(nobody's name)", "sign_in", 403, 1100),
        ("bob", "sign_in", 403, 1100),
        ("bob", "list_users", 403, 3100),
        ("bob", "delete_vm", 403, 16300),
        ("root", "create_vm", 200, None),
    ]
    assert found[3]["target"] == f"vmid={vmid} name=vm"
    assert found[3]["gid"] == gid
    assert "velocity.vm.remove" in found[3]["message"]
    assert found[4]["address"] == "127.0.0.1"
    assert len({one["request"] for one in found}) == len(found)
    text = str(found)
    for secret in (PASSWORD, "a wrong one", "hunter2", key, w.key):
        assert secret not in text


@pytest.mark.holds("PAGE-61", "PAGE-91", "TEAM-10")
async def test_a_change_says_what_it_set_and_of_texts_only_that(w: World) -> None:
    gid = await w.group("a")
    vmid = await w.vm("vm", gid)
    told = {
        "notes": "the safe's number",
        "cloud_init": {"user_data": f"#cloud-config\n# {PASSWORD}"},
        "host_labels": ["disk=hidden"],
    }
    await w.ok("PATCH", "/v/vm", vmid=vmid, cpus=2, memory_mib=128, autostart=True, ha="restart", name="a b", **told)
    shown = await w.ok("POST", "/v/vm", vmid=vmid)
    await w.ok("PATCH", "/v/vm", vmid=vmid, max_cpus=4, revision=shown["revision"])
    await w.refused("PATCH", "/v/vm", vmid=vmid, memory_mib=1 << 40)
    mid = await w.medium()
    await w.ok("PATCH", "/m/media", mid=mid, size=2 << 20, readonly=True)
    await w.ok("PUT", "/u/group/quota", gid=gid, cpus=8, vms=1)
    await w.ok("PUT", "/m/pool/assign", gid=gid, mpid=1, quota=1 << 30, write=True)
    found = await entries(w, limit=7)
    assert [one["target"] for one in reversed(found) if one["operation"] != "create_medium"] == [
        f"vmid={vmid} cpus=1->2 memory_mib=64->128 autostart=false->true ha=off->restart "
        'changed=name+notes+host_labels+cloud_init was=vm name="a b"',
        f'vmid={vmid} max_cpus=0->4 name="a b"',
        f'vmid={vmid} memory_mib={1 << 40} name="a b"',
        f"mid={mid} size={1 << 20}->{2 << 20} readonly=false->true name=disk",
        f"gid={gid} cpus=none->8 vms=none->1 name=a",
        f"gid={gid} mpid=1 quota=none->{1 << 30} write=none->true manage=none->false name=a",
    ]
    for secret in ("safe", PASSWORD, "hidden"):
        assert secret not in str(found)


@pytest.mark.holds("PAGE-98")
async def test_a_change_that_is_refused_on_its_way_says_what_it_asked_for(w: World) -> None:
    """Not that it was made: what it changes is noted before it is stored."""
    gid, huge = await w.group("a"), 1 << 40
    await w.ok("PUT", "/m/pool/assign", gid=gid, mpid=1, quota=1 << 30, write=True, manage=True)
    mid = await w.medium(gid=gid)
    await w.refused("PATCH", "/m/media", mid=mid, size=huge)
    assert (await entries(w, limit=1))[0]["target"] == f"mid={mid} size={huge} name=disk"


@pytest.mark.holds("PAGE-91")
async def test_a_change_of_devices_says_which(w: World) -> None:
    vmid = await w.vm("vm")
    first, second = await w.medium("first"), await w.medium("second")
    disk = {"mode": "VIRTIO", "readonly": False}
    screen = {"name": "screen", "width": 800, "height": 600}
    nat, port = {"type": "NAT"}, {"host_port": 2222, "guest_port": 22}
    for change in (
        {"media": [{"mid": first, **disk}], "nics": [nat], "forwards": [port], "displays": [screen]},
        {
            "media": [{"mid": first, **disk}, {"mid": second, **disk}],
            "displays": [screen | {"width": 1024, "height": 768}],
        },
        {"media": [{"mid": second, **disk}, {"mid": first, **disk}], "forwards": []},
        {"media": [{"mid": second, **disk, "readonly": True}], "nics": [nat | {"id": 1, "link": "down"}]},
        {"media": [{"mid": second, **disk, "readonly": True}], "displays": [], "nics": []},
    ):
        await w.ok("PATCH", "/v/vm", vmid=vmid, **change)
    told = [one["target"] for one in reversed(await entries(w)) if one["operation"] == "alter_vm"]
    assert told == [
        f"vmid={vmid} media=+{first} nics=+nat displays=+800x600 forwards=+2222:22 name=vm",
        f"vmid={vmid} media=+{second} displays=800x600->1024x768 name=vm",
        f"vmid={vmid} forwards=-2222:22 changed=boot_order name=vm",
        f"vmid={vmid} media=~{second},-{first} nics=nat->nat:down name=vm",
        f"vmid={vmid} nics=-nat:down displays=-1024x768 name=vm",
    ]


@pytest.mark.holds("PAGE-92")
async def test_a_vm_that_was_forced_off_was_not_just_stopped(w: World) -> None:
    vmid = await w.vm("vm")
    for state, force in (("RUNNING", False), ("STOPPED", False), ("STOPPED", True)):
        await w.ok("PUT", "/v/vm/state", vmid=vmid, state=state, force=force)
    told = [one["target"] for one in reversed(await entries(w)) if one["operation"] == "set_vm_state"]
    assert told == [
        f"vmid={vmid} state=STOPPED->RUNNING name=vm",
        f"vmid={vmid} state=RUNNING->STOPPED name=vm",
        f"vmid={vmid} state=STOPPED force=true name=vm",
    ]


@pytest.mark.holds("PAGE-92")
async def test_a_vm_that_was_resumed_was_not_started(w: World) -> None:
    vmid = await w.vm("vm")
    for state in ("RUNNING", "PAUSED", "RUNNING"):
        await w.ok("PUT", "/v/vm/state", vmid=vmid, state=state)
    assert (await entries(w, limit=1))[0]["target"] == f"vmid={vmid} state=PAUSED->RUNNING name=vm"


@pytest.mark.holds("PAGE-94")
async def test_a_vm_deleted_with_its_disks_says_how_many(w: World) -> None:
    vmid, mids = await w.vm("vm"), [await w.medium("first"), await w.medium("second")]
    media = [{"mid": mid, "mode": "VIRTIO", "readonly": False} for mid in mids]
    await w.ok("PATCH", "/v/vm", vmid=vmid, media=media)
    await w.ok("DELETE", "/v/vm", vmid=vmid, disks=True)
    told = [one["target"] for one in await entries(w, limit=2) if one["operation"] == "delete_vm"]
    assert told == [f"vmid={vmid} disks=2 name=vm"]


async def test_what_is_restored_has_its_name(w: World) -> None:
    mid = (await w.ok("PUT", "/m/media/create", mpid=1, gid=0, name="old disk", size=1024, type="DISK"))["mid"]
    await w.ok("DELETE", "/m/media", mid=mid)
    [item] = (await w.ok("POST", "/t/trash/list"))["items"]
    await w.ok("PUT", "/t/trash", trid=item["trid"])
    [restored] = [one for one in await entries(w) if one["operation"] == "restore"]
    assert restored["target"] == f'trid={item["trid"]} mid={mid} name="old disk"'


async def test_uploads_are_in_it_in_both_protocols(w: World) -> None:
    await w.upload(b"x", x_velocity_name="whole")
    await w.upload(b"x", await w.user("bob"), x_velocity_name="refused")
    place = await begin(w, 1, name="in parts")
    assert (await patch(w, place, 0, b"x")).status_code == 204
    found = [one for one in await entries(w) if one["operation"].startswith("upload")]
    assert [(one["operation"], one["name"], one["target"], one.get("code")) for one in found] == [
        ("upload_resumable", "root", 'gid=0 mpid=1 name="in parts"', None),
        ("upload_medium", "bob", "gid=0 mpid=1 name=refused", 9200),
        ("upload_medium", "root", "gid=0 mpid=1 name=whole", None),
    ]


async def test_pages_and_filters(w: World) -> None:
    for number in range(5):
        await w.group(f"g{number}")
    first = await entries(w, limit=2)
    assert [one["target"] for one in first] == ["parent_gid=0 name=g4", "parent_gid=0 name=g3"]
    second = await entries(w, limit=2, before=first[-1]["hid"])
    assert [one["target"] for one in second] == ["parent_gid=0 name=g2", "parent_gid=0 name=g1"]
    await w.refused("PUT", "/u/group", name="g1", parent_gid=0)
    assert [one["code"] for one in await entries(w, refused=True)] == [5220]
    assert all("code" not in one for one in await entries(w, refused=False))
    assert await entries(w, uid=99) == []
    assert await w.refused("POST", "/t/history", limit=1001) == (400, 400)


async def test_a_team_sees_its_own(w: World) -> None:
    ours, theirs = await w.group("ours"), await w.group("theirs")
    low = await w.group("low", ours)
    key = await w.user("bob", (ours, "user.view"))
    await w.vm("mine", low)
    await w.vm("not mine", theirs)
    assert [one["target"] for one in await entries(w, key, gid=ours) if one["operation"] == "create_vm"] == [
        f"gid={low} name=mine"
    ]
    assert await w.refused("POST", "/t/history", key, gid=theirs) == (403, 27100)
    assert await w.refused("POST", "/t/history", key) == (403, 27100)
    assert await w.refused("POST", "/t/history", gid=99) == (404, 27110)


async def test_the_request_id_stands_in_the_answer_and_in_the_history(w: World) -> None:
    response = await w.http.put("http://velocity/u/group", content=b"{}", headers={"authorization": f"Bearer {w.key}"})
    assert response.status_code == 400
    assert len(response.headers["x-request-id"]) == 16


async def test_a_page_that_is_opened_is_no_entry(w: World) -> None:
    before = await entries(w)
    assert await w.refused("POST", "/u/session", "") == (401, 100)
    assert await entries(w) == before


async def test_it_is_kept_and_rotated(tmp_path: Path) -> None:
    async with world(tmp_path / "data") as w:
        await w.group("a")
    async with world(tmp_path / "data") as w:
        assert any(one["operation"] == "create_group" for one in await entries(w))
        store = SqlHistory(w.server.database)
        await store.rotate(0, 2, 0)
        assert len(await entries(w)) == 2
        await store.rotate(4_000_000_000, 1000, 1000)
        assert await entries(w) == []


@pytest.mark.holds("METRIC-9")
async def test_what_happened_to_one_vm(w: World) -> None:
    gid = await w.group("a")
    key = await w.user("bob", (gid, "user.view"), (gid, "vm.view"))
    stranger = await w.user("eve")
    vmid, other = await w.vm("vm", gid), await w.vm(f"vmid={99}", gid)
    await w.ok("PUT", "/v/vm/state", vmid=vmid, state="RUNNING")
    await w.ok("PUT", "/v/vm/state", vmid=other, state="RUNNING")
    await w.refused("PUT", "/v/vm/state", key, _plan=False, vmid=vmid, state="STOPPED")
    await w.ok("PUT", "/v/vm/state", vmid=vmid, state="STOPPED")
    await w.ok("DELETE", "/v/vm", vmid=vmid)
    await w.ok("PUT", "/t/trash", trid=(await w.ok("POST", "/t/trash/list"))["items"][0]["trid"])
    told = [
        ("restore", 200, "root"),
        ("delete_vm", 200, "root"),
        ("set_vm_state", 200, "root"),
        ("set_vm_state", 403, "bob"),
        ("set_vm_state", 200, "root"),
        ("create_vm", 200, "root"),
    ]
    for who in (w.key, key):
        found = await entries(w, who, gid=gid, vmid=vmid)
        assert [(one["operation"], one["status"], one["name"]) for one in found] == told, "of whoever may see its group"
        assert {one["vmid"] for one in found} == {vmid}
    assert await w.refused("POST", "/t/history", stranger, gid=gid, vmid=vmid) == (403, 27100)
    assert await entries(w, gid=gid, vmid=99) == [], "a name that looks like an id is none"
    assert all("vmid" not in one for one in await entries(w) if one["operation"] == "create_group")


async def test_the_history_is_written_once_its_old_entries_are_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else that removal is what fails, where a test lets the next commit fail."""
    removed = asyncio.Event()
    rotated: list[object] = []

    async def rotate(*told: object) -> None:
        await removed.wait()
        rotated.append(told)

    monkeypatch.setattr(SqlHistory, "rotate", rotate)
    async with world(tmp_path / "data") as w:
        writing = asyncio.create_task(w.written())
        await asyncio.sleep(0.05)
        assert not writing.done()
        removed.set()
        await writing
        assert rotated


@pytest.mark.holds("DUR-80")
async def test_no_entry_is_removed_for_its_age_before_the_clock_has_run_evenly(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before: list[int] = []

    async def rotate(_store: SqlHistory, day: int, most: int, refusals: int) -> None:
        before.append(day)

    monkeypatch.setattr(SqlHistory, "rotate", rotate)
    async with world(tmp_path / "data") as w:
        await w.server.services.history.close()
        w.server.services.history.open(every=0.01)
        await eventually(lambda: len(before) > 1)
        assert set(before) == {0}
        w.server.services.history.steady = believed(time.time())
        await eventually(lambda: before[-1] > 0)


@pytest.mark.holds("PAGE-111")
async def test_a_new_name_stands_beside_the_old_one(w: World) -> None:
    gid = await w.group("a")
    vmid, mid = await w.vm("vm", gid), await w.medium("disk")
    key = await w.user("bob", (gid, "vm.alter"))
    await w.ok("PATCH", "/v/vm", vmid=vmid, name='web "1" uid=0', cpus=2)
    await w.ok("PATCH", "/v/vm", vmid=vmid, name="db")
    await w.ok("PATCH", "/m/media", mid=mid, name="old disk")
    await w.ok("PATCH", "/h/node", host=1, name="attic")
    await w.refused("PATCH", "/v/vm", key, vmid=vmid, name="x", memory_mib=1 << 40)
    told = [one["target"] for one in reversed(await entries(w, limit=5))]
    assert told[:3] == [
        f'vmid={vmid} cpus=1->2 changed=name was=vm name="web \\"1\\" uid=0"',
        f'vmid={vmid} changed=name was="web \\"1\\" uid=0" name=db',
        f'mid={mid} changed=name was=disk name="old disk"',
    ]
    assert re.fullmatch(r"host=1 changed=name was=\S+ name=attic", told[3])
    assert told[4] == f"vmid={vmid} memory_mib={1 << 40} changed=name name=x", "it has no new name"


@pytest.mark.holds("PAGE-111")
async def test_what_goes_away_is_named(w: World) -> None:
    """Its id tells nobody anything then."""
    gid = await w.group("team")
    await w.user("bob", (gid, "vm.view"))
    vmid, mid = await w.vm("vm", gid), await w.medium("disk")
    await w.ok("DELETE", "/v/vm", vmid=vmid)
    await w.ok("DELETE", "/m/media", mid=mid, purge=True)
    await w.ok("DELETE", "/t/trash", trid=await trid(w, "vm"))
    uid = await w.uid("bob")
    await w.ok("DELETE", "/u/user", uid=uid)
    await w.ok("DELETE", "/u/group", gid=gid)
    found = list(reversed(await entries(w, limit=5)))
    assert [one["target"] for one in found[:2]] == [f"vmid={vmid} name=vm", f"mid={mid} name=disk"]
    assert re.fullmatch(rf"trid=\d+ vmid={vmid} name=vm", found[2]["target"])
    assert (found[2]["gid"], found[2]["vmid"]) == (gid, vmid), "for those who may view its group, and of the VM"
    assert [one["target"] for one in found[3:]] == [f"uid={uid} name=bob", f"gid={gid} name=team"]


@pytest.mark.holds("TEAM-29")
async def test_of_another_groups_objects_the_history_has_no_names(w: World) -> None:
    ours, theirs = await w.group("ours"), await w.group("theirs")
    key = await w.user("bob", (ours, "user.view"), (ours, "user.assign"), (ours, "user.revoke"), (ours, "media.create"))
    await w.user("mallory")
    for gid in (ours, theirs):
        await w.ok("PUT", "/m/pool/assign", gid=gid, mpid=1, write=True, manage=True)
    mid, uid = await w.medium("hidden", gid=theirs), await w.uid("mallory")
    await w.ok("DELETE", "/u/user/permission", key, uid=uid, gid=ours)
    await w.refused("PUT", "/u/user/permission", key, uid=uid, gid=ours, permission="velocity.vm.view")
    await w.ok("PUT", "/m/media/clone", gid=ours, mid=mid, mpid=1, name="copy")
    found = await entries(w, key, gid=ours)
    assert {"revoke_permission", "grant_permission", "clone_medium"} <= {one["operation"] for one in found}
    assert "mallory" not in str(found) and "hidden" not in str(found)


@pytest.mark.holds("METRIC-18")
async def test_what_happens_to_a_disk_is_in_the_history_of_its_vm(w: World) -> None:
    gid = await w.group("a")
    await w.ok("PUT", "/m/pool/assign", gid=gid, mpid=1, quota=1 << 30, write=True, manage=True)
    disk, iso, above = await w.medium("disk", gid=gid), await w.medium("iso", gid=gid), await w.medium("above")
    reads = {"mode": "USB", "readonly": True}
    media = [{"mid": disk, "mode": "BLOCK"}, {"mid": iso, **reads}, {"mid": above, **reads}]
    vmid = await w.vm("vm", gid, media=media)
    await w.vm("other", gid, media=[{"mid": iso, **reads}, {"mid": disk, **reads}])
    await w.ok("PATCH", "/m/media", mid=disk, size=2 << 20)
    await w.refused("PATCH", "/m/media", mid=disk, size=1 << 40)
    await w.ok("PATCH", "/m/media", mid=iso, name="disc")
    await w.ok("PATCH", "/m/media", mid=above, name="shared")
    await w.ok("PUT", "/m/media/clone", mid=disk, gid=gid, mpid=1, name="copy")
    await w.ok("PATCH", "/v/vm", vmid=vmid, media=[])
    await w.ok("PATCH", "/m/media", mid=disk, name="loose")
    told = [(one["operation"], one["status"]) for one in reversed(await entries(w, vmid=vmid))]
    assert told == [
        ("create_vm", 200), ("alter_medium", 200), ("alter_medium", 406), ("alter_medium", 200),
        ("clone_medium", 200), ("alter_vm", 200),
    ]  # fmt: skip
    assert [one["operation"] for one in await entries(w, gid=gid, vmid=vmid)].count("alter_medium") == 2, (
        "one of another group is in that group's history"
    )


@pytest.mark.holds("METRIC-18")
async def test_whoever_may_not_know_of_a_vm_does_not_learn_of_it_by_its_disk(w: World) -> None:
    ours, theirs = await w.group("ours"), await w.group("theirs")
    for gid in (ours, theirs):
        await w.ok("PUT", "/m/pool/assign", gid=gid, mpid=1, write=True, manage=True)
    disk = await w.medium("disk", gid=ours)
    key = await w.user("bob", (ours, "user.view"))
    await w.vm("theirs", theirs, media=[{"mid": disk, "mode": "BLOCK"}])
    await w.ok("PATCH", "/m/media", mid=disk, size=2 << 20)
    (one,) = [one for one in await entries(w, key, gid=ours) if one["operation"] == "alter_medium"]
    assert "vmid" not in one
