"""What runs is found whatever has become of its directory, and what cannot be looked at is never taken for gone."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import shutil
import signal
import tempfile
import threading
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from uuid import uuid4

import pytest

from tests.claims import claims
from tests.hypervisor.qemu.conftest import descriptors
from tests.patience import PATIENCE, eventually
from tests.ports.subjects import DEADLINE, HOST, Listener, QemuSubject, machine, next_run, spec
from tests.root import as_root
from velocity.hypervisor.port import Fact, FactCause, FactReport, HypervisorError, Incarnation, Stop, Unknown
from velocity.hypervisor.qemu import adoption
from velocity.hypervisor.qemu.adoption import Unwatched
from velocity.hypervisor.qemu.monitor import LAST_PAUSE
from velocity.hypervisor.qemu.options import where_guests_run
from velocity.hypervisor.qemu.processes import start_time
from velocity.hypervisor.qemu.runs import CLAIMS, Look

pytestmark = [pytest.mark.anyio, pytest.mark.guest]


async def begun(qemu: QemuSubject) -> Incarnation:
    """A machine that is held, in its third run."""
    who = machine(epoch=3)
    await qemu.driver.machines.start(who, spec(qemu.driver, held=True, displays=0), deadline=DEADLINE)
    qemu.pid(who)
    return who


async def found(qemu: QemuSubject, who: Incarnation, deadline: float = DEADLINE) -> FactReport:
    listing = await qemu.driver.machines.adopt(HOST, deadline=deadline)
    assert listing.complete
    (one,) = listing.found
    assert one.who == who
    return one


@pytest.mark.holds("GUEST-21")
async def test_one_whose_run_directory_was_removed_is_found_and_can_be_ended(qemu: QemuSubject) -> None:
    who = await begun(qemu)
    before = json.loads(qemu.note(who).read_bytes())
    await qemu.restart(lambda: shutil.rmtree(qemu.root))
    silent = await found(qemu, who)
    assert (silent.fact, "removed" in silent.detail, "force" in silent.detail) == (Fact.SILENT, True, True)
    after = json.loads(qemu.note(who).read_bytes())
    assert {name: after[name] for name in ("pid", "started", "uid", "epoch", "nat")} == {
        name: before[name] for name in ("pid", "started", "uid", "epoch", "nat")
    }
    with pytest.raises(Unknown, match="force"):
        await qemu.driver.machines.facts(who, deadline=DEADLINE)
    with pytest.raises(HypervisorError, match="force"):
        await qemu.driver.machines.resume(who, deadline=DEADLINE)
    with pytest.raises(HypervisorError, match="older run"):
        await qemu.driver.machines.start(next_run(who), spec(qemu.driver, held=True), deadline=DEADLINE)
    await qemu.driver.machines.stop(who, Stop.NOW, deadline=DEADLINE)
    assert start_time(qemu.pid(who)) is None
    assert (await qemu.driver.machines.facts(who, deadline=DEADLINE)).fact is Fact.ENDED
    await qemu.driver.machines.acknowledge(who, deadline=DEADLINE)
    assert list(qemu.root.iterdir()) == []


@pytest.mark.holds("GUEST-98")
@pytest.mark.parametrize("gone", [False, True], ids=["the former place is there", "it is gone"])
async def test_one_that_was_started_with_another_runtime_directory_is_found(qemu: QemuSubject, gone: bool) -> None:
    """As by an ordinary user from a session of another kind, in which XDG_RUNTIME_DIR is not set."""
    who = await begun(qemu)
    first = qemu.options
    with tempfile.TemporaryDirectory(prefix="vel-") as other:
        changed = replace(first, runtime_dir=Path(other))

        def elsewhere() -> None:
            if gone:
                shutil.rmtree(first.runtime_dir / first.instance)
            qemu.options = where_guests_run(changed)

        await qemu.restart(elsewhere)
        assert (await found(qemu, who)).fact is (Fact.SILENT if gone else Fact.HELD)
        assert os.geteuid() or [one.name for one in claims(qemu.root).values()] == [str(who.machine)], (
            "its uid stays its own"
        )
        if not gone:
            await qemu.driver.machines.resume(who, deadline=DEADLINE)
        await qemu.driver.machines.stop(who, Stop.NOW, deadline=DEADLINE)
        assert start_time(qemu.pid(who)) is None
        await qemu.driver.machines.acknowledge(who, deadline=DEADLINE)
        assert where_guests_run(changed) == changed, "without guests, the settings count"
        qemu.options = first
        await qemu.restart()


@pytest.mark.holds("GUEST-22")
@pytest.mark.parametrize("content", [b"", b"{garbage", b'{"machine": 7}'])
async def test_one_whose_note_is_no_note_is_found_and_goes_on(qemu: QemuSubject, content: bytes) -> None:
    who = await begun(qemu)
    before = json.loads(qemu.note(who).read_bytes())
    await qemu.restart(lambda: qemu.note(who).write_bytes(content))
    assert (await found(qemu, who)).fact is Fact.HELD
    lost = {"made": None}  # what it was made of, no process tells
    assert json.loads(qemu.note(who).read_bytes()) == {**before, **lost}
    await qemu.driver.machines.resume(who, deadline=DEADLINE)
    assert (await found(qemu, who)).fact is Fact.RUNNING


async def test_one_whose_start_was_cut_before_it_was_noted_is_found(qemu: QemuSubject) -> None:
    who = await begun(qemu)
    note = json.loads(qemu.note(who).read_bytes())
    await qemu.restart(lambda: qemu.note(who).write_text(json.dumps({**note, "pid": 0, "started": 0})))
    assert (await found(qemu, who)).fact is Fact.HELD
    assert (await qemu.driver.meters.measure(who, deadline=DEADLINE)).memory > 0


@pytest.mark.holds("GUEST-23")
async def test_without_its_directories_a_server_goes_on_and_starts_others(qemu: QemuSubject) -> None:
    who = await begun(qemu)
    before = claims(qemu.root)
    for claim in before:
        claim.unlink()
    shutil.rmtree(qemu.options.runtime_dir / qemu.options.instance)
    other = machine()
    await qemu.driver.machines.start(other, spec(qemu.driver, held=True), deadline=DEADLINE)
    await qemu.driver.machines.resume(who, deadline=DEADLINE)
    assert (await qemu.driver.machines.facts(who, deadline=DEADLINE)).fact is Fact.RUNNING
    if before:
        assert set(before.items()) < set(claims(qemu.root).items()), "its uid is its own again"
    assert qemu.note(who).exists()
    await qemu.driver.machines.stop(who, Stop.NOW, deadline=DEADLINE)
    await qemu.restart()
    facts = {one.who: one.fact for one in (await qemu.driver.machines.adopt(HOST, deadline=DEADLINE)).found}
    assert facts == {who: Fact.ENDED, other: Fact.HELD}


@as_root("uids of machines")
async def test_claims_that_a_cut_start_left_are_taken_back_and_no_others(qemu: QemuSubject) -> None:
    who = await begun(qemu)
    held = claims(qemu.root)
    gone, cut, foreign = CLAIMS / "49990", CLAIMS / "49991", CLAIMS / "49992"
    for claim, target in ((gone, qemu.root / str(uuid4())), (cut, qemu.root / str(who.machine)), (foreign, Path("/x"))):
        claim.unlink(missing_ok=True)
        claim.symlink_to(target)
    try:
        await qemu.restart()
        assert claims(qemu.root) == held
        assert foreign.is_symlink()
    finally:
        foreign.unlink()


async def looked(qemu: QemuSubject) -> tuple[list[Fact], bool]:
    """What is found within half a second, and whether that is all."""
    try:
        listing = await qemu.driver.machines.adopt(HOST, deadline=0.5)
    except Unknown:  # a slow host says so
        return [], False
    return [one.fact for one in listing.found], listing.complete


@pytest.mark.holds("GUEST-24")
async def test_what_cannot_be_looked_at_or_watched_is_never_taken_for_gone(
    qemu: QemuSubject, caplog: pytest.LogCaptureFixture
) -> None:
    """An adoption with 0, 1, 2, ... descriptors left: it says so, or finds it; and watches it when there are more."""
    who = await begun(qemu)
    seen = set()
    for left in range(0, 18, 2):
        await qemu.restart()
        with descriptors(left):
            facts, complete = await looked(qemu)
            if facts != [Fact.HELD]:
                with contextlib.suppress(Unknown):  # a slow host finds it by now
                    assert (await qemu.driver.machines.facts(who, deadline=0.2)).fact is Fact.HELD
        assert facts in ([Fact.HELD], [Fact.SILENT]) or (facts == [] and not complete), left
        seen.add(tuple(facts))
        listener = Listener(qemu.driver)
        if facts == [Fact.SILENT]:
            await listener.hears(who, Fact.HELD)
        await listener.close()
        assert (await found(qemu, who)).fact is Fact.HELD
    assert seen == {(), (Fact.SILENT,), (Fact.HELD,)}
    await qemu.driver.machines.stop(who, Stop.NOW, deadline=DEADLINE)
    assert [one.getMessage() for one in caplog.records if one.levelno > logging.WARNING] == [], "nor half watched"


@contextlib.asynccontextmanager
async def not_watched(qemu: QemuSubject, who: Incarnation) -> AsyncIterator[Unwatched]:
    """Found by a driver with so few descriptors left, within, that it cannot watch it."""
    for left in range(2, 12):
        await qemu.restart()
        with descriptors(left):
            await qemu.driver.machines.adopt(HOST, deadline=DEADLINE)
            unwatched = qemu.driver.adoption.unwatched(who.machine)
            if unwatched is not None:
                yield unwatched
                return
    pytest.fail("it was watched with each number of descriptors")


@pytest.mark.parametrize("seen_first_by", ["who ends it", "who waits to watch it"])
async def test_one_that_cannot_be_watched_can_be_ended(
    qemu: QemuSubject, monkeypatch: pytest.MonkeyPatch, seen_first_by: str
) -> None:
    if seen_first_by != "who ends it":
        monkeypatch.setattr(adoption, "POLL", 3 * LAST_PAUSE)
    who = await begun(qemu)
    async with not_watched(qemu, who):
        with pytest.raises(HypervisorError, match="cannot be watched"):
            await qemu.driver.machines.pause(who, deadline=DEADLINE)
        await qemu.driver.machines.stop(who, Stop.NOW, deadline=DEADLINE)
    assert start_time(qemu.pid(who)) is None
    end = await found(qemu, who)
    assert (end.fact, end.why) == (Fact.ENDED, FactCause.ASKED)
    await eventually(lambda: {entry.name for entry in (qemu.root / str(who.machine)).iterdir()} == {"run.json"})


@pytest.mark.holds("GUEST-96")
async def test_the_end_of_one_that_could_not_be_watched_is_told_although_it_is_to_be_ended_just_then(
    qemu: QemuSubject,
) -> None:
    """What notes the end is cancelled by the forced stop."""
    who = await begun(qemu)
    async with not_watched(qemu, who) as unwatched:
        turn = qemu.driver.watched.turn(who.machine)
        await turn.acquire()
        os.kill(qemu.pid(who), signal.SIGKILL)
    listener = Listener(qemu.driver)
    await eventually(lambda: qemu.driver.adoption.unwatched(who.machine) is None)
    ending = asyncio.create_task(qemu.driver.adoption.end(unwatched, DEADLINE))
    await eventually(lambda: unwatched.task is not None and unwatched.task.cancelling() > 0)
    turn.release()
    await ending
    await listener.hears(who, Fact.ENDED)
    await listener.close()


async def test_a_look_that_takes_longer_than_whoever_asked_waits_is_finished_once(
    qemu: QemuSubject, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As where thousands run on a busy host: else no question would ever find them."""
    who = await begun(qemu)
    await qemu.restart()
    runs = qemu.driver.watched.place.runs
    look, looks, go_on = runs.look, [0], threading.Event()

    def slow() -> Look:
        looks[0] += 1
        assert go_on.wait(PATIENCE)
        return look()

    monkeypatch.setattr(runs, "look", slow)
    for _ in range(3):
        with pytest.raises(Unknown):
            await qemu.driver.machines.adopt(HOST, deadline=0.05)
    asking = asyncio.create_task(qemu.driver.machines.adopt(HOST, deadline=DEADLINE))
    await asyncio.sleep(0)
    go_on.set()
    assert [(one.who, one.fact) for one in (await asking).found] == [(who, Fact.HELD)]
    assert looks == [1]


async def test_a_look_that_the_driver_s_end_cancels_cancels_nobody_who_waits_for_it(
    qemu: QemuSubject, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs = qemu.driver.watched.place.runs
    look, looking, go_on = runs.look, threading.Event(), threading.Event()

    def slow() -> Look:
        looking.set()
        assert go_on.wait(PATIENCE)
        return look()

    monkeypatch.setattr(runs, "look", slow)
    asking = asyncio.create_task(qemu.driver.machines.adopt(HOST, deadline=DEADLINE))
    await eventually(looking.is_set)
    ending = asyncio.create_task(qemu.driver.machines.close())
    await eventually(lambda: any(one.cancelling() for one in asyncio.all_tasks()))
    go_on.set()
    with pytest.raises(Unknown):
        await asking
    await ending
