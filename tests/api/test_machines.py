"""VMs: routes 11 to 13, 16, 17 and 19."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from tests.api.world import World, world
from tests.patience import asked_until, eventually
from velocity.hypervisor.fake import FakeHypervisor
from velocity.hypervisor.port import Fact, FactCause

pytestmark = pytest.mark.anyio


async def test_notes_are_kept_as_they_are_and_stand_in_no_list(w: World) -> None:
    notes = 'root on /dev/vda\n\u00e4\u0000\U0001f600 "quoted"\n'
    vmid = await w.vm(notes=notes)
    assert (await w.ok("POST", "/v/vm", vmid=vmid)).body["notes"] == notes
    assert "notes" not in (await w.ok("POST", "/v/vm/list", gid=0)).body["vms"][0]
    await w.ok("PUT", "/v/vm/state", vmid=vmid, state="RUNNING")
    altered = (await w.ok("PATCH", "/v/vm", vmid=vmid, notes="")).body
    assert altered["waiting"] == [], "what the guest does not see waits for no start"
    assert (await w.ok("POST", "/v/vm", vmid=vmid)).body["notes"] == ""
    plain = await w.vm(name="plain")
    assert (await w.ok("POST", "/v/vm", vmid=plain)).body["notes"] == ""


@pytest.mark.holds("PAGE-85")
async def test_since_when_a_vm_is_there_and_runs_is_known_unmeasured_and_after_a_restart(
    tmp_path: Path, anyio_backend: str
) -> None:
    begun = int(time.time())
    async with world(tmp_path / "data") as w:
        vmid = await w.vm("web")
        assert "running_since" not in (await w.ok("POST", "/v/vm", vmid=vmid)).body
        await w.ok("PUT", "/v/vm/state", vmid=vmid, state="RUNNING")
        shown = await w.ok("POST", "/v/vm", vmid=vmid)
        told = shown["created"], shown["running_since"]
        assert begun <= told[0] <= told[1] <= time.time()
        key, hypervisor = w.key, w.hypervisor
        await w.settle()
    async with world(tmp_path / "data", hypervisor) as w:
        w.key = key
        shown = await w.ok("POST", "/v/vm", vmid=vmid)
        assert (shown["created"], shown["running_since"]) == told
        await w.ok("PUT", "/v/vm/state", vmid=vmid, state="STOPPED", force=True)
        await w.ok("DELETE", "/v/vm", vmid=vmid)
        (item,) = (await w.ok("POST", "/t/trash/list"))["items"]
        await w.ok("PUT", "/t/trash", trid=item["trid"])
        back = (await w.ok("POST", "/v/vm", vmid=vmid)).body
        assert (back["created"], "running_since" in back) == (told[0], False)


@pytest.mark.holds("API-4")
async def test_a_text_is_bounded_by_its_bytes(w: World) -> None:
    most = "\u00e4" * 4096
    vmid = await w.vm(notes=most)
    for request in ({"name": "b", "gid": 0, "cpus": 1, "memory_mib": 64}, {"vmid": vmid}):
        verb, path = ("PATCH", "/v/vm") if "vmid" in request else ("PUT", "/v/vm/efi")
        for notes in (f"{most}a", "a" * 8193):
            refused = await w.call(verb, path, **request, notes=notes)
            assert (refused.status, refused.body["code"], refused.body["field"]) == (400, 400, "notes")
            assert "8192" in refused.body["message"]
    assert (await w.ok("POST", "/v/vm", vmid=vmid)).body["notes"] == most
    assert len((await w.ok("POST", "/v/vm/list", gid=0)).body["vms"]) == 1


async def test_a_vm_reads_back_as_it_was_made(w: World) -> None:
    mid = await w.medium()
    body = {
        "name": "web, the ../first",
        "cpus": 2,
        "memory_mib": 512,
        "displays": [{"name": "d", "width": 800, "height": 600, "ppi": 110}],
        "media": [{"mid": mid, "mode": "USB", "readonly": False}],
        "nics": [{"type": "NAT"}, {"type": "BRIDGE", "host": 5}],
        "rosetta": True,
        "autostart": True,
    }
    created = await w.ok("PUT", "/v/vm/efi", gid=0, **body)
    assert created.body == {"vmid": 1}
    shown = (await w.ok("POST", "/v/vm", vmid=1)).body
    assert {name: shown[name] for name in body} == body
    assert (shown["type"], shown["state"], shown["gid"], shown["wanted"]) == ("EFI", "STOPPED", 0, "STOPPED")
    assert shown["machine_type"] == "fake-1.0"
    assert (await w.ok("POST", "/v/vm/list", gid=0)).body == {
        "vms": [
            {
                "vmid": 1,
                "name": "web, the ../first",
                "cpus": 2,
                "memory_mib": 512,
                "state": "STOPPED",
                "mac": shown["interfaces"][0]["mac"],
            }
        ]
    }


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"cpus": 0}, (406, 12220)),
        ({"cpus": -3}, (406, 12220)),
        ({"cpus": 9}, (406, 12220)),
        ({"memory_mib": 0}, (406, 12221)),
        ({"memory_mib": 4097}, (406, 12221)),
        ({"gid": 99}, (404, 12210)),
        ({"media": [{"mid": str(uuid4()), "mode": "USB"}]}, (404, 12211)),
        ({"nics": [{"type": "BRIDGE", "host": 6}]}, (404, 12214)),
        ({"nics": [{"type": "BRIDGE"}]}, (406, 12227)),
        ({"nics": [{"type": "WIFI"}]}, (406, 12226)),
        ({"nics": [{"type": "NAT"}] * 9}, (400, 400)),
        ({"displays": [{"name": "d", "width": 1, "height": 1}] * 2}, (409, 12224)),
        ({"displays": [{"name": "d", "width": 8193, "height": 1}]}, (400, 400)),
        ({"displays": [{"name": "d", "width": 1, "height": 1, "ppi": 0}]}, (400, 400)),
    ],
)
async def test_what_creating_refuses(w: World, change: dict[str, object], expected: tuple[int, int]) -> None:
    body = {"name": "vm", "gid": 0, "cpus": 1, "memory_mib": 64, **change}
    assert await w.refused("PUT", "/v/vm/efi", **body) == expected
    assert (await w.ok("POST", "/v/vm/list", gid=0))["vms"] == []


async def test_media_modes_and_writers(w: World) -> None:
    mid = await w.medium()
    body = {"name": "vm", "gid": 0, "cpus": 1, "memory_mib": 64}
    assert await w.refused("PUT", "/v/vm/efi", **body, media=[{"mid": mid, "mode": "SATA"}]) == (406, 12225)
    twice = [{"mid": mid, "mode": "USB"}, {"mid": mid, "mode": "BLOCK"}]
    assert await w.refused("PUT", "/v/vm/efi", **body, media=twice) == (409, 12228)
    await w.ok("PUT", "/v/vm/efi", **body, media=[{"mid": mid, "mode": "BLOCK"}])
    assert await w.refused("PUT", "/v/vm/efi", **body) == (409, 12223)
    other = {**body, "name": "other"}
    assert await w.refused("PUT", "/v/vm/efi", **other, media=[{"mid": mid, "mode": "BLOCK"}]) == (409, 12228)
    await w.ok("PUT", "/v/vm/efi", **other, media=[{"mid": mid, "mode": "BLOCK", "readonly": True}])


async def test_of_two_at_once_with_one_name_or_one_disk_one_wins(w: World) -> None:
    mid = await w.medium()
    body = {"gid": 0, "cpus": 1, "memory_mib": 64}
    same = await asyncio.gather(*(w.call("PUT", "/v/vm/efi", **body, name="same") for _ in range(8)))
    assert sorted(one.status for one in same) == [200] + [409] * 7
    media = [{"mid": mid, "mode": "USB"}]
    disk = await asyncio.gather(*(w.call("PUT", "/v/vm/efi", **body, name=f"n{n}", media=media) for n in range(8)))
    assert sorted(one.status for one in disk) == [200] + [409] * 7


async def test_media_of_other_groups(w: World) -> None:
    gid = await w.group("a")
    mid = await w.medium()
    key = await w.user("bob", (gid, "vm.create"))
    body = {"name": "vm", "cpus": 1, "memory_mib": 64, "media": [{"mid": mid, "mode": "USB"}]}
    assert (await w.call("PUT", "/v/vm/efi", key, gid=gid, **body)).status == 200, "an ancestor's medium is visible"
    other = await w.group("b")
    theirs = await w.user("eve", (other, "vm.create"))
    assert await w.refused("PUT", "/v/vm/efi", theirs, gid=gid, **body) == (401, 12200)
    assert await w.refused("PUT", "/v/vm/efi", theirs, gid=99, **body) == (401, 12200)


async def test_who_sees_what(w: World) -> None:
    gid = await w.group("a")
    vmid = await w.vm(gid=gid)
    stranger, viewer = await w.user("stranger"), await w.user("viewer", (gid, "vm.view"))
    user = await w.user("user", (gid, "vm.state"))
    assert await w.refused("POST", "/v/vm/list", stranger, gid=gid) == (401, 17100)
    assert await w.refused("POST", "/v/vm/list", gid=99) == (404, 17110)
    assert await w.refused("POST", "/v/vm", stranger, vmid=vmid) == (404, 16110)
    assert await w.refused("POST", "/v/vm", user, vmid=vmid) == (404, 16110)
    assert await w.refused("POST", "/v/vm", vmid=99) == (404, 16110)
    assert await w.refused("POST", "/v/vm/state", stranger, vmid=vmid) == (404, 13110)
    assert await w.refused("POST", "/v/vm/state", user, vmid=vmid) == (403, 13100)
    assert (await w.call("POST", "/v/vm/state", viewer, vmid=vmid)).status == 200
    assert await w.refused("PUT", "/v/vm/state", stranger, vmid=vmid, state="RUNNING") == (404, 13210)
    assert await w.refused("PUT", "/v/vm/state", viewer, vmid=vmid, state="RUNNING") == (403, 13200)
    assert (await w.call("PUT", "/v/vm/state", user, vmid=vmid, state="RUNNING")).status == 200
    assert await w.refused("DELETE", "/v/vm", viewer, vmid=vmid) == (403, 16300)
    assert await w.refused("DELETE", "/v/vm", viewer, vmid=99) == (403, 16300)
    assert await w.refused("DELETE", "/v/vm", vmid=99) == (404, 16310)
    assert await w.refused("POST", "/v/nic/list", viewer) == (403, 11100)
    assert await w.refused("POST", "/v/vm/console", stranger, vmid=vmid, kind="serial") == (404, 19110)
    assert await w.refused("POST", "/v/vm/console", viewer, vmid=vmid, kind="serial") == (403, 19100)
    hidden = (await w.call("POST", "/v/vm", stranger, vmid=vmid)).body
    absent = (await w.call("POST", "/v/vm", stranger, vmid=99)).body
    assert hidden == {name: str(value).replace("99", "1") if name in ("message", "reason") else value
                      for name, value in absent.items()}, "the same answer for both"  # fmt: skip


@pytest.mark.holds("STATE-2")
@pytest.mark.parametrize("first", ["STOPPED", "RUNNING", "PAUSED"])
@pytest.mark.parametrize("second", ["STOPPED", "RUNNING", "PAUSED"])
async def test_all_nine_pairs(w: World, first: str, second: str) -> None:
    vmid = await w.vm()
    await w.ok("PUT", "/v/vm/state", vmid=vmid, state=first, force=True)
    answer = await w.ok("PUT", "/v/vm/state", vmid=vmid, state=second, force=True)
    assert answer["state"] == second
    assert (await w.ok("POST", "/v/vm/state", vmid=vmid))["state"] == second


@pytest.mark.holds("API-9")
async def test_a_state_that_is_sent_to_post_is_answered_as_always_with_a_warning(w: World) -> None:
    vmid = await w.vm()
    plain = await w.ok("POST", "/v/vm/state", vmid=vmid)
    wrong: tuple[object, ...] = ("RUNNING", "no state", 7, {}, False)
    for sent in wrong:
        warned = (await w.ok("POST", "/v/vm/state", vmid=vmid, state=sent)).body
        (warning,) = warned.pop("warnings")
        assert warned == plain.body == {"vmid": vmid, "state": "STOPPED"}
        assert "POST only reads" in warning and "PUT" in warning
    assert (await w.ok("POST", "/v/vm/state", vmid=vmid, state=None)).body == plain.body, "null is absent"


async def test_states_that_cannot_be_requested(w: World) -> None:
    vmid = await w.vm()
    for state in ("STARTING", "stopped", ""):
        assert await w.refused("PUT", "/v/vm/state", vmid=vmid, state=state) == (406, 13221)
    assert await w.refused("PUT", "/v/vm/state", vmid=vmid) == (400, 400)
    assert await w.refused("PUT", "/v/vm/state", vmid=99, state="RUNNING") == (404, 13210)


async def test_someone_who_polls_sees_starting(w: World) -> None:
    vmid = await w.vm()
    w.hypervisor.faults.hold = asyncio.Event()
    start = asyncio.create_task(w.call("PUT", "/v/vm/state", vmid=vmid, state="RUNNING"))
    await asked_until(lambda: w.ok("POST", "/v/vm/state", vmid=vmid), lambda vm: vm["state"] == "STARTING")
    w.hypervisor.faults.hold.set()
    assert (await start)["state"] == "RUNNING"


async def test_a_graceful_stop_answers_at_once(w: World) -> None:
    w.hypervisor.faults.deaf = True
    vmid = await w.vm()
    await w.ok("PUT", "/v/vm/state", vmid=vmid, state="RUNNING")
    answer = await w.ok("PUT", "/v/vm/state", vmid=vmid, state="STOPPED")
    assert answer["state"] == "STOPPING"
    assert answer["stopping_since"] > 0
    for state in ("RUNNING", "PAUSED"):
        assert await w.refused("PUT", "/v/vm/state", vmid=vmid, state=state) == (406, 13220)
    assert await w.refused("DELETE", "/v/vm", vmid=vmid) == (409, 16320)
    assert (await w.ok("PUT", "/v/vm/state", vmid=vmid, state="STOPPED", force=True))["state"] == "STOPPED"


async def test_a_failing_start_has_the_hypervisors_words(w: World) -> None:
    vmid = await w.vm()
    w.hypervisor.faults.refuse = "the moon is full"
    answer = await w.call("PUT", "/v/vm/state", vmid=vmid, state="RUNNING")
    assert (answer.status, answer.code, answer["message"]) == (500, 13230, "the moon is full")
    assert (await w.ok("POST", "/v/vm", vmid=vmid))["reason"]["cause"] == "start-failed"
    w.hypervisor.hosts.free = 63
    assert await w.refused("PUT", "/v/vm/state", vmid=vmid, state="RUNNING") == (406, 13222)
    w.hypervisor.hosts.free = 64
    await w.ok("PUT", "/v/vm/state", vmid=vmid, state="RUNNING")


@pytest.mark.holds("DUR-12")
async def test_a_vmid_is_never_given_twice(w: World) -> None:
    first = await w.vm()
    await w.ok("DELETE", "/v/vm", vmid=first, purge=True)
    assert await w.vm() == first + 1
    assert len(w.hypervisor.machines.forgotten) == 1


async def test_a_restart_adopts_what_runs(tmp_path: Path) -> None:
    fake = FakeHypervisor()
    async with world(tmp_path / "data", fake) as w:
        fake.faults.deaf = True
        vms = [await w.vm(name) for name in ("goes on", "paused", "powers off", "stopping", "stays stopped")]
        for vmid in vms[:4]:
            await w.ok("PUT", "/v/vm/state", vmid=vmid, state="RUNNING")
        await w.ok("PUT", "/v/vm/state", vmid=vms[1], state="PAUSED")
        await w.ok("PUT", "/v/vm/state", vmid=vms[3], state="STOPPED")
        by_vm = {who.machine: number for number, who in enumerate(fake.machines.started)}
    third = next(machine for machine, number in by_vm.items() if number == 2)
    fake.play(third, Fact.ENDED, FactCause.KILLED, seen=False)
    async with world(tmp_path / "data", fake) as w:
        states = [(await w.ok("POST", "/v/vm/state", vmid=vmid)) for vmid in vms]
        assert [one["state"] for one in states] == ["RUNNING", "PAUSED", "STOPPED", "STOPPING", "STOPPED"]
        assert states[2]["reason"]["cause"] == "killed"
        assert states[3]["stopping_since"] > 0


async def test_what_the_host_lost_is_said(tmp_path: Path) -> None:
    async with world(tmp_path / "data") as w:
        vmid = await w.vm()
        await w.ok("PUT", "/v/vm/state", vmid=vmid, state="RUNNING")
    async with world(tmp_path / "data", FakeHypervisor()) as w:
        shown = await w.ok("POST", "/v/vm", vmid=vmid)
        assert (shown["state"], shown["wanted"], shown["reason"]["cause"]) == ("STOPPED", "RUNNING", "host-restarted")


@pytest.mark.holds("GUEST-11")
async def test_autostart_is_not_held_back_by_one_that_fails(tmp_path: Path) -> None:
    async with world(tmp_path / "data") as w:
        vms = [await w.vm(name, autostart=True) for name in ("a", "b", "c")]
    fake = FakeHypervisor()
    fake.faults.refuse = "not this one"
    async with world(tmp_path / "data", fake) as w:

        async def shown() -> list[dict[str, Any]]:
            return [(await w.ok("POST", "/v/vm", vmid=vmid)).body for vmid in vms]

        def settled(states: list[dict[str, Any]]) -> bool:
            return all(one["state"] == "RUNNING" or "reason" in one for one in states)

        states = await asked_until(shown, settled)
        assert sorted(one["state"] for one in states) == ["RUNNING", "RUNNING", "STOPPED"]
        (failed,) = [one for one in states if one["state"] == "STOPPED"]
        assert failed["reason"]["cause"] == "autostart-failed"
        assert "not this one" in failed["reason"]["message"]


@pytest.mark.holds("GUEST-104")
async def test_autostart_is_at_each_start_of_the_server_also_of_what_was_stopped(tmp_path: Path) -> None:
    async with world(tmp_path / "data") as w:
        stopped, off = await w.vm("stopped", autostart=True), await w.vm("off", autostart=True)
        for vmid in (stopped, off):
            await w.ok("PUT", "/v/vm/state", vmid=vmid, state="RUNNING")
            await w.ok("PUT", "/v/vm/state", vmid=vmid, state="STOPPED", force=True)
        await w.ok("PATCH", "/v/vm", vmid=off, autostart=False)
    async with world(tmp_path / "data") as w:
        await asked_until(lambda: w.ok("POST", "/v/vm/state", vmid=stopped), lambda vm: vm["state"] == "RUNNING")
        await w.settle()
        assert (await w.ok("POST", "/v/vm/state", vmid=off))["state"] == "STOPPED"


@pytest.mark.holds("MANY-239")
async def test_autostart_goes_by_the_order_of_starts(tmp_path: Path) -> None:
    orders = {"last": 0, "third": 7, "second": 2, "first": 1}
    async with world(tmp_path / "data") as w:
        vms = [await w.vm(name, autostart=True, start_order=order) for name, order in orders.items()]
    async with world(tmp_path / "data") as w:
        await eventually(lambda: len(w.hypervisor.runs) == len(vms))
        names = {one.machine.uuid: one.machine.name for one in w.server.services.fleet.all()}
        assert [names[one] for one in w.hypervisor.runs] == ["first", "second", "third", "last"]


async def test_consoles_need_a_running_vm_and_a_display(w: World) -> None:
    vmid = await w.vm(displays=[{"name": "left", "width": 10, "height": 10}])
    assert await w.refused("POST", "/v/vm/console", vmid=vmid, kind="serial") == (406, 19120)
    assert await w.refused("POST", "/v/vm/console", vmid=vmid, kind="telex") == (400, 400)
    await w.ok("PUT", "/v/vm/state", vmid=vmid, state="RUNNING")
    assert await w.refused("POST", "/v/vm/console", vmid=vmid, kind="display", display="right") == (406, 19121)
    ticket = await w.ok("POST", "/v/vm/console", vmid=vmid, kind="display", display="left")
    assert ticket["path"].endswith(ticket["ticket"])


async def test_altering_a_vm(w: World) -> None:
    gid = await w.group("a")
    one, two = await w.medium("one"), await w.medium("two")
    vmid = await w.vm("vm", media=[{"mid": one, "mode": "BLOCK"}], displays=[{"name": "a", "width": 1, "height": 1}])
    await w.vm("other", media=[{"mid": two, "mode": "BLOCK"}])
    alter = "/v/vm"
    changed = await w.ok("PATCH", alter, vmid=vmid, name="renamed", cpus="2", displays=[], autostart=True)
    assert (changed["vmid"], changed["waiting"]) == (vmid, [])
    shown = await w.ok("POST", alter, vmid=vmid)
    assert (shown["name"], shown["cpus"], shown["displays"], shown["autostart"]) == ("renamed", 2, [], True)
    assert shown["media"] == [{"mid": one, "mode": "BLOCK", "readonly": False}], "what is not named stays"
    await w.ok("PUT", "/v/vm/state", vmid=vmid, state="RUNNING")
    waiting = await w.ok("PATCH", alter, vmid=vmid, name="again", memory_mib=128, media=[])
    assert waiting["waiting"] == ["memory_mib", "media"]
    second = {"name": "x", "gid": 0, "cpus": 1, "memory_mib": 64, "media": [{"mid": one, "mode": "BLOCK"}]}
    assert await w.refused("PUT", "/v/vm/efi", **second) == (409, 12228), "the present run still writes"
    await w.ok("PUT", "/v/vm/state", vmid=vmid, state="STOPPED", force=True)
    assert (await w.ok("POST", alter, vmid=vmid))["waiting"] == []
    await w.vm("x", media=[{"mid": one, "mode": "BLOCK"}])

    key = await w.user("bob", (gid, "vm.alter"), (0, "vm.view"))
    assert await w.refused("PATCH", alter, key, vmid=vmid, cpus=1) == (403, 16400)
    assert await w.refused("PATCH", alter, key, vmid=99, cpus=1) == (403, 16400)
    assert await w.refused("PATCH", alter, vmid=99, cpus=1) == (404, 16410)
    missing = "00000000-0000-4000-8000-000000000000"
    for change, status, code in [
        ({"media": [{"mid": missing, "mode": "BLOCK"}]}, 404, 16411),
        ({"nics": [{"type": "BRIDGE", "host": 9}]}, 404, 16414),
        ({"cpus": 0}, 406, 16420),
        ({"cpus": 100_000}, 406, 16420),
        ({"memory_mib": 0}, 406, 16421),
        ({"media": [{"mid": two, "mode": "IDE"}]}, 406, 16425),
        ({"nics": [{"type": "X"}]}, 406, 16426),
        ({"nics": [{"type": "BRIDGE"}]}, 406, 16427),
        ({"name": "other"}, 409, 16423),
        ({"displays": [{"name": "d", "width": 1, "height": 1}] * 2}, 409, 16424),
        ({"media": [{"mid": two, "mode": "BLOCK"}]}, 409, 16428),
        ({"name": ""}, 400, 400),
    ]:
        before = await w.ok("POST", alter, vmid=vmid)
        assert await w.refused("PATCH", alter, vmid=vmid, **change) == (status, code), change  # type: ignore[arg-type]
        assert (await w.ok("POST", alter, vmid=vmid)).body == before.body, "nothing has changed"


async def test_altering_counts_against_the_quota(w: World) -> None:
    gid = await w.group("a")
    await w.ok("PUT", "/u/group/quota", gid=gid, cpus=3, memory_mib=256, vms=1)
    vmid = await w.vm("vm", gid, cpus=2)
    assert await w.refused("PATCH", "/v/vm", vmid=vmid, cpus=4) == (406, 16420)
    assert await w.refused("PATCH", "/v/vm", vmid=vmid, memory_mib=512) == (406, 16421)
    await w.ok("PATCH", "/v/vm", vmid=vmid, cpus=3)
    await w.ok("PUT", "/u/group/quota", gid=gid, cpus=1)
    await w.ok("PATCH", "/v/vm", vmid=vmid, name="still over, but no more than before")
    await w.ok("PATCH", "/v/vm", vmid=vmid, cpus=2)
    assert await w.refused("PATCH", "/v/vm", vmid=vmid, cpus=3) == (406, 16420)
