"""A VM keeps machine type, firmware build and hardware, until somebody has it take those of its host."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from uuid import UUID

import pytest
import sqlalchemy as sa

from tests.api.world import world
from tests.host import hosting
from velocity.hypervisor.fake import FACTS, FakeHypervisor
from velocity.hypervisor.port import HardwareProfile, HostId, Input
from velocity.store.database import Database, migrate
from velocity.store.machines import SqlMachines
from velocity.store.trash import SqlTrash

pytestmark = pytest.mark.anyio

OTHER = dataclasses.replace(FACTS, machine_type="fake-2.0", firmware="fedcba9876543210")


@pytest.mark.holds("GUEST-29")
async def test_a_vm_takes_what_its_host_has_now_when_it_is_told_to(tmp_path: Path) -> None:
    async with world(tmp_path / "data") as w:
        vmid = await w.vm()
        await w.ok("PUT", "/v/vm/state", vmid=vmid, state="RUNNING")
    async with world(tmp_path / "data", FakeHypervisor(OTHER)) as w:
        shown = (await w.ok("POST", "/v/vm", vmid=vmid)).body
        assert (shown["machine_type"], shown["firmware"]) == ("fake-1.0", FACTS.firmware), "nothing changes by itself"
        same = await w.ok("PATCH", "/v/vm", vmid=vmid, **{name: shown[name] for name in ("machine_type", "firmware")})
        assert same["revision"] == shown["revision"], "what it has is no change"
        request = {"vmid": vmid, "firmware": "host", "machine_type": "latest", "revision": shown["revision"]}
        planned = await w.ok("PATCH", "/v/vm", **request, plan=True)
        assert [(one["field"], one["old"], one["new"]) for one in planned["steps"][0]["changes"]] == [
            ("machine_type", "fake-1.0", "fake-2.0"), ("firmware", FACTS.firmware, OTHER.firmware),
        ]  # fmt: skip
        assert (await w.ok("POST", "/v/vm", vmid=vmid)).body == shown
        await w.ok("PUT", "/v/vm/state", vmid=vmid, state="RUNNING")
        altered = await w.ok("PATCH", "/v/vm", **request)
        assert altered["waiting"] == ["machine_type", "firmware"]
        assert altered["revision"] != shown["revision"]
        shown = (await w.ok("POST", "/v/vm", vmid=vmid)).body
        assert (shown["machine_type"], shown["firmware"]) == ("fake-2.0", OTHER.firmware)
        await w.ok("PUT", "/v/vm/state", vmid=vmid, state="STOPPED", force=True)
        await w.ok("PUT", "/v/vm/state", vmid=vmid, state="RUNNING")
        assert (await w.ok("POST", "/v/vm", vmid=vmid))["waiting"] == []
        (run,) = w.hypervisor.runs.values()
        assert (run.spec.machine_type, run.spec.firmware) == ("fake-2.0", OTHER.firmware)


@pytest.mark.holds("GUEST-29")
async def test_what_is_of_no_host_is_refused_with_the_word_that_is_meant(tmp_path: Path) -> None:
    async with world(tmp_path / "data") as w:
        vmid = await w.vm()
        before = (await w.ok("POST", "/v/vm", vmid=vmid)).body
        for field, value, word in (("firmware", "latest", "host"), ("machine_type", "pc-q35-99.0", "latest")):
            answer = await w.call("PATCH", "/v/vm", vmid=vmid, **{field: value})
            assert (answer.status, answer.code, answer["field"]) == (406, 16422, field)
            assert f"set it to '{word}'" in answer["message"]
            assert await w.refused("PATCH", "/v/vm", vmid=vmid, cpus=2, **{field: value}) == (406, 16422)
        weak = await w.user("weak", (0, "vm.view"))
        assert await w.refused("PATCH", "/v/vm", weak, vmid=vmid, firmware="host") == (403, 16400)
        assert (await w.ok("POST", "/v/vm", vmid=vmid)).body == before


THIRD = dataclasses.replace(FACTS, hardware=(*FACTS.hardware, HardwareProfile("3", "a faster fake bus")))


@pytest.mark.holds("GUEST-38")
async def test_a_vm_keeps_its_hardware_and_takes_other_at_its_next_start_with_what_the_guest_notices(
    tmp_path: Path,
) -> None:
    """Also in the trash; hardware that only a newer version knows stays, and is refused as a wish."""
    older = FakeHypervisor(dataclasses.replace(FACTS, hardware=FACTS.hardware[:1]))
    async with world(tmp_path / "data", older) as w:
        vmid = await w.vm()
        await w.ok("DELETE", "/v/vm", vmid=vmid)
    async with world(tmp_path / "data", FakeHypervisor(THIRD)) as w:
        (item,) = (await w.ok("POST", "/t/trash/list"))["items"]
        await w.ok("PUT", "/t/trash", trid=item["trid"])
        assert (await w.ok("POST", "/v/vm", vmid=vmid))["hardware"] == "1"
        assert (await w.ok("POST", "/v/vm", vmid=await w.vm("new")))["hardware"] == "3", "new VMs have the newest"
        await w.ok("PUT", "/v/vm/state", vmid=vmid, state="RUNNING")
        planned = await w.ok("PATCH", "/v/vm", vmid=vmid, hardware="latest", plan=True)
        assert planned["steps"][0]["changes"] == [{"field": "hardware", "old": "1", "new": "3"}]
        words = ["with hardware 3, the guest finds: a second fake bus; a faster fake bus"]
        assert planned["warnings"] == words
        assert (await w.ok("POST", "/v/vm", vmid=vmid))["hardware"] == "1", "a plan changes nothing"
        altered = await w.ok("PATCH", "/v/vm", vmid=vmid, hardware="latest")
        assert (altered["waiting"], altered["warnings"]) == (["hardware"], words)
        (run,) = w.hypervisor.runs.values()
        assert run.spec.hardware == "1", "the guest keeps what it started with"
        await w.ok("PUT", "/v/vm/state", vmid=vmid, state="STOPPED", force=True)
        await w.ok("PUT", "/v/vm/state", vmid=vmid, state="RUNNING")
        (run,) = w.hypervisor.runs.values()
        assert run.spec.hardware == "3"
        answer = await w.call("PATCH", "/v/vm", vmid=vmid, hardware="9")
        assert (answer.status, answer.code, answer["field"]) == (406, 16422, "hardware")
        assert "to one of 1, 2, 3" in answer["message"]
    async with world(tmp_path / "data") as w:
        assert (await w.ok("PATCH", "/v/vm", vmid=vmid, cpus=2, hardware="3"))["waiting"] == [], "it has that"
        back = await w.ok("PATCH", "/v/vm", vmid=vmid, hardware="1", plan=True)
        assert back["warnings"] == ["with hardware 1, the guest may find its devices at other places"]
        await w.ok("PATCH", "/v/vm", vmid=vmid, hardware="latest")
        back = await w.ok("PATCH", "/v/vm", vmid=vmid, hardware="1")
        assert back["warnings"] == ["with hardware 1, the guest no longer finds: a second fake bus"]


@pytest.mark.holds("GUEST-41")
async def test_keyboard_and_pointer_are_chosen_and_changed_for_the_next_start(tmp_path: Path) -> None:
    async with world(tmp_path / "data") as w:
        vmid = await w.vm()
        assert (await w.ok("POST", "/v/vm", vmid=vmid))["input"] == "virtio"
        assert (await w.ok("POST", "/v/vm", vmid=await w.vm("windows", input="usb")))["input"] == "usb"
        await w.ok("PUT", "/v/vm/state", vmid=vmid, state="RUNNING")
        planned = await w.ok("PATCH", "/v/vm", vmid=vmid, input="ps2", plan=True)
        assert planned["steps"][0]["changes"] == [{"field": "input", "old": "virtio", "new": "ps2"}]
        assert (await w.ok("PATCH", "/v/vm", vmid=vmid, input="ps2"))["waiting"] == ["input"]
        (run,) = w.hypervisor.runs.values()
        assert run.spec.input is Input.VIRTIO
        answer = await w.call("PATCH", "/v/vm", vmid=vmid, input="serial")
        assert (answer.status, answer["field"]) == (400, "input")


@pytest.mark.holds("GUEST-43")
async def test_a_cpu_model_that_the_host_cannot_give_is_refused_in_words(tmp_path: Path) -> None:
    """What a VM has from another host stays, until it is changed."""
    async with world(tmp_path / "data") as w:
        vmid = await w.vm()
        assert (await w.ok("POST", "/v/vm", vmid=vmid))["cpu"] == "best"
        await w.ok("PUT", "/v/vm/state", vmid=vmid, state="RUNNING")
        assert (await w.ok("PATCH", "/v/vm", vmid=vmid, cpu="Fake"))["waiting"] == ["cpu"]
        request = {"name": "b", "gid": 0, "cpus": 1, "memory_mib": 64}
        for name, why in (
            ("FakeServer", "this host lacks avx512f and sgx of it"),
            ("K6", "QEMU here has no such model"),
        ):
            for answer in (
                await w.call("PUT", "/v/vm/efi", **request, cpu=name),
                await w.call("PATCH", "/v/vm", vmid=vmid, cpu=name),
            ):
                assert (answer.status, answer["field"]) == (406, "cpu")
                assert answer["message"] == f"cpu is {name!r}: {why}; use one of best, host, Fake"
        assert await w.refused("PUT", "/v/vm/efi", **request, cpu="Fake,enforce=off") == (400, 400)
    async with world(tmp_path / "data", FakeHypervisor(dataclasses.replace(FACTS, cpu_models={}))) as w:
        await w.ok("PATCH", "/v/vm", vmid=vmid, cpus=2)
        await w.ok("PATCH", "/v/vm", vmid=vmid, cpu="Fake", autostart=True)
        await w.ok("PATCH", "/v/vm", vmid=vmid, cpu="host")


@pytest.mark.holds("GUEST-37")
async def test_vms_of_older_installations_have_the_first_hardware(database_url: str) -> None:
    """Also those in the trash, and beside what nobody can read."""
    database = Database(database_url)
    text = '{"cpus": 1, "memory_mib": 64, "machine_type": "fake-1.0", "firmware": "0", "nics": [], "interfaces": []}'
    row = {
        "vmid": 1, "uuid": str(UUID(int=1)), "host_id": 1, "gid": 0, "name": "a", "spec": text, "epoch": 0,
        "wanted": "RUNNING", "reason": None, "stopping_since": None, "run_spec": text, "stop_forced": False,
    }  # fmt: skip

    def work(connection: sa.Connection) -> None:
        migrate(connection, "0014")
        connection.exec_driver_sql("insert into groups (gid, parent_gid, name) values (0, 0, 'root')")
        connection.exec_driver_sql("insert into users (uid, name, password) values (0, 'root', 'x')")
        connection.exec_driver_sql("insert into hosts (host_id, name) values (1, 'here')")
        insert = sa.text(f"insert into machines ({', '.join(row)}) values (:{', :'.join(row)})")  # noqa: S608 - ours
        connection.execute(insert, row)
        connection.execute(insert, {**row, "vmid": 2, "uuid": str(UUID(int=2)), "name": "b", "spec": "no JSON"})
        connection.execute(
            sa.text(
                "insert into trash (kind, id, gid, name, uid, size, deleted, rows) "
                "values ('vm', '4', 0, 'x', 0, 0, 1, :rows)"
            ),
            {"rows": json.dumps({"machines": [{**row, "vmid": 4, "uuid": str(UUID(int=4)), "run_spec": None}]})},
        )
        migrate(connection)

    database.read(work)
    (one,), (unreadable,) = SqlMachines(database).load(HostId(1))
    (item,) = await SqlTrash(database).items()
    contents = await SqlTrash(database).contents(item.trid)
    await database.close()
    assert unreadable.vmid == 2 and contents is not None and one[1].run is not None
    for spec in (one[0].spec, one[1].run, contents.machines[0][0].spec):
        assert (spec.hardware, spec.input, spec.cpu) == ("1", "usb", "host")


@pytest.mark.holds("GUEST-29")
def test_the_command_line_asks_for_it_and_shows_its_plan(tmp_path: Path) -> None:
    with hosting(tmp_path / "data") as host:
        host.ok("vm", "create", "web", "--memory", "64M")
    with hosting(tmp_path / "data", FakeHypervisor(OTHER)) as host:
        both = ("vm", "set", "web", "--firmware", "host", "--machine", "latest")
        planned = host.run(*both, "--plan").output
        assert f"machine_type fake-1.0 -> fake-2.0, firmware {FACTS.firmware} -> {OTHER.firmware}" in planned, planned
        host.ok(*both)
        lines = [line.split(None, 1) for line in host.ok("vm", "show", "web").splitlines()]
        assert ["machine", "fake-2.0"] in lines and ["firmware", OTHER.firmware] in lines
        assert ["hardware", "2"] in lines
        planned = host.run("vm", "set", "web", "--hardware", "1", "--plan").output
        assert "hardware 2 -> 1" in planned and "the guest no longer finds: a second fake bus" in planned, planned
        refused = host.run("vm", "set", "web", "--firmware", "other")
        assert refused.exit_code == 2 and "'other' is not 'host'" in refused.stderr
