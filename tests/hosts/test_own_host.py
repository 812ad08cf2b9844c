"""Which host the server runs on is a fact of its machine: no server takes another machine's VMs for its own."""

from __future__ import annotations

import asyncio
import shutil
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import msgspec
import pytest
import sqlalchemy as sa

from tests.api.world import World, world
from tests.hosts.together import Other, machine, together
from velocity import app, durable
from velocity.hypervisor.fake import FakeHypervisor
from velocity.node import places
from velocity.node.identity import Machine, ensure_machine
from velocity.store import transfer
from velocity.store.database import Database
from velocity.store.tables import hosts

pytestmark = pytest.mark.anyio


def be(data: Path, uuid: UUID) -> None:
    """That directory is that machine's."""
    data.mkdir(mode=0o700)
    durable.write(places.machine(data), msgspec.json.encode(Machine(uuid)))


async def rows(data: Path) -> dict[int, str | None]:
    """The hosts of a server that has ended, and their machines."""
    database = Database(f"sqlite:///{data}/velocity.db")
    try:
        found = sa.select(hosts.c.host_id, hosts.c.uuid)
        return database.read(lambda connection: {one.host_id: one.uuid for one in connection.execute(found)})
    finally:
        await database.close()


async def on_another(first: Path, second: Path, host: int) -> None:
    """The database of a server that has ended, copied to the machine that is one of its hosts."""
    be(second, UUID((await rows(first))[host]))
    shutil.copy(first / "velocity.db", second / "velocity.db")


async def nodes(w: World) -> dict[int, Any]:
    return {one["host"]: one for one in (await w.ok("POST", "/h/node/list"))["nodes"]}


@pytest.mark.holds("MANY-125")
async def test_a_server_on_another_host_of_the_database_has_that_one_as_its_own(tmp_path: Path) -> None:
    b = Other(2, "b", (20, "fast"))
    async with together(tmp_path / "a", b) as w:
        own, other = await w.vm("own", host=1), await w.vm("other", host=2)
        for vmid in (own, other):
            await w.ok("PUT", "/v/vm/state", vmid=vmid, state="RUNNING")
        mine = machine(w, own)
    await on_another(tmp_path / "a", tmp_path / "b", 2)
    async with world(tmp_path / "b", b.fake) as w:
        shown = await nodes(w)
        assert {host: one["own"] for host, one in shown.items()} == {1: False, 2: True}
        assert shown[1]["state"] == "unreachable"
        assert "has not joined this server" in shown[1]["message"]
        assert (await w.ok("POST", "/v/vm", vmid=other))["state"] == "RUNNING", "its guest was found"
        told = (await w.ok("POST", "/v/vm", vmid=own)).body
        assert told["host"] == {"id": 1, "name": shown[1]["name"]}
        assert "unreachable_since" in told, "nothing is concluded of it"
        assert "has not responded since" in str((await w.call("PUT", "/v/vm/state", vmid=own, state="STOPPED")).body)
        assert not b.runs(mine)
        await w.vm("next")
        assert (await nodes(w))[2]["vms"] == 2, "what comes is on the own host"


@pytest.mark.holds("MANY-126")
async def test_a_server_on_a_machine_that_is_no_host_of_the_database_does_not_start(tmp_path: Path) -> None:
    async with world(tmp_path / "a") as w:
        vmid = await w.vm("web")
        await w.ok("PUT", "/v/vm/state", vmid=vmid, state="RUNNING")
    before = await rows(tmp_path / "a")
    be(tmp_path / "c", uuid4())
    shutil.copy(tmp_path / "a" / "velocity.db", tmp_path / "c" / "velocity.db")
    fake = FakeHypervisor()
    with pytest.raises(app.CannotStart, match=r"not one of the hosts in the database .*velocity promote --as"):
        async with world(tmp_path / "c", fake):
            pass
    assert await rows(tmp_path / "c") == before
    assert not fake.runs


@pytest.mark.holds("MANY-127")
async def test_a_data_directory_of_before_goes_on_and_is_known_from_then_on(tmp_path: Path) -> None:
    async with world(tmp_path / "a") as w:
        await w.vm("web")
    before = ensure_machine(tmp_path / "a")
    assert await rows(tmp_path / "a") == {1: str(before)}
    places.machine(tmp_path / "a").unlink()
    database = Database(f"sqlite:///{tmp_path}/a/velocity.db")
    database.read(lambda connection: connection.execute(sa.update(hosts).values(uuid=None)) and None)
    await database.close()
    async with world(tmp_path / "a") as w:
        assert (await w.ok("POST", "/v/vm/list", gid=0))["vms"][0]["name"] == "web"
    assert await rows(tmp_path / "a") == {1: str(ensure_machine(tmp_path / "a"))}
    assert ensure_machine(tmp_path / "a") != before


@pytest.mark.holds("MANY-128")
async def test_what_was_exported_belongs_to_the_machine_that_imports_it(tmp_path: Path) -> None:
    b = Other(2, "b", (20, "fast"))
    async with together(tmp_path / "a", b) as w:
        await w.vm("own", host=1)
    kept = (await rows(tmp_path / "a"))[2]
    source, target = (Database(f"sqlite:///{tmp_path}/{name}.db") for name in ("a/velocity", "c"))
    target.open()
    transfer.load(target, await asyncio.to_thread(transfer.export, source))
    for one in (source, target):
        await one.close()
    async with world(tmp_path / "c", database=f"sqlite:///{tmp_path}/c.db") as w:
        shown = await nodes(w)
        assert [(one["own"], one["vms"]) for one in shown.values()] == [(True, 1), (False, 0)]
    again = Database(f"sqlite:///{tmp_path}/c.db")
    assert again.read(lambda c: c.scalar(sa.select(hosts.c.uuid).where(hosts.c.host_id == 2))) == kept
    await again.close()
