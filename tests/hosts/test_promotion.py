"""A host that keeps a copy becomes the server; the former one gives way when it is back, and nothing runs twice."""

from __future__ import annotations

import asyncio
import hashlib
import sqlite3
from collections.abc import AsyncIterator, Callable
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any
from uuid import uuid4

import msgspec
import pytest
from sqlalchemy import delete

from tests.api.world import World, migrated, world
from tests.hosts.installation import Machine
from tests.hosts.together import machine
from tests.patience import asked_until, eventually
from velocity import app, promotion
from velocity.config import Settings
from velocity.contract.nodes import Joined
from velocity.hosts import copies
from velocity.hosts.members import CopyMark, CopyPiece
from velocity.hypervisor.fake import FakeHypervisor
from velocity.hypervisor.port import FactCause
from velocity.installation import set_aside
from velocity.node import identity, places
from velocity.node.copies import KeptCopies
from velocity.store.database import Database
from velocity.store.hosts import note_promotion
from velocity.store.tables import machines

pytestmark = pytest.mark.anyio


class Machines:
    """Those of a test, which are stopped at its end."""

    def __init__(self, data: Path) -> None:
        self.data = data
        self.made: list[Machine] = []

    def __call__(self, name: str) -> Machine:
        self.made.append(made := Machine(self.data, name))
        return made


@pytest.fixture
async def on(tmp_path: Path) -> AsyncIterator[Machines]:
    machines = Machines(tmp_path)
    yield machines
    for one in machines.made:
        await one.stop()


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(copies, "EVERY", 0.05)
    monkeypatch.setattr(copies, "SHARE", 0)


async def shown(w: World, host: int) -> dict[str, Any]:
    return (await w.ok("POST", "/h/node", host=host)).body


async def until(w: World, host: int, holds: Callable[[dict[str, Any]], bool]) -> None:
    await asked_until(lambda: shown(w, host), holds)


async def join(w: World, one: Machine, host: int | None = None, port: int = 0) -> tuple[int, int]:
    """Its number, and the port at which it serves now."""
    asked = {} if host is None else {"host": host}
    word = (await w.ok("PUT", "/h/node/token", urls=["http://127.0.0.1:1"], **asked))["token"]
    answer = msgspec.convert((await w.ok("PUT", "/h/node/join", "", **as_json(one.asks(word)))).body, Joined)
    address = await one.serve(one.accept(word, answer), port)
    await w.ok("PATCH", "/h/node", host=answer.host, address=address)
    await until(w, answer.host, lambda now: now["state"] == "online")

    async def facts() -> bool:
        """What it can have is learnt with what runs there."""
        told = await w.call("POST", "/h/host", host=answer.host)
        return told.status == 200 and bool(told["accelerator"])

    await asked_until(facts, what="that the host has facts")
    return answer.host, int(address.rpartition(":")[2])


def as_json(request: Any) -> Any:
    return msgspec.to_builtins(request)


async def state(w: World, vmid: int) -> str:
    return str((await w.ok("POST", "/v/vm", vmid=vmid))["state"])


