"""What is asked of a VM in the middle of its move to another host: its end, its restart, the end of the move."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from tests.api.images import is_cancelling, wait
from tests.api.world import Answer, World
from tests.hosts.test_moves import cleared, moved, running, used
from tests.hosts.test_moves_settled import when_committed, when_handed
from tests.hosts.test_pools import objects
from tests.hosts.together import Other, machine, together
from tests.patience import PATIENCE, eventually
from velocity.hypervisor.fake import FakeHypervisor
from velocity.hypervisor.port import Fact, FactReport, HostId, Incarnation, MovePhase, SerialEnd
from velocity.store.tables import host_moves

pytestmark = pytest.mark.anyio
B = HostId(2)
PHASES = [one.value for one in MovePhase]
STORED = "as it is stored"
RECEIVED = "as it is received"
MOMENTS = [STORED, RECEIVED, *PHASES, "handed over", "as it is committed", "once it is committed", "as it is let run"]
Request = Callable[[int], Coroutine[Any, Any, Answer]]


@pytest.fixture
def b() -> Other:
    return Other(2, "b", (20, "fast"))


def when_taken(fake: FakeHypervisor, do: Callable[[], object]) -> None:
    """When that target is told to let it run."""
    take = fake.mobility.take

    async def taken(who: Incarnation, said: bytes, typed: bytes = b"", *, deadline: float) -> int:
        do()
        return await take(who, said, typed, deadline=deadline)

    fake.mobility.take = taken  # type: ignore[method-assign]


def once_committed(fake: FakeHypervisor, do: Callable[[], asyncio.Task[Answer]]) -> None:
    """When the database has it, and that source does not yet answer for its last words; they come behind it."""
    last = fake.mobility.last

    async def late(who: Incarnation, *, deadline: float) -> SerialEnd:
        await asyncio.wait({do()})
        return await last(who, deadline=deadline)

    fake.mobility.last = late  # type: ignore[method-assign]


def as_it_is_stored(w: World, b: Other, vmid: int, do: Callable[[], object], stored: bool) -> None:
    """When its commit waits behind another one, which ends once the move has been told of its end.

    `stored`: what is asked is stored before anybody is told, and so waits for that one, too.
    """
    free, writer = b.fake.hosts.memory_free, w.server.database
    keeper = w.server.services.fleet.get(vmid)
    waits, ends = threading.Event(), threading.Event()
    tasks: list[asyncio.Future[Any]] = []

    def other(_: object) -> None:
        waits.set()
        ends.wait(PATIENCE)

    def overtaken() -> bool:
        moving = keeper.passage.moving
        return moving is None or (moving.tid is not None and is_cancelling(moving.tid))

    async def ask_amid() -> None:
        await eventually(lambda: writer.waiting > 0, "that it waits to be stored")
        waiting = writer.waiting
        do()
        await eventually(lambda: writer.waiting > waiting if stored else overtaken(), "that it is told")
        ends.set()

    async def memory_free(host: HostId, *, deadline: float) -> int:
        if (moving := keeper.passage.moving) is not None and moving.tid is not None and not tasks:
            tasks.append(asyncio.ensure_future(writer.aside(other)))
            await eventually(waits.is_set)
            tasks.append(asyncio.ensure_future(ask_amid()))  # the task stores it next
        return await free(host, deadline=deadline)

    b.fake.hosts.memory_free = memory_free  # type: ignore[method-assign]


async def amid(w: World, b: Other, vmid: int, moment: str, ask: Request, *, stored: bool = False) -> None:
    """In that moment of its move to b; returns when both have their answer. `ask` is given the move's task.

    `stored`: see `as_it_is_stored`.
    """
    asked: list[asyncio.Task[Answer]] = []
    begun = asyncio.ensure_future(w.ok("PUT", "/v/vm/host", vmid=vmid, host=B))

    async def told() -> Answer:
        return await ask((await begun)["tid"])

    def do() -> asyncio.Task[Answer]:
        if not asked:
            asked.append(asyncio.ensure_future(told()))
        return asked[0]

    if moment == STORED:
        as_it_is_stored(w, b, vmid, do, stored)
    elif moment == RECEIVED:
        hold = b.fake.faults.hold = asyncio.Event()
        await eventually(lambda: b.fake.faults.held > 0)
        do()
        await asyncio.wait(asked)
        b.fake.faults.hold = None
        hold.set()
    elif moment in PHASES:
        hold = w.hypervisor.mobility.holds[MovePhase(moment)] = asyncio.Event()
        await eventually(lambda: MovePhase(moment) in w.hypervisor.mobility.under_way.values())
        do()
        await asyncio.wait(asked)
        hold.set()
        w.hypervisor.mobility.holds.clear()
    elif moment == "handed over":
        when_handed(w.hypervisor, do)
    elif moment == "as it is committed":
        when_committed(w.hypervisor, do)
    elif moment == "once it is committed":
        once_committed(w.hypervisor, do)
    else:
        when_taken(b.fake, do)
    await wait(w, await begun)
    await eventually(lambda: bool(asked) and asked[0].done(), "what is asked in that moment")
    answer = asked[0].result()
    assert answer.status == 200, answer
    await cleared(w)
    await w.settle()


def where(w: World, b: Other, vmid: int) -> list[int]:
    """The hosts on which it runs, each run by itself."""
    uuid = machine(w, vmid)
    runs = [(1, w.hypervisor.runs.get(uuid)), (2, b.fake.runs.get(uuid))]
    assert all(one is None or one.fact is Fact.RUNNING for _, one in runs), runs
    return [host for host, one in runs if one is not None]


async def whole(w: World, b: Other, vmid: int, mid: str) -> int:
    """Its host, which alone has its disk; nothing is held for it on the other one, or left in the database."""
    assert await w.server.database.look(lambda connection: connection.execute(select(host_moves)).all()) == []
    shown = (await w.ok("POST", "/v/vm", vmid=vmid)).body
    assert "moving" not in shown
    here: int = shown["host"]["id"]
    assert (await w.ok("POST", "/m/media", mid=mid))["mpid"] == {1: 1, 2: 20}[here]
    assert await used(w, 1) + await used(w, 20) == 1 << 20
    assert len(objects(b.disks.pools[20])) == (here == 2)
    assert len(w.files()) == (here == 1)
    return here


async def disk(w: World, **more: Any) -> tuple[int, str]:
    mid = await w.medium()
    return await running(w, media=[{"mid": mid, "mode": "VIRTIO"}], **more), mid


@pytest.mark.holds("MANY-217")
@pytest.mark.parametrize("moment", MOMENTS)
async def test_a_forced_stop_in_any_moment_of_a_move_ends_the_vm_wherever_it_is(
    tmp_path: Path, b: Other, moment: str
) -> None:
    async with together(tmp_path / "data", b) as w:
        vmid, mid = await disk(w, ha="restart")
        fake = w.hypervisor
        await amid(w, b, vmid, moment, lambda _: w.call("PUT", "/v/vm/state", vmid=vmid, state="STOPPED", force=True))
        assert where(w, b, vmid) == []
        assert (await w.ok("POST", "/v/vm", vmid=vmid))["state"] == "STOPPED"
        here = await whole(w, b, vmid, mid)
    async with together(tmp_path / "data", b, hypervisor=fake) as w:
        await w.settle()
        shown = (await w.ok("POST", "/v/vm", vmid=vmid)).body
        stopped = (shown["state"], shown["wanted"], shown["host"]["id"])
        assert stopped == ("STOPPED", "STOPPED", here), "the next server knows it, too"
        assert where(w, b, vmid) == []
        await w.ok("PUT", "/v/vm/state", vmid=vmid, state="RUNNING")
        assert where(w, b, vmid) == [here]


@pytest.mark.holds("MANY-217")
@pytest.mark.parametrize("moment", MOMENTS)
async def test_a_forced_restart_in_any_moment_of_a_move_has_the_vm_run_again_where_it_is(
    tmp_path: Path, b: Other, moment: str
) -> None:
    async with together(tmp_path / "data", b) as w:
        vmid, mid = await disk(w)
        epoch = w.hypervisor.runs[machine(w, vmid)].who.epoch
        await amid(w, b, vmid, moment, lambda _: w.call("PUT", "/v/vm/restart", vmid=vmid, force=True), stored=True)
        await eventually(lambda: w.server.services.fleet.get(vmid).state.value == "RUNNING", "its other run")
        await w.settle()
        here = await whole(w, b, vmid, mid)
        assert where(w, b, vmid) == [here]
        runs = (w.hypervisor if here == 1 else b.fake).runs
        assert runs[machine(w, vmid)].who.epoch > epoch + (here == 2), "begun anew"


@pytest.mark.holds("MANY-217")
@pytest.mark.parametrize("moment", MOMENTS)
async def test_a_move_that_is_cancelled_in_any_moment_leaves_one_run_and_can_be_done_again(
    tmp_path: Path, b: Other, moment: str
) -> None:
    async with together(tmp_path / "data", b) as w:
        vmid, mid = await disk(w)
        await amid(w, b, vmid, moment, lambda tid: w.call("DELETE", "/t/task", tid=tid))
        here = await whole(w, b, vmid, mid)
        assert where(w, b, vmid) == [here]
        assert here == (1 if moment in (STORED, RECEIVED, *PHASES) else 2), "what is handed over is not taken back"
        assert (await moved(w, vmid, 3 - here))["state"] == "DONE"
        await cleared(w)
        assert where(w, b, vmid) == [3 - here] == [await whole(w, b, vmid, mid)]


@pytest.mark.holds("MANY-217")
async def test_a_forced_stop_behind_the_commit_of_a_move_holds_for_the_next_server(tmp_path: Path, b: Other) -> None:
    """The target is silent by then, and has all of it: the next server would let it run."""
    async with together(tmp_path / "data", b) as w:
        vmid, _ = await disk(w, ha="restart")
        fake, asked = w.hypervisor, list[asyncio.Task[Answer]]()

        def stop() -> asyncio.Task[Answer]:
            if not asked:
                b.fake.faults.lose(B)
                call = w.call("PUT", "/v/vm/state", vmid=vmid, state="STOPPED", force=True)
                asked.append(asyncio.ensure_future(call))
            return asked[0]

        once_committed(fake, stop)
        await w.ok("PUT", "/v/vm/host", vmid=vmid, host=B)
        fleet = w.server.services.fleet
        await eventually(lambda: fleet.get(vmid).machine.host == B, "the commit")
        assert (asked[0].result().status, asked[0].result()["state"]) == (200, "STOPPED")
        assert b.fake.runs[machine(w, vmid)].fact is Fact.RECEIVED
    async with together(tmp_path / "data", b, hypervisor=fake) as w:
        b.fake.faults.heal(B)
        await cleared(w)
        await w.settle()
        assert where(w, b, vmid) == []
        assert (await w.ok("POST", "/v/vm", vmid=vmid))["state"] == "STOPPED"


@pytest.mark.holds("MANY-218")
@pytest.mark.parametrize("restarts", [False, True], ids=["stopped", "restarted"])
async def test_one_that_was_handed_over_to_a_silent_host_is_ended_without_it(
    tmp_path: Path, b: Other, restarts: bool
) -> None:
    """Whoever asks for something else is told why it waits, and that this is the way out."""
    async with together(tmp_path / "data", b) as w:
        vmid, mid = await disk(w)
        when_handed(w.hypervisor, lambda: b.fake.faults.lose(B))
        await w.ok("PUT", "/v/vm/host", vmid=vmid, host=B)
        await eventually(lambda: w.server.services.fleet.get(vmid).state.value == "PAUSED")
        told = await w.call("PUT", "/v/vm/state", vmid=vmid, state="RUNNING")
        assert told.status == 409
        silent = "host 'b', where it is to continue, does not respond: it runs nowhere until that host does"
        assert silent in told["message"]
        assert told["message"].endswith("To end it, stop it with force")
        path, body = ("/v/vm/restart", {}) if restarts else ("/v/vm/state", {"state": "STOPPED"})
        await w.ok("PUT", path, vmid=vmid, force=True, **body)
        wanted = "RUNNING" if restarts else "STOPPED"
        fleet = w.server.services.fleet
        await eventually(lambda: fleet.get(vmid).passage.moving is None and fleet.get(vmid).state.value == wanted)
        shown = (await w.ok("POST", "/v/vm", vmid=vmid)).body
        assert (shown["host"]["id"], "reason" in shown) == (1, False)
        if not restarts:
            await w.ok("PUT", "/v/vm/state", vmid=vmid, state="RUNNING")
        assert w.hypervisor.runs[machine(w, vmid)].fact is Fact.RUNNING
        assert b.fake.runs[machine(w, vmid)].fact is Fact.RECEIVED, "it was never let run"
        b.fake.faults.heal(B)
        await cleared(w)
        assert where(w, b, vmid) == [1] == [await whole(w, b, vmid, mid)]


@pytest.mark.holds("MANY-217")
async def test_a_forced_restart_in_the_middle_of_a_move_is_tried_once_it_has_ended(tmp_path: Path, b: Other) -> None:
    """Not again and again meanwhile, as long as the move's hosts take to answer."""
    async with together(tmp_path / "data", b) as w:
        vmid, _ = await disk(w)
        w.hypervisor.mobility.holds[MovePhase.MEMORY] = asyncio.Event()
        await w.ok("PUT", "/v/vm/host", vmid=vmid, host=B)
        await eventually(lambda: bool(w.hypervisor.mobility.under_way))
        asked, answers = 0, asyncio.Event()
        facts = b.fake.machines.facts

        async def late(who: Incarnation, *, deadline: float) -> FactReport:
            nonlocal asked
            asked += 1
            await answers.wait()
            return await facts(who, deadline=deadline)

        b.fake.machines.facts = late  # type: ignore[method-assign]
        await w.ok("PUT", "/v/vm/restart", vmid=vmid, force=True)
        await eventually(lambda: asked > 0, "that the target is asked")
        turns = w.server.services.fleet.get(vmid)
        assert not turns.busy
        await asyncio.sleep(0)
        assert not turns.busy, "nothing is tried"
        answers.set()
        await eventually(lambda: turns.state.value == "RUNNING")
        assert w.hypervisor.runs[machine(w, vmid)].fact is Fact.RUNNING
