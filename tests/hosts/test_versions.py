"""Nodes of another version than the server: what they share works, what one lacks is refused with words."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any, ClassVar, cast
from uuid import uuid4

import msgspec
import pytest

from tests.api.images import wait
from tests.api.world import World, world
from tests.hosts.installation import Installation, Machine
from tests.hosts.together import Other, note
from tests.node.served import Served
from tests.ports.storages import DEADLINE
from tests.ports.subjects import spec
from velocity.access.sessions import Caller
from velocity.hosts.members import API, Hello, NodeCalls
from velocity.hosts.port import AttachedHost, Attaching
from velocity.hypervisor.port import Incarnation, SerialConsole, Unknown, Usage
from velocity.machines.consoles.consoles import Ticket
from velocity.node import agent, identity, remote, wire
from velocity.node.agent import Agent
from velocity.storage.fake import connect
from velocity.store.database import Database

pytestmark = pytest.mark.anyio


@contextmanager
def lacking(*calls: str) -> Iterator[None]:
    """A node that is made meanwhile does not know them, as `part.call`."""
    tables: dict[str, Any] = {**wire.MACHINES, **wire.STORAGE}
    taken = [(tables[part], name, tables[part].pop(name)) for part, name in (one.split(".") for one in calls)]
    try:
        yield
    finally:
        for table, name, call in taken:
            table[name] = call


@asynccontextmanager
async def with_node(b: Other, place: Path, *lacks: str) -> AsyncIterator[World]:
    """A server, with that host by a node that does not know these calls."""
    served = Served(b.fake, lambda: connect(b.disks), place)
    with lacking(*lacks):
        await served.open()
    connection = served.connect()
    hypervisor = remote.hypervisor(connection, b.fake.hosts.about(b.host))
    storage = remote.storage_of(connection)

    async def attach(database: Database, attaching: Attaching) -> None:
        note(database, b.host, b.name)
        await attaching.attach(AttachedHost(b.host, b.name, hypervisor, storage, b.about["pools"]))

    async with world(place / "data", attach=attach) as w:
        yield w
    await connection.close()
    await served.close()


class OfVersion(Agent):
    """Tells another version of the calls, without what that did not have, or with what nobody has heard of yet."""

    version = API
    without: tuple[str, ...] = ()

    async def hello(self, api: int, *, deadline: float) -> Hello:
        told = msgspec.to_builtins(await super().hello(api, deadline=deadline))
        for name in self.without:
            del told["facts"][name]
        return {**told, "api": self.version, "version": f"0.{self.version}", "unheard": {"of": 1}}  # type: ignore[return-value]


@pytest.mark.holds("MANY-160")
@pytest.mark.parametrize(("version", "words"), [(API - 1, "which is older than this server"), (API + 1, "newer")])
async def test_a_node_of_the_version_before_or_after_works_and_says_so(
    here: Installation, monkeypatch: pytest.MonkeyPatch, version: int, words: str
) -> None:
    calls = type("Calls", (OfVersion,), {"version": version, "without": ("cpus",) if version < API else ()})
    monkeypatch.setattr(agent, "Agent", calls)
    one, host = await here.join("b")
    shown = await here.membership.show(host)
    assert (shown.state, shown.version) == ("online", f"0.{version}")
    assert words in str(shown.message)
    assert (shown.cpus is msgspec.UNSET) == (version < API), "what it does not tell is not made up"
    there = here.hosts.there[host].hypervisor
    assert (await there.machines.adopt(host, deadline=DEADLINE)).complete
    monkeypatch.undo()
    await upgraded(here, one, host)


async def upgraded(here: Installation, one: Machine, host: int) -> None:
    """It is as any other then."""
    assert one.running is not None
    port, own = one.running.port, identity.read(one.settings.data_dir)
    assert own is not None
    await one.stop()
    await one.serve(own, port)
    shown = await here.until(host, lambda now: now.version != "" and now.state == "online" and not now.message)
    assert shown.cpus == 4


class Counting(Agent):
    """How many machines it was asked to measure in one call."""

    asked: ClassVar[list[int]] = []

    async def measure(self, whos: tuple[Incarnation, ...], *, deadline: float) -> tuple[Usage | None, ...]:
        self.asked.append(len(whos))
        return await super().measure(whos, deadline=deadline)


@pytest.mark.holds("MANY-223")
async def test_a_node_measures_its_machines_in_one_call(here: Installation, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(agent, "Agent", Counting)
    monkeypatch.setattr(Counting, "asked", [])
    _, host = await here.join("b")
    there = here.hosts.there[host].hypervisor
    whos = [Incarnation(uuid4(), host, 1) for _ in range(3)]
    await there.machines.adopt(host, deadline=DEADLINE)
    for who in whos:
        await there.machines.start(who, spec(there), deadline=DEADLINE)
    found = await asyncio.gather(*(there.meters.measure(who, deadline=DEADLINE) for who in whos))
    assert all(isinstance(one, Usage) for one in found)
    assert Counting.asked == [3]


@pytest.mark.holds("MANY-223")
async def test_an_older_node_measures_each_of_its_machines(tmp_path: Path) -> None:
    async with with_node(Other(2, "b"), tmp_path) as w:
        vmids = [await w.vm(f"vm{number}", host=2) for number in range(3)]
        for vmid in vmids:
            await w.ok("PUT", "/v/vm/state", vmid=vmid, state="RUNNING")
        services = w.server.services
        await services.metrics.look()
        assert all(services.metrics.usage(services.fleet.get(vmid)) for vmid in vmids)


@pytest.mark.holds("MANY-160")
async def test_what_an_older_node_lacks_is_refused_with_words_and_nothing_else(tmp_path: Path) -> None:
    async with with_node(Other(2, "b", (20, "fast")), tmp_path, "machines.reset", "blobs.grow") as w:
        mid = await w.medium(mpid=20)
        vmid = await w.vm(media=[{"mid": mid, "mode": "VIRTIO"}])
        await w.ok("PUT", "/v/vm/state", vmid=vmid, state="RUNNING")
        refused = await w.call("PUT", "/v/vm/reset", vmid=vmid)
        assert refused.code == 53230
        assert "is older than the server's, and cannot do this yet: upgrade it there" in refused["message"]
        assert (await w.ok("POST", "/v/vm", vmid=vmid))["state"] == "RUNNING"
        await w.ok("PUT", "/v/vm/state", vmid=vmid, state="STOPPED", force=True)
        grown = await w.call("PATCH", "/m/media", mid=mid, size=1 << 30)
        assert "cannot do this yet" in grown["message"], grown.body


@pytest.mark.holds("MANY-187")
async def test_a_console_works_on_an_older_node_and_a_vm_leaves_it_with_what_it_said(tmp_path: Path) -> None:
    async with with_node(Other(2, "b"), tmp_path, "consoles.type_in", "mobility.last") as w:
        vmid = await w.vm(host=2)
        await w.ok("PUT", "/v/vm/state", vmid=vmid, state="RUNNING")
        services = w.server.services
        keeper = services.fleet.get(vmid)
        ticket = Ticket(Caller(0, ""), vmid, 0, keeper.who, SerialConsole(), 0.0)
        stream = await services.consoles.open(ticket, services.fleet.find)
        assert stream is not None
        await stream.write(b"typed")
        assert await stream.read() == b"typed"
        task = await w.ok("PUT", "/v/vm/host", vmid=vmid, host=1)
        assert (await wait(w, task))["state"] == "DONE"
        assert w.hypervisor.state.logs[keeper.machine.uuid] == b"typed"
        await stream.close()


@pytest.mark.holds("MANY-160")
async def test_an_answer_that_is_not_understood_is_none(tmp_path: Path) -> None:
    """A later version may tell what this one has no word for."""

    class Odd:
        async def hello(self, api: int, *, deadline: float) -> object:
            return {"api": "three"}

    b = Other(2, "b")
    served = Served(b.fake, lambda: connect(b.disks), tmp_path, cast(NodeCalls, Odd()))
    await served.open()
    connection = served.connect()
    with pytest.raises(Unknown, match="is not understood: it may have another version"):
        await remote.node(connection).hello(API, deadline=DEADLINE)
    await connection.close()
    await served.close()


@pytest.mark.holds("MANY-160")
def test_every_call_keeps_its_name_on_the_wire() -> None:
    """A node and a server of two versions know each call by one name. `calls.txt` grows with each new call."""
    tables = {**wire.MACHINES, **wire.STORAGE, **wire.NODE}
    now = {call.path.rpartition("/")[2] for calls in tables.values() for call in calls.values()}
    assert now == set((Path(__file__).parent / "calls.txt").read_text().split())