@pytest.mark.holds("MANY-134", "MANY-135", "MANY-136", "MANY-174")
async def test_a_host_becomes_the_server_and_the_former_one_a_host_of_it(tmp_path: Path, on: Machines) -> None:
    a, b = on("a"), on("b")
    async with world(tmp_path / "a", a.fake) as w:
        host, port = await join(w, b)
        await w.ok("PATCH", "/h/node", host=host, keeps_copy=True)
        own, other = await w.vm("own", host=1), await w.vm("other", host=host)
        late = await w.vm("late", host=1, autostart=True)
        for vmid in (own, other):
            await w.ok("PUT", "/v/vm/state", vmid=vmid, state="RUNNING")
        await w.settle()
        written = w.server.database.read(lambda c: c.exec_driver_sql("select written from leadership").scalar())
        await eventually(lambda: copied(b) >= int(str(written)), "the copy")
    await b.stop()

    copy, was = promotion.newest_copy(b.settings.data_dir), identity.read(b.settings.data_dir)
    assert copy is not None
    assert was is not None
    await asyncio.to_thread(promotion.promote_node, b.settings, was, copy)
    listens = f"127.0.0.1:{port}"
    async with world(tmp_path / "b", b.fake, node_listen=listens) as w:
        assert w.server.database.term.mine == promotion.ERA + 1
        assert (await shown(w, host))["own"]
        assert [pool["mpid"] for pool in (await shown(w, host))["pools"]] == [was.mpid]
        former = await shown(w, 1)
        assert former["state"] == "unreachable"
        assert not {"address", "joined", "certificate_expires"} & set(former), "what nobody knows is not made up"
        assert await state(w, other) == "RUNNING", "its guest is found"

        runs = set(a.fake.runs)
        async with world(tmp_path / "a", a.fake) as old:
            await eventually(lambda: old.server.database.lost, "the former server to give way")
            assert await state(old, late) == "STOPPED", "it began nothing by itself"
            said = (await old.call("PUT", "/u/group", name="late", parent_gid=0)).body["message"]
            assert "b leads with a copy of this database" in said
        assert set(a.fake.runs) == runs, "what runs there runs on"
        with pytest.raises(app.CannotStart, match="velocity node join --former-server"):
            async with world(tmp_path / "a", a.fake):
                pass

        await join(w, a, host=1)
        assert set_aside(a.settings.data_dir).joinpath("velocity.db").exists()
        await asked_until(lambda: runs_on(w, own), what="that the guest of the former server is found")
        assert runs <= set(a.fake.runs)


async def runs_on(w: World, vmid: int) -> bool:
    return (
        await state(w, vmid) == "RUNNING" and "unreachable_since" not in (await w.ok("POST", "/v/vm", vmid=vmid)).body
    )


async def waits(w: World, vmid: int) -> bool:
    vm = await w.ok("POST", "/v/vm", vmid=vmid)
    return vm["state"] == "STOPPED" and "it waits until b answers" in vm["reason"]["message"]


def copied(one: Machine) -> int:
    newest = promotion.newest_copy(one.settings.data_dir)
    return 0 if newest is None else newest.mark.written


@pytest.mark.holds("MANY-137")
async def test_a_server_that_could_have_been_replaced_begins_nothing_by_itself(tmp_path: Path, on: Machines) -> None:
    b, fake = on("b"), FakeHypervisor()
    async with world(tmp_path / "a", fake) as w:
        host, port = await join(w, b)
        await w.ok("PATCH", "/h/node", host=host, keeps_copy=True)
        vmid = await w.vm("web", host=1, autostart=True)
        again = await w.vm("db", host=1, ha="restart")
        await w.ok("PUT", "/v/vm/state", vmid=again, state="RUNNING")
        own = identity.read(b.settings.data_dir)
        killed = machine(w, again)
    await b.stop()
    fake.state.end(fake.runs[killed], FactCause.KILLED, seen=False)
    async with world(tmp_path / "a", fake) as w:
        await asked_until(lambda: waits(w, again), what="that it is told why it waits")
        reason = (await w.ok("POST", "/v/vm", vmid=vmid))["reason"]
        assert reason["cause"] == "autostart-failed"
        assert "it waits until b answers" in reason["message"]
        await until(w, host, lambda now: now["state"] == "unreachable")
        assert await state(w, vmid) == "STOPPED"
        assert own is not None
        await b.serve(own, port)
        await asked_until(lambda: runs_on(w, vmid), what="the start of the VM")
        await asked_until(lambda: runs_on(w, again), what="another start of the VM")
        await w.ok("PUT", "/v/vm/state", vmid=vmid, state="STOPPED", force=True)
    await b.stop()
    async with world(tmp_path / "a", fake) as w:
        await until(w, host, lambda now: now["state"] == "unreachable")
        assert await state(w, vmid) == "STOPPED"
        await w.ok("PATCH", "/h/node", host=host, keeps_copy=False)
        await asked_until(lambda: runs_on(w, vmid), what="the start of the VM, as nobody can have taken over,")


@pytest.mark.holds("MANY-138")
async def test_a_server_leads_again_when_a_person_says_so(tmp_path: Path, on: Machines) -> None:
    b, fake = on("b"), FakeHypervisor()
    settings = Machine(tmp_path, "a").settings
    async with world(tmp_path / "a", fake) as w:
        host, _ = await join(w, b)
        await w.ok("PATCH", "/h/node", host=host, keeps_copy=True)
        vmid = await w.vm("web", host=1, autostart=True)
    await b.stop()
    await asyncio.to_thread(promotion.promote_server, settings, None)
    async with world(tmp_path / "a", fake) as w:
        assert w.server.database.term.mine == promotion.ERA + 1
        await asked_until(lambda: runs_on(w, vmid), what="the start of the VM")
        await w.ok("PUT", "/v/vm/state", vmid=vmid, state="STOPPED", force=True)
    async with world(tmp_path / "a", fake) as w:
        assert await state(w, vmid) == "STOPPED", "it was said of one start"


