"""The addresses of NAT NICs: given by the server, told before the guest is there, and each given but once."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from tests.api.world import World, world
from velocity.hypervisor.fake import FACTS, FakeHypervisor
from velocity.hypervisor.port import HardwareProfile, HostId
from velocity.store.database import Database, migrate
from velocity.store.machines import SqlMachines
from velocity.store.trash import SqlTrash

pytestmark = pytest.mark.anyio

VM, STATE = "/v/vm", "/v/vm/state"
NAT: dict[str, Any] = {"type": "NAT"}
BRIDGED: dict[str, Any] = {"type": "BRIDGE", "host": 5}
V4, V6 = "10.9.16.0/28", "fd00:1:2:3::/64"
HARDWARE = (HardwareProfile("1", ""), HardwareProfile("2", "a bridge", nat_bridge=True))
HOST = dataclasses.replace(FACTS, hardware=HARDWARE, nat_networks=(V4, V6))
USER = dataclasses.replace(FACTS, hardware=HARDWARE)


async def told(w: World, vmid: int) -> list[Any]:
    """Of each NIC where it is, and with which addresses."""
    answer = await w.ok("POST", VM, vmid=vmid)
    return [(one.get("nat"), one.get("addresses")) for one in answer["interfaces"]]


def at(place: int) -> tuple[str, list[str]]:
    return "BRIDGE", [f"10.9.16.{place}", f"fd00:1:2:3::{place:x}"]


async def streamed(w: World) -> list[str] | None:
    """The addresses of the one VM, as the stream of events begins with them."""
    events, uid = w.server.services.events, await w.uid("root")
    await w.server.settle()
    await events.initial_states.ready(uid)
    event, _ = events.initial_states.take(uid)
    (vm,) = json.loads(event.partition(b"data: ")[2].partition(b"\n")[0])["vms"]
    return vm.get("addresses")  # type: ignore[no-any-return]


def asked(w: World) -> list[int]:
    """The places that the one guest was started with."""
    (run,) = w.hypervisor.runs.values()
    return [nic.place for nic in run.spec.nics if hasattr(nic, "place")]


async def turn(w: World, vmid: int, state: str) -> None:
    await w.ok("PUT", STATE, vmid=vmid, state=state, force=True)


@pytest.mark.holds("NAT-6")
async def test_an_address_is_told_before_the_guest_is_there_and_stays(tmp_path: Path) -> None:
    async with world(tmp_path / "data", FakeHypervisor(HOST)) as w:
        vmid = await w.vm("vm", nics=[NAT, BRIDGED, NAT])
        assert await told(w, vmid) == [at(2), (None, None), at(3)]
        assert await streamed(w) == [*at(2)[1], *at(3)[1]]
        await turn(w, vmid, "RUNNING")
        assert asked(w) == [2, 3]
        await w.ok("PATCH", VM, vmid=vmid, nics=[NAT, {**NAT, "id": 3}, {**NAT, "id": 1}])
        assert await told(w, vmid) == [at(4), at(3), at(2)], "by the id, and a new NIC gets another"
        await w.ok("PATCH", VM, vmid=vmid, nics=[{**BRIDGED, "id": 1}, {**NAT, "id": 3}])
        await turn(w, vmid, "STOPPED")
        await w.ok("PATCH", VM, vmid=vmid, nics=[{**NAT, "id": 1}, {**NAT, "id": 3}])
        assert await told(w, vmid) == [at(5), at(3)], "what was taken off is not given again at once"
    async with world(tmp_path / "data", FakeHypervisor(HOST)) as w:
        assert await told(w, vmid) == [at(5), at(3)]


@pytest.mark.holds("NAT-7")
async def test_a_vm_keeps_its_network_until_it_takes_the_new_hardware(tmp_path: Path) -> None:
    async with world(tmp_path / "data", FakeHypervisor(HOST)) as w:
        vmid = await w.vm("vm", nics=[NAT])
        await w.ok("PATCH", VM, vmid=vmid, hardware="1")
        assert await told(w, vmid) == [("USER", None)]
        await turn(w, vmid, "RUNNING")
        assert asked(w) == [0]
        altered = await w.ok("PATCH", VM, vmid=vmid, hardware="latest")
        assert altered["waiting"] == ["hardware"]
        assert await told(w, vmid) == [("USER", None)], "as it was started"
        await turn(w, vmid, "STOPPED")
        assert await told(w, vmid) == [at(2)]
        await turn(w, vmid, "RUNNING")
        assert asked(w) == [2]
    async with world(tmp_path / "user", FakeHypervisor(USER)) as w:
        vmid = await w.vm("vm", nics=[NAT])
        assert await streamed(w) is None
        await turn(w, vmid, "RUNNING")
        assert (await told(w, vmid), asked(w)) == ([("USER", None)], [0]), "where the host has no bridge for it"


@pytest.mark.holds("NAT-8")
async def test_what_has_lain_in_the_trash_has_its_address_for_itself(tmp_path: Path) -> None:
    async with world(tmp_path / "data", FakeHypervisor(HOST)) as w:
        first, second = await w.vm("first", nics=[NAT]), await w.vm("second", nics=[NAT])
        await w.ok("DELETE", VM, vmid=second)
    async with world(tmp_path / "data", FakeHypervisor(HOST)) as w:
        await at_last_open(w)
        third = await w.vm("third", nics=[NAT])
        assert await told(w, third) == [at(4)]
        (item,) = (await w.ok("POST", "/t/trash/list"))["items"]
        await w.ok("PUT", "/t/trash", trid=item["trid"])
        assert [await told(w, one) for one in (first, second, third)] == [[at(2)], [at(3)], [at(4)]]
        others = [await w.vm(f"{number}", nics=[NAT]) for number in range(12)]
        places = [addresses for one in others for _, addresses in await told(w, one)]
        assert places == [*(at(place)[1] for place in range(5, 15)), None, None], "what does not fit has none"
        await w.ok("DELETE", VM, vmid=first, purge=True)
        assert await told(w, await w.vm("last", nics=[NAT])) == [at(2)], "and what is free is given again"


async def at_last_open(w: World) -> None:
    """The server knows what is in its trash."""
    await w.server.settle()


@pytest.mark.holds("NAT-9")
async def test_no_guest_starts_where_the_network_of_nat_cannot_be(tmp_path: Path) -> None:
    lacking = dataclasses.replace(USER, nat_lacking="the network 10.9.16.0/28 of NAT overlaps 10.9.0.0/16")
    async with world(tmp_path / "data", FakeHypervisor(lacking)) as w:
        vmid = await w.vm("vm", nics=[NAT])
        refused = await w.call("PUT", STATE, vmid=vmid, state="RUNNING")
        assert (refused.status, refused["message"]) == (500, lacking.nat_lacking)
        await w.ok("PATCH", VM, vmid=vmid, hardware="1")
        await turn(w, vmid, "RUNNING")


@pytest.mark.holds("NAT-6")
async def test_nat_nics_of_older_schemas_get_addresses(database_url: str) -> None:
    database = Database(database_url)
    bare: dict[str, Any] = {"cpus": 1, "memory_mib": 64, "machine_type": "fake-1.0", "firmware": "0"}
    nics: list[dict[str, Any]] = [
        {
            "nics": [NAT, BRIDGED, NAT],
            "interfaces": [{"id": one, "mac": f"52:54:00:00:00:0{one}"} for one in (1, 2, 5)],
        },
        {"nics": [], "interfaces": []},
        {"nics": [NAT], "interfaces": [{"id": 1, "mac": "52:54:00:00:01:01"}]},
        {"nics": [NAT], "interfaces": [{"id": 3, "mac": "52:54:00:00:02:01"}]},
    ]
    rows = [
        {
            "vmid": number, "uuid": f"00000000-0000-0000-0000-00000000000{number}", "host_id": 1, "gid": 0,
            "name": f"vm {number}", "spec": json.dumps({**bare, **one}), "epoch": 0, "wanted": "STOPPED",
            "reason": None, "stopping_since": None, "run_spec": json.dumps({**bare, **one}) if not number else None,
        }
        for number, one in enumerate(nics)
    ]  # fmt: skip

    def work(connection: sa.Connection) -> None:
        migrate(connection, "0015")
        connection.exec_driver_sql("insert into groups (gid, parent_gid, name) values (0, 0, 'root')")
        connection.exec_driver_sql("insert into users (uid, name, password) values (0, 'root', 'x')")
        connection.exec_driver_sql("insert into hosts (host_id, name) values (1, 'here')")
        for row in (*rows[:3], {**rows[2], "vmid": 9, "uuid": "9", "name": "vm 9", "spec": "no JSON"}):
            text = f"insert into machines ({', '.join(row)}) values (:{', :'.join(row)})"  # noqa: S608 - our names
            connection.execute(sa.text(text), row)
        statement = sa.text(
            "insert into trash (kind, id, gid, name, uid, size, deleted, rows) "
            "values ('vm', '4', 0, 'x', 0, 0, 1, :rows)"
        )
        connection.execute(statement, {"rows": json.dumps({"machines": [rows[3]]})})
        migrate(connection)

    database.read(work)
    store = SqlMachines(database)
    loaded, unreadable = store.load(HostId(1))
    assert [one.vmid for one in unreadable] == [9]
    assert [machine.spec.nat_places for machine, _ in loaded] == [{1: 2, 5: 3}, {}, {1: 4}]
    (run,) = (progress.run for _, progress in loaded if progress.run)
    assert run.nat_places == {}, "it was given none"
    (item,) = await SqlTrash(database).items()
    contents = await SqlTrash(database).contents(item.trid)
    assert contents is not None and contents.machines[0][0].spec.nat_places == {3: 5}
    assert store.discarded() == {rows[3]["uuid"]: 5}
    await database.close()
