"""The sampler: who is measured when, and that one VM harms no other."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from msgspec.structs import replace

from tests.api.world import World, world
from tests.metrics.times import Hands
from tests.patience import eventually
from velocity.contract.machines import State
from velocity.hypervisor.fake import NOTHING, FakeHypervisor, FakeRun
from velocity.hypervisor.port import Fact, FactCause, Incarnation, Traffic, Usage
from velocity.metrics.service import AT_ONCE, SAVED_EVERY, Metrics

pytestmark = pytest.mark.anyio


@pytest.fixture
def hands() -> Hands:
    return Hands()


@pytest.fixture
async def w(tmp_path: Path, anyio_backend: str, hands: Hands) -> AsyncIterator[World]:
    async with world(tmp_path / "data", times=hands.times()) as made:
        yield made


async def started(w: World, name: str) -> tuple[int, FakeRun]:
    vmid = await w.vm(name)
    await w.ok("PUT", "/v/vm/state", vmid=vmid, state="RUNNING")
    return vmid, w.hypervisor.runs[w.server.services.fleet.get(vmid).machine.uuid]


def use(run: FakeRun, **more: float) -> None:
    """The guest works: its counters grow."""
    assert run.usage is not None
    run.usage = replace(run.usage, **{name: getattr(run.usage, name) + value for name, value in more.items()})


async def cpu(w: World, vmid: int) -> list[float | None]:
    return list((await w.ok("POST", "/v/vm/metrics", vmid=vmid, span="hour"))["cpu"])


@pytest.mark.holds("METRIC-1")
async def test_one_that_does_not_answer_greys_only_its_own_line(w: World, hands: Hands) -> None:
    (good, one), (bad, other) = await started(w, "good"), await started(w, "bad")
    for hangs in (False, False, True, True, False, False):
        other.usage = None if hangs else NOTHING
        use(one, cpu=5)
        await hands.look(w.server.services.metrics)
    assert await cpu(w, good) == [None, 50, 50, 50, 50, 50]
    assert await cpu(w, bad) == [None, 0, None, None, None, 0], "a rate needs the measurement before"
    memory = (await w.ok("POST", "/v/vm/metrics", vmid=bad, span="hour"))["memory_mib"]
    assert memory == [32, 32, None, None, 32, 32]


async def test_a_stopped_vm_has_a_gap_and_a_new_run_new_counters(w: World, hands: Hands) -> None:
    vmid, run = await started(w, "vm")
    use(run, cpu=1000)
    await hands.look(w.server.services.metrics)
    await w.ok("PUT", "/v/vm/state", vmid=vmid, state="STOPPED", force=True)
    await hands.look(w.server.services.metrics)
    await w.ok("PUT", "/v/vm/state", vmid=vmid, state="RUNNING")
    run = w.hypervisor.runs[run.who.machine]
    use(run, cpu=2000)
    await hands.look(w.server.services.metrics)
    use(run, cpu=1)
    await hands.look(w.server.services.metrics)
    assert await cpu(w, vmid) == [None, None, None, 10]
    shown = await w.ok("POST", "/v/vm/metrics", vmid=vmid, span="hour")
    assert shown["memory_mib"] == [32, None, 32, 32]
    first = 1_700_000_010
    assert shown["at"] == [first, first + 10, first + 20, first + 30]


async def test_a_run_that_began_between_two_looks_is_another(w: World, hands: Hands) -> None:
    vmid, run = await started(w, "vm")
    await hands.look(w.server.services.metrics)
    await w.ok("PUT", "/v/vm/state", vmid=vmid, state="STOPPED", force=True)
    await w.ok("PUT", "/v/vm/state", vmid=vmid, state="RUNNING")
    use(w.hypervisor.runs[run.who.machine], cpu=7)
    await hands.look(w.server.services.metrics)
    assert await cpu(w, vmid) == [None, None], "what two runs took is no rate"


@pytest.mark.holds("METRIC-4")
async def test_a_vm_that_is_removed_is_forgotten(w: World, hands: Hands) -> None:
    metrics = w.server.services.metrics
    (gone, run), (stays, _) = await started(w, "gone"), await started(w, "stays")
    await hands.look(metrics)
    await w.ok("PUT", "/v/vm/state", vmid=gone, state="STOPPED", force=True)
    await w.ok("DELETE", "/v/vm", vmid=gone)
    assert run.who.machine in metrics.known()
    await hands.look(metrics)
    kept = {w.server.services.fleet.get(stays).machine.uuid}
    assert metrics.known() == kept


async def test_a_fault_of_one_measurement_is_not_the_end(w: World, hands: Hands) -> None:
    (broken, run), (fine, _) = await started(w, "broken"), await started(w, "fine")
    for faulty in (False, True, False, False):
        run.usage = "nonsense" if faulty else NOTHING  # type: ignore[assignment]
        await hands.look(w.server.services.metrics)
    assert await cpu(w, broken) == [None, None, None, 0]
    assert await cpu(w, fine) == [None, 0, 0, 0]


class Slow:
    """A hypervisor whose measurements end together, when they are told to."""

    def __init__(self) -> None:
        self.open = self.most = 0
        self.go = asyncio.Event()

    async def measure(self, who: Incarnation, *, deadline: float) -> Usage:
        self.open += 1
        self.most = max(self.most, self.open)
        await self.go.wait()
        self.open -= 1
        return Usage(1.0, 1 << 20, 0, 0, Traffic(0, 0))


async def test_they_are_measured_at_the_same_time_but_not_all(w: World) -> None:
    for number in range(AT_ONCE + 3):
        await started(w, f"vm{number}")
    slow = Slow()
    looking = asyncio.ensure_future(Metrics(w.server.services.fleet, slow).look())
    for _ in range(10):
        await asyncio.sleep(0)
    assert slow.open == AT_ONCE
    slow.go.set()
    await looking
    assert slow.most == AT_ONCE


@pytest.mark.parametrize("early", [0.0, 0.02])
async def test_every_ten_seconds_and_once_for_each_point(w: World, hands: Hands, early: float) -> None:
    vmid, _ = await started(w, "vm")
    hands.now = 1_700_000_003.0  # whenever it begins, the points are at whole tens of seconds
    hands.until, hands.early = 1_700_000_045.0, early
    metrics = Metrics(w.server.services.fleet, w.hypervisor.meters, hands.times())
    metrics.open()
    for _ in range(100):
        await asyncio.sleep(0)
    series, _ = await metrics.series(w.server.services.fleet.get(vmid), "hour")
    assert series.at == [1_700_000_000 + at for at in (10, 20, 30, 40)]
    assert hands.slept == 4
    await metrics.close()


async def test_nothing_is_known_of_a_run_that_has_ended(w: World, hands: Hands) -> None:
    vmid, run = await started(w, "vm")
    metrics, keeper = w.server.services.metrics, w.server.services.fleet.get(vmid)
    await hands.look(metrics)
    assert metrics.usage(keeper) == NOTHING
    w.hypervisor.play(run.who.machine, Fact.ENDED, FactCause.GUEST_SHUTDOWN)
    await eventually(lambda: keeper.state is State.STOPPED)
    assert metrics.usage(keeper) is None


MANY = 3 * AT_ONCE


class Deaf:
    """Of all machines only one answers; the others are asked and never do."""

    def __init__(self, hears: Incarnation) -> None:
        self.hears = hears
        self.asked: list[Incarnation] = []
        self.answered = asyncio.Event()

    async def measure(self, who: Incarnation, *, deadline: float) -> Usage:
        self.asked.append(who)
        if who == self.hears:
            self.answered.set()
            return Usage(1.0, 1 << 20, 0, 0, None)
        await asyncio.Event().wait()
        raise AssertionError


@pytest.mark.holds("METRIC-10")
async def test_many_that_do_not_answer_cost_the_others_nothing(
    w: World, hands: Hands, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HOLD", "PATIENCE"):
        monkeypatch.setattr(f"velocity.metrics.service.{name}", 0.05)
    fleet = w.server.services.fleet
    for number in range(MANY):
        await started(w, f"deaf{number}")
    good, _ = await started(w, "good")
    deaf = Deaf(fleet.get(good).who)
    metrics = Metrics(fleet, deaf, hands.times())
    tasks = len(asyncio.all_tasks())
    for beat in range(3):
        looking = asyncio.create_task(hands.look(metrics))
        await asyncio.wait_for(deaf.answered.wait(), 30)
        deaf.answered.clear()
        await asyncio.wait_for(looking, 30)
        assert len((await metrics.series(fleet.get(good), "hour"))[0].at) == beat + 1
    assert len(deaf.asked) <= MANY + 3, "none is asked again while it has not answered"
    assert len(asyncio.all_tasks()) <= tasks + MANY
    await metrics.close()
    assert len(asyncio.all_tasks()) <= tasks


async def hour(w: World, vmid: int) -> list[float | None]:
    shown = await w.ok("POST", "/v/vm/metrics", vmid=vmid, span="hour")
    return list(shown["memory_mib"])


@pytest.mark.holds("METRIC-15")
async def test_what_vms_took_outlives_the_server(tmp_path: Path, hands: Hands) -> None:
    data, hypervisor = tmp_path / "data", FakeHypervisor()
    async with world(data, hypervisor, times=hands.times()) as w:
        (runs, _), (stops, _) = await started(w, "runs"), await started(w, "stops")
        for _ in range(3):
            await hands.look(w.server.services.metrics)
        await w.ok("PUT", "/v/vm/state", vmid=stops, state="STOPPED", force=True)
    (data / "metrics" / "stray").touch()
    async with world(data, hypervisor, times=hands.times()) as w:
        assert (await hour(w, runs), await hour(w, stops)) == ([32] * 3, [32] * 3), "before it is measured again"
        await hands.look(w.server.services.metrics)
        assert (await hour(w, runs), await hour(w, stops)) == ([32] * 4, [32] * 3 + [None])
        files = data / "metrics"
        await w.server.services.metrics.saved()  # one in sixty is written just now, beside its draft
        assert len(list(files.iterdir())) == 2, "what belongs to no VM goes"
        await w.ok("DELETE", "/v/vm", vmid=stops)
        (item,) = (await w.ok("POST", "/t/trash/list"))["items"]
        await w.ok("PUT", "/t/trash", trid=item["trid"])
        assert await hour(w, stops) == [32] * 3 + [None], "what was in the trash comes back with it"
        await w.ok("DELETE", "/v/vm", vmid=stops, purge=True)
        assert len(list(files.iterdir())) == 1


@pytest.mark.holds("METRIC-16")
async def test_files_are_written_seldom_each_at_its_turn(w: World, hands: Hands) -> None:
    for number in range(5):
        await started(w, f"vm{number}")
    metrics, files = w.server.services.metrics, w.data / "metrics"
    written: list[int] = []
    for _ in range(SAVED_EVERY):
        for file in list(files.iterdir()) if files.exists() else ():
            written.append(1)
            file.unlink()
        await hands.look(metrics)
        await metrics.saved()
    assert len(written) + len(list(files.iterdir())) == 5, "each once in ten minutes"


@pytest.mark.holds("METRIC-17")
async def test_a_disk_that_takes_nothing_loses_only_readings(
    w: World, hands: Hands, caplog: pytest.LogCaptureFixture
) -> None:
    vmid, _ = await started(w, "vm")
    (w.data / "metrics").write_bytes(b"in the way")
    for _ in range(2 * SAVED_EVERY):
        await hands.look(w.server.services.metrics)
        await w.server.services.metrics.saved()
    assert await hour(w, vmid) == [32] * 2 * SAVED_EVERY
    assert caplog.text.count("cannot be written") == 1, "it is told once"
    (w.data / "metrics").unlink()
    for _ in range(SAVED_EVERY):
        await hands.look(w.server.services.metrics)
        await w.server.services.metrics.saved()
    assert len(list((w.data / "metrics").iterdir())) == 1