@pytest.mark.holds("MANY-143")
async def test_what_was_made_after_the_copy_is_left_alone(tmp_path: Path) -> None:
    fake = FakeHypervisor()
    settings = Machine(tmp_path, "a").settings
    async with world(tmp_path / "a", fake) as w:
        await w.vm("before")
        since = [await w.vm(name) for name in ("runs", "stopped")]
        uuids = {machine(w, vmid) for vmid in since}
        for vmid in since:
            await w.ok("PUT", "/v/vm/state", vmid=vmid, state="RUNNING")
        await w.ok("PUT", "/v/vm/state", vmid=since[1], state="STOPPED", force=True)

    def turn_back(copied: int) -> None:
        database = Database(f"sqlite:///{settings.data_dir}/velocity.db")
        note_promotion(database, promotion.ERA, copied=copied)
        database.read(lambda c: c.execute(delete(machines).where(machines.c.vmid.in_(since))) and None)
        asyncio.run(database.close())

    await asyncio.to_thread(turn_back, 1_800_000_000)
    async with world(tmp_path / "a", fake) as w:
        unknown = (await w.ok("POST", "/h/host"))["unknown_guests"]
        assert {one["uuid"] for one in unknown} < {str(uuid) for uuid in uuids}
        assert len(unknown) == 1
        assert fake.machines.forgotten == []
        assert uuids <= fake.state.keeps, "what it keeps of them stays"


@pytest.mark.holds("MANY-138")
async def test_a_machine_takes_the_place_of_a_host_that_is_gone(tmp_path: Path) -> None:
    async with world(tmp_path / "a") as w:
        vmid = await w.vm("web")
        name = (await shown(w, 1))["name"]
    places.machine(tmp_path / "a").unlink()
    with pytest.raises(app.CannotStart, match="not one of the hosts"):
        async with world(tmp_path / "a"):
            pass
    settings = Machine(tmp_path, "a").settings
    with pytest.raises(app.CannotStart, match="knows no host 'x': its hosts are"):
        await asyncio.to_thread(promotion.promote_server, settings, "x")
    await asyncio.to_thread(promotion.promote_server, settings, name)
    async with world(tmp_path / "a") as w:
        assert await state(w, vmid) == "STOPPED"


@pytest.mark.holds("MANY-231")
def test_a_copy_whose_last_changes_are_not_in_its_file_makes_no_server(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on a full disk: the term of the next server is in the log beside it, which does not come along."""
    data = migrated()
    mark, digest = CopyMark(term=1, written=1), hashlib.sha256(data).hexdigest()
    piece = CopyPiece(mark=mark, at=1, size=len(data), digest=digest, offset=0, data=data)
    KeptCopies(places.copies(tmp_path)).take(piece)
    was = identity.NodeIdentity(uuid4(), 2, "b", 2, [], "", "", "", "", 0, 0)
    places.identity(tmp_path).write_bytes(msgspec.json.encode(was))
    settings, copy = Settings(data_dir=tmp_path), promotion.newest_copy(tmp_path)
    assert copy is not None
    with ExitStack() as held:

        def noted(database: Database, term: int, copied: int = 0) -> None:
            reader = held.enter_context(closing(sqlite3.connect(tmp_path / "promoting.db")))
            reader.execute("begin")
            reader.execute("select count(*) from hosts").fetchall()  # from here on the log is not emptied
            note_promotion(database, term, copied)

        monkeypatch.setattr(promotion, "note_promotion", noted)
        with pytest.raises(app.CannotStart, match="free some space"):
            promotion.promote_node(settings, was, copy)
    assert identity.read(tmp_path) == was, "it is a node still"
    assert not (tmp_path / "velocity.db").exists()
    monkeypatch.undo()
    assert promotion.promote_node(settings, was, copy).uuid == was.uuid
