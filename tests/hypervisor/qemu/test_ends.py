"""A forced stop is answered when no crash changes any more how the run ended; what that left is cleared behind it."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Iterator

import pytest

from tests.patience import PATIENCE, eventually
from tests.ports.subjects import DEADLINE, HOST, QemuSubject, machine, next_run, spec
from velocity.hypervisor.port import Fact, FactCause, Incarnation, Stop, Unknown
from velocity.hypervisor.qemu import watched_runs
from velocity.hypervisor.qemu.process_watch import Mounts
from velocity.hypervisor.qemu.run_note import Run

pytestmark = [pytest.mark.anyio, pytest.mark.guest]


class Held:
    """Nothing is cleared until it is let go. `began` is set by what is to be cleared first."""

    def __init__(self, qemu: QemuSubject, monkeypatch: pytest.MonkeyPatch) -> None:
        self.began, self.go_on = threading.Event(), threading.Event()
        self._clear = qemu.driver.watched.clear
        monkeypatch.setattr(qemu.driver.watched, "clear", self.clear)

    def clear(self, run: Run, mounts: Mounts | None = None) -> bool:
        self.began.set()
        assert self.go_on.wait(PATIENCE)
        return self._clear(run, mounts)


@pytest.fixture
def held(qemu: QemuSubject, monkeypatch: pytest.MonkeyPatch) -> Iterator[Held]:
    made = Held(qemu, monkeypatch)
    yield made
    made.go_on.set()


async def start(qemu: QemuSubject, who: Incarnation) -> int:
    return await qemu.driver.machines.start(who, spec(qemu.driver, held=True, displays=0), deadline=DEADLINE)


async def listed(qemu: QemuSubject) -> list[tuple[Incarnation, Fact, FactCause]]:
    listing = await qemu.driver.machines.adopt(HOST, deadline=DEADLINE)
    assert listing.complete
    return [(one.who, one.fact, one.why) for one in listing.found]


@pytest.mark.holds("DUR-73")
@pytest.mark.parametrize("sooner", [False, True], ids=["noted", "sooner-than-noted"])
async def test_a_stop_is_done_before_its_run_is_cleared_and_the_next_run_begins_after(
    qemu: QemuSubject, held: Held, sooner: bool
) -> None:
    """Also where QEMU has ended before it was noted that it was asked to."""
    who, machines = machine(), qemu.driver.machines
    await start(qemu, who)
    if sooner:
        qemu.driver.watched.running(who).qemu.on_asked = lambda: asyncio.sleep(0)
    await machines.stop(who, Stop.NOW, deadline=DEADLINE)
    qemu.driver.watched.place.qmp(who).unlink(missing_ok=True)  # as QEMU does where it sees it: for an ordinary user
    assert (await machines.facts(who, deadline=DEADLINE)).fact is Fact.ENDED
    assert await listed(qemu) == [(who, Fact.ENDED, FactCause.ASKED)], "not what it did last"
    acknowledging = asyncio.create_task(machines.acknowledge(who, deadline=DEADLINE))
    starting = asyncio.create_task(start(qemu, next_run(who)))
    await asyncio.to_thread(held.began.wait, PATIENCE)
    await asyncio.wait({starting, acknowledging}, timeout=0.1)
    assert qemu.note(who).exists(), "what is there is the last run's"
    assert qemu.driver.starts.of(who.machine) is None
    held.go_on.set()
    await asyncio.gather(starting, acknowledging)
    assert await listed(qemu) == [(next_run(who), Fact.HELD, FactCause.ASKED)]


@pytest.mark.holds("DUR-73")
async def test_a_server_that_is_killed_before_it_has_cleared_a_stopped_run_leaves_its_cause(
    qemu: QemuSubject, monkeypatch: pytest.MonkeyPatch
) -> None:
    who = machine()
    await start(qemu, who)
    monkeypatch.setattr(qemu.driver.watched, "clear", lambda *what: True)  # it is not there any more to do it
    await qemu.driver.machines.stop(who, Stop.NOW, deadline=DEADLINE)
    assert b'"end":null' in qemu.note(who).read_bytes(), "of its end there is no word yet"
    for _ in range(2):
        await qemu.restart()
        assert await listed(qemu) == [(who, Fact.ENDED, FactCause.ASKED)]
    await qemu.driver.machines.acknowledge(who, deadline=DEADLINE)
    assert await listed(qemu) == []


@pytest.mark.holds("DUR-73")
async def test_a_stopped_run_whose_end_nobody_writes_down_is_cleared_and_keeps_its_note(
    qemu: QemuSubject, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watched_runs, "ACKNOWLEDGED", 0.01)
    who = machine()
    await start(qemu, who)
    await qemu.driver.machines.stop(who, Stop.NOW, deadline=DEADLINE)
    await eventually(lambda: list(qemu.note(who).parent.iterdir()) == [qemu.note(who)])
    assert b'"why":"asked"' in qemu.note(who).read_bytes()
    assert await listed(qemu) == [(who, Fact.ENDED, FactCause.ASKED)]
    await qemu.driver.machines.acknowledge(who, deadline=DEADLINE)
    assert not qemu.note(who).exists()


async def test_what_a_run_left_that_ended_unseen_is_cleared_before_the_next_begins(
    qemu: QemuSubject, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where whoever asked what runs had no time to wait for that."""
    who = machine()
    await start(qemu, who)
    await qemu.restart(lambda: kill(qemu, who))
    held = Held(qemu, monkeypatch)
    looking = asyncio.create_task(qemu.driver.machines.adopt(HOST, deadline=0.1))
    await asyncio.to_thread(held.began.wait, PATIENCE)
    starting = asyncio.create_task(start(qemu, next_run(who)))
    await asyncio.wait({starting}, timeout=0.3)
    note = qemu.note(who).read_bytes()
    held.go_on.set()
    with pytest.raises(Unknown):
        await looking
    await starting
    assert f'"epoch":{who.epoch},'.encode() in note, "what was there was the last run's"
    assert await listed(qemu) == [(next_run(who), Fact.HELD, FactCause.ASKED)]


def kill(qemu: QemuSubject, who: Incarnation) -> None:
    qemu.kill(who)
    os.waitpid(qemu.pid(who), 0)
