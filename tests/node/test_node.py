"""A node and its leaders: who is served, what a later leader ends, and what a lost connection means."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from uuid import UUID

import msgspec
import pytest

from tests.node.served import NAME, Served, authority, identity, now
from tests.patience import PATIENCE, asked_until, eventually
from tests.ports.storages import DEADLINE, POOLS, ref
from tests.ports.subjects import HOST, Listener, machine, spec
from velocity.contract.problems import Problem, Refused
from velocity.hypervisor.fake import FakeHypervisor
from velocity.hypervisor.port import Fact, Hypervisor, HypervisorError, Unknown
from velocity.node import remote, wire
from velocity.node.certificates import Authority
from velocity.node.names import CONTROLLER, node_name
from velocity.node.remote import Connection
from velocity.node.wire import Displaced
from velocity.storage.fake import connect
from velocity.storage.fake.pools import FakeHost
from velocity.storage.port import Belongs, Storage

pytestmark = pytest.mark.anyio


class Pair:
    """A node over fakes, and the controllers that connect to it."""

    def __init__(self, notes: Path) -> None:
        self.fake = FakeHypervisor()
        self.pools = FakeHost(*POOLS)
        self.notes = notes
        self.served = Served(self.fake, lambda: connect(self.pools), notes)
        self.connections: list[Connection] = []
        self.displaced = 0

    def note_displaced(self, _found: Displaced) -> None:
        self.displaced += 1

    def leader(self, term: int) -> tuple[Hypervisor, Storage]:
        to = self.served.connect(term, self.note_displaced)
        return self.over(to)

    def over(self, to: Connection) -> tuple[Hypervisor, Storage]:
        self.connections.append(to)
        return remote.hypervisor(to, self.fake.hosts.about(HOST)), remote.storage_of(to)

    async def restart(self) -> None:
        """The node ends, and begins again at the same address."""
        before = self.served
        await before.close()
        self.served = Served(self.fake, lambda: connect(self.pools), self.notes)
        await self.served.open(before)

    async def close(self) -> None:
        for to in self.connections:
            await to.close()
        await self.served.close()


@pytest.fixture
async def pair(tmp_path: Path, anyio_backend: str) -> AsyncIterator[Pair]:
    made = Pair(tmp_path)
    await made.served.open()
    yield made
    await made.close()


@pytest.mark.holds("MANY-1")
async def test_a_leader_of_an_earlier_term_is_refused_also_after_a_restart_of_the_node(pair: Pair) -> None:
    old, _ = pair.leader(4)
    new, _ = pair.leader(5)
    who = machine()
    await old.machines.start(who, spec(pair.fake), deadline=DEADLINE)
    await new.machines.adopt(HOST, deadline=DEADLINE)
    for _ in range(2):
        before = pair.displaced
        with pytest.raises(Displaced, match="led in term 5; yours is 4"):
            await answered(lambda: old.machines.pause(who, deadline=DEADLINE))
        assert pair.displaced == before + 1, "and whoever leads no more is told so"
        assert pair.fake.runs[who.machine].fact is Fact.RUNNING
        await pair.restart()
        await asyncio.sleep(0)
        await until_connected(new)
    assert issubclass(Displaced, HypervisorError), "what was asked did not happen"


@pytest.mark.holds("MANY-142")
async def test_of_two_that_lead_in_the_same_term_one_is_served(pair: Pair) -> None:
    """Two hosts may become the server by the same copy: both have the same term then."""
    first, _ = pair.over(pair.served.connect(7, pair.note_displaced, "a"))
    second, _ = pair.over(pair.served.connect(7, pair.note_displaced, "b"))
    who = machine()
    await first.machines.start(who, spec(pair.fake), deadline=DEADLINE)
    for _ in range(2):
        with pytest.raises(Displaced) as told:
            await answered(lambda: second.machines.pause(who, deadline=DEADLINE))
        assert (told.value.term, told.value.leader) == (7, "a")
        await pair.restart()
        await asyncio.sleep(0)
        await until_connected(first)
    assert pair.fake.runs[who.machine].fact is Fact.RUNNING


async def answered(ask: Callable[[], Awaitable[object]]) -> None:
    """The connection is made again by itself."""
    async with asyncio.timeout(DEADLINE):
        while True:
            try:
                await ask()
                return
            except Unknown:
                await asyncio.sleep(0.05)


async def until_connected(hypervisor: Hypervisor) -> None:
    await answered(lambda: hypervisor.machines.adopt(HOST, deadline=DEADLINE))


@pytest.mark.holds("MANY-2")
async def test_a_later_leader_ends_what_the_earlier_one_held(pair: Pair) -> None:
    old, old_storage = pair.leader(1)
    await opened(old_storage)
    news = Listener(old)
    one = ref()
    incoming = await old_storage.blobs.put(one, deadline=DEADLINE)
    await incoming.write(b"x" * 1000)
    await incoming.sync()
    new, storage = pair.leader(2)
    await opened(storage)
    with pytest.raises(Refused):
        await incoming.finish()
    assert pair.pools.pools[2].moving == {}, "an upload of the earlier leader leaves nothing"
    with pytest.raises(Unknown):
        await news.end()
    later = Listener(new)
    who = machine()
    number = await new.machines.start(who, spec(pair.fake), deadline=DEADLINE)
    await later.up_to(number)
    await later.close()


@pytest.mark.holds("MANY-32")
async def test_what_is_under_way_when_the_connection_leads_elsewhere_is_unknown(pair: Pair) -> None:
    to = pair.served.connect(1)
    hypervisor, _ = pair.over(to)
    await until_connected(hypervisor)
    news = Listener(hypervisor)
    await news.up_to(await hypervisor.machines.start(machine(), spec(pair.fake), deadline=DEADLINE))
    await to.redirect(pair.served.address, NAME, identity(CONTROLLER))
    with pytest.raises(Unknown):
        await news.end()
    await until_connected(hypervisor)


@pytest.mark.holds("MANY-151")
async def test_what_streams_over_a_lost_connection_ends_with_the_first_call_over_another(pair: Pair) -> None:
    """A link that was cut leaves it open on the node, where it would take the news that the new one waits for."""
    lost, _ = pair.leader(1)
    await until_connected(lost)
    earlier = Listener(lost)
    await earlier.up_to(await lost.machines.start(machine(), spec(pair.fake), deadline=DEADLINE))
    again, _ = pair.leader(1)
    await until_connected(again)
    with pytest.raises(Unknown):
        await earlier.end()
    number = await again.machines.start(machine(), spec(pair.fake), deadline=DEADLINE)
    later = Listener(again)
    await later.up_to(number)
    await later.close()


async def opened(storage: Storage) -> None:
    for mpid, _ in POOLS:
        await storage.pools.open(mpid, (), (), (), deadline=DEADLINE)


@pytest.mark.holds("MANY-3")
async def test_only_a_controller_of_the_same_authority_is_served(pair: Pair) -> None:
    other = Authority.make(now())
    mine = identity(CONTROLLER)
    strangers = {
        "another node": identity(NAME),
        "a controller of another authority": replace(other.identity(CONTROLLER, now()), authority=mine.authority),
        "one that takes the node for a stranger": replace(mine, authority=other.certificate),
        "one whose time is over": authority().identity(CONTROLLER, now() - timedelta(days=400)),
    }
    for who, shown in strangers.items():
        hypervisor, storage = pair.over(Connection(pair.served.address, NAME, shown, lambda: 9))
        with pytest.raises(Unknown):
            await hypervisor.machines.start(machine(), spec(pair.fake), deadline=DEADLINE)
        with pytest.raises(Refused) as refused:
            await storage.pools.space(1, deadline=DEADLINE)
        assert refused.value.problem is Problem.POOL_AWAY, who
    named = Connection(pair.served.address, node_name(UUID(int=2), 1), mine, lambda: 9)
    with pytest.raises(Unknown):
        await pair.over(named)[0].machines.adopt(HOST, deadline=DEADLINE)
    assert pair.fake.runs == {}
    hypervisor, _ = pair.leader(1)
    await hypervisor.machines.adopt(HOST, deadline=DEADLINE)  # none of them has raised the term


@pytest.mark.holds("MANY-4")
async def test_a_call_that_its_caller_abandons_is_cancelled_on_the_node(pair: Pair) -> None:
    hypervisor, _ = pair.leader(1)
    pair.fake.faults.hold = asyncio.Event()
    who = machine()
    starting = asyncio.create_task(hypervisor.machines.start(who, spec(pair.fake), deadline=DEADLINE))
    await eventually(lambda: pair.fake.faults.held > 0)
    starting.cancel()
    await eventually(lambda: pair.fake.faults.held == 0)
    assert who.machine not in pair.fake.runs


@pytest.mark.holds("MANY-229")
async def test_the_work_of_an_earlier_leader_has_ended_before_a_later_one_is_served_whoever_waits_in_vain(
    pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    old, _ = pair.leader(1)
    await until_connected(old)
    storage = pair.served.node.storage
    assert storage is not None
    may_end, has_ended = asyncio.Event(), False

    async def close() -> None:
        nonlocal has_ended
        await may_end.wait()
        has_ended = True

    monkeypatch.setattr(storage.jobs, "close", close)
    new, _ = pair.leader(2)

    async def in_vain() -> bool:
        """Whether the node has ever heard it: in so little time it may not."""
        with pytest.raises(Unknown):
            await new.machines.adopt(HOST, deadline=0.2)
        return pair.served.node.storage is None

    await asked_until(in_vain)
    assert await in_vain()
    may_end.set()
    await until_connected(new)
    assert has_ended


@pytest.mark.holds("MANY-215")
async def test_a_thousand_streams_that_are_abandoned_leave_nothing_on_the_node(pair: Pair) -> None:
    """It is in this very process: its tasks are counted, too."""
    hypervisor, _ = pair.leader(1)
    await until_connected(hypervisor)
    before = len(asyncio.all_tasks())  # of which some may just be ending
    for _ in range(20):
        waiting = [asyncio.ensure_future(anext(aiter(hypervisor.machines.news(HOST)))) for _ in range(50)]
        # Who waits, who serves, and what it serves.
        await eventually(lambda: len(asyncio.all_tasks()) >= 3 * 50)
        for one in waiting:
            one.cancel()
        await asyncio.wait(waiting)
        await eventually(lambda: len(asyncio.all_tasks()) <= before)


@pytest.mark.holds("MANY-55")
async def test_each_question_of_an_adoption_ends_with_its_deadline(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    """A node whose process stands still would keep its host from being found again for ever."""
    hypervisor, _ = pair.leader(1)
    await until_connected(hypervisor)
    monkeypatch.setattr(pair.fake.hosts, "about", lambda host: asyncio.Event().wait())
    with pytest.raises(Unknown, match="deadline exceeded"):
        async with asyncio.timeout(PATIENCE):
            await hypervisor.machines.adopt(HOST, deadline=0.2)


async def test_a_fault_of_the_node_is_no_answer_and_shows_nothing_of_it(pair: Pair) -> None:
    hypervisor, _ = pair.leader(1)
    with pytest.raises(Unknown, match="see the log of its velocity-node service"):
        await hypervisor.screens.shot(machine(), "no number", deadline=DEADLINE)  # type: ignore[arg-type]


async def test_a_node_that_goes_away_ends_the_news_and_is_found_again(pair: Pair) -> None:
    hypervisor, storage = pair.leader(1)
    await opened(storage)
    one = ref()
    await storage.blobs.create(one, 4096, deadline=DEADLINE)
    await storage.trash.settle(one, Belongs.KEPT, deadline=DEADLINE)
    who = machine()
    number = await hypervisor.machines.start(who, spec(pair.fake), deadline=DEADLINE)
    news = Listener(hypervisor)
    await news.up_to(number)
    await pair.restart()
    with pytest.raises(Unknown):
        await news.end()
    await until_connected(hypervisor)
    listing = await hypervisor.machines.adopt(HOST, deadline=DEADLINE)
    assert [(found.who, found.fact) for found in listing.found] == [(who, Fact.RUNNING)]


def test_an_argument_that_an_older_controller_does_not_send_has_its_default() -> None:
    call = wire.STORAGE["pools"]["open"]
    older = {"pool": 1, "kept": (), "trashed": (), "coming": (), "deadline": 1.0}
    assert call.bound(msgspec.msgpack.encode(older))["tidy"] is True
    assert call.bound(call.request((1, (), (), ()), {"tidy": False, "deadline": 1.0}))["tidy"] is False
