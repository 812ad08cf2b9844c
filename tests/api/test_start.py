"""The start of a server over whatever its database holds: a sick row costs its own VM, never the server."""

from __future__ import annotations

import logging
import sqlite3
from contextlib import AsyncExitStack, closing
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from tests.api.world import World, world
from velocity.hypervisor.fake import FakeHypervisor
from velocity.hypervisor.port import Fact, FactCause

pytestmark = pytest.mark.anyio

SEEN = ("by force", "by its power button", "by itself")
UNSEEN = ("while no server watched", "with the host")


def rows(data: Path, sql: str, *values: Any) -> list[Any]:
    with closing(sqlite3.connect(data / "velocity.db")) as connection, connection:
        return connection.execute(sql, values).fetchall()


async def end(w: World, how: str) -> None:
    if how == "by itself":
        play(w.hypervisor, how)
        await w.settle()
    else:
        await w.ok("PUT", "/v/vm/state", vmid=1, state="STOPPED", force=how == "by force")


def play(fake: FakeHypervisor, how: str) -> None:
    (machine,) = fake.runs
    if how == "with the host":
        fake.runs.clear()
    else:
        fake.play(machine, Fact.ENDED, FactCause.KILLED, seen=how not in UNSEEN)


@pytest.mark.holds("GUEST-12")
@pytest.mark.parametrize("how", [*SEEN, *UNSEEN])
async def test_the_spec_of_a_run_ends_with_the_run(tmp_path: Path, how: str) -> None:
    """Else the next start looks for media that are long gone."""
    data, fake = tmp_path / "data", FakeHypervisor()
    async with world(data, fake) as w:
        mid = await w.medium()
        await w.vm(media=[{"mid": mid, "mode": "BLOCK"}])
        await w.ok("PUT", "/v/vm/state", vmid=1, state="RUNNING")
        assert rows(data, "select run_spec is null from machines") == [(0,)]
        if how not in UNSEEN:
            await end(w, how)
    if how in UNSEEN:
        play(fake, how)
        async with world(data, fake):
            pass
    assert rows(data, "select run_spec is null from machines") == [(1,)]
    async with world(data, fake) as w:
        await w.ok("PATCH", "/v/vm", vmid=1, media=[])
        await w.ok("DELETE", "/m/media", mid=mid)
    async with world(data, fake) as w:
        assert (await w.ok("POST", "/v/vm/state", vmid=1))["state"] == "STOPPED"


async def test_a_run_with_a_medium_that_is_gone_keeps_no_server_from_starting(tmp_path: Path) -> None:
    """What an earlier version kept of a run that had ended, of a VM that was restored, too."""
    data = tmp_path / "data"
    async with world(data) as w:
        mid = await w.medium()
        await w.vm(media=[{"mid": mid, "mode": "BLOCK"}])
        await w.vm("restored", media=[{"mid": mid, "mode": "BLOCK", "readonly": True}])
        rows(data, "update machines set run_spec = spec")
        for vmid in (1, 2):
            await w.ok("PATCH", "/v/vm", vmid=vmid, media=[])
        await w.ok("DELETE", "/m/media", mid=mid)
        await w.ok("DELETE", "/v/vm", vmid=2)
        (item,) = [one for one in (await w.ok("POST", "/t/trash/list"))["items"] if one["kind"] == "vm"]
        await w.ok("PUT", "/t/trash", trid=item["trid"])
    async with world(data) as w:
        for vmid in (1, 2):
            await w.ok("PUT", "/v/vm/state", vmid=vmid, state="RUNNING")


@pytest.mark.holds("GUEST-13")
async def test_a_vm_whose_row_cannot_be_read_costs_itself(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    data, fake = tmp_path / "data", FakeHypervisor()
    async with world(data, fake) as w:
        for name in ("well", "sick", "sicker"):
            vmid = await w.vm(name)
            await w.ok("PUT", "/v/vm/state", vmid=vmid, state="RUNNING")
            await w.ok("PUT", "/v/vm/state", vmid=vmid, state="STOPPED", force=True)
        await w.vm("deleted")
        await w.ok("DELETE", "/v/vm", vmid=4)
    uuids = {UUID(uuid) for (uuid,) in rows(data, "select uuid from machines")}
    rows(data, "update machines set spec = '{}' where name = 'sick'")
    rows(data, "update machines set wanted = 'FLYING' where name = 'sicker'")
    rows(data, "update machines set reason = 'no JSON', run_spec = 'nor this' where name = 'well'")
    rows(data, """update trash set rows = replace(rows, '\\"cpus\\"', '\\"zpus\\"') where kind = 'vm'""")
    caplog.clear()
    with caplog.at_level(logging.WARNING):
        async with world(data, fake) as w:
            assert [one["name"] for one in (await w.ok("POST", "/v/vm/list", gid=0))["vms"]] == ["well"]
            await w.ok("PUT", "/v/vm/state", vmid=1, state="RUNNING")
            assert await w.refused("PUT", "/v/vm/efi", name="sick", gid=0, cpus=1, memory_mib=64) == (409, 12223)
            assert await w.refused("POST", "/v/vm", vmid=2) == (404, 16110)
            assert await w.refused("DELETE", "/u/group", gid=0) == (406, 5320)
    for name in ("'sick'", "'sicker'"):
        assert any(name in line and "cannot be loaded" in line for line in caplog.messages), caplog.messages
    assert not uuids & set(fake.machines.forgotten), "its firmware variables stay"


@pytest.mark.holds("GUEST-14")
async def test_what_cannot_be_read_in_the_trash_holds_up_no_other(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    data = tmp_path / "data"
    async with world(data) as w:
        for name in ("well", "sick", "well too"):
            await w.ok("DELETE", "/v/vm", vmid=await w.vm(name))
    rows(data, "update trash set rows = replace(rows, 'cpus', 'zpus') where name = 'sick'")
    with caplog.at_level(logging.WARNING):
        async with world(data, trash_days=0) as w:
            await w.server.services.purging.sweep()
            assert [one["name"] for one in (await w.ok("POST", "/t/trash/list"))["items"]] == ["sick"]
    assert any("trash: vm 'sick' cannot be read" in line for line in caplog.messages)


async def test_a_part_that_cannot_be_closed_keeps_no_other_open(tmp_path: Path) -> None:
    """Or else the next start finds the lock taken, or a change that was never written."""

    async def fail() -> None:
        raise RuntimeError("it does not close")

    async with AsyncExitStack() as stack:
        stack.enter_context(pytest.raises(RuntimeError, match="does not close"))
        w = await stack.enter_async_context(world(tmp_path / "data"))
        await w.vm("vm")
        w.server.services.screens.close = fail  # type: ignore[method-assign]
    async with world(tmp_path / "data") as w:
        assert [one["name"] for one in (await w.ok("POST", "/v/vm/list", gid=0))["vms"]] == ["vm"]
