"""Nodes that are killed while machines move: whoever drives a move may end, and no guest stands still for good."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import msgspec
import pytest

from tests.patience import PATIENCE, asked_until, eventually
from tests.ports.pairs import Pair, opened
from tests.ports.sender import Order, encoded
from tests.ports.subjects import DEADLINE, HOST, QemuSubject
from tests.ports.test_moves import COPIED, check_unread, fact, handed, is_back, moves, received, runs, typed
from velocity.hypervisor.port import Fact, HypervisorError, Incarnation, Landing, MovePhase, Unknown
from velocity.hypervisor.qemu.run_note import Between

pytestmark = [pytest.mark.anyio, pytest.mark.guest]


async def killed_in(pair: Pair, phase: MovePhase, who: Incarnation, landing: Landing) -> None:
    """The node of the source ends at once, in that phase."""
    host = pair.source
    assert isinstance(host, QemuSubject)
    order = Order(host.options.data_dir, host.options.runtime_dir, host.options.binary, who, landing, COPIED)
    pair.link.stall_in(phase)
    node = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.ports.sender", encoded(order), stdout=asyncio.subprocess.PIPE
    )
    assert node.stdout is not None
    try:
        async with asyncio.timeout(PATIENCE):  # it is a whole Python that begins
            while said := await node.stdout.readline():
                pair.link.note(MovePhase(said.decode().strip()))
                if said.decode().strip() == phase.value:
                    break
            await pair.link.stalled()
    finally:
        node.kill()
        await node.wait()


async def at_last(pair: Pair, who: Incarnation) -> Fact:
    """What it does, once that is known."""
    async with asyncio.timeout(PATIENCE):
        while True:
            try:
                return await fact(pair, who)
            except Unknown:
                await asyncio.sleep(0.05)


@pytest.mark.holds("MANY-68", "MANY-185")
@pytest.mark.parametrize("phase", [MovePhase.MEMORY, MovePhase.HANDING_OVER])
async def test_a_source_whose_node_is_killed_lets_the_guest_go_on_with_its_next_start(
    phase: MovePhase, tmp_path: Path, runtime: Path
) -> None:
    async with opened("qemu", tmp_path, runtime) as pair:
        who = await runs(pair)
        arriving, landing = await received(pair, who)
        await typed(pair, who)
        await pair.source.hypervisor.machines.close()
        await killed_in(pair, phase, who, landing)
        host = pair.source
        assert isinstance(host, QemuSubject)
        await host.open()
        listing = await host.hypervisor.machines.adopt(HOST, deadline=DEADLINE)
        assert [one.who for one in listing.found] == [who]
        assert listing.found[0].fact in (Fact.RUNNING, Fact.SILENT), "and never that it stands still for good"
        assert await at_last(pair, who) is Fact.RUNNING
        await check_unread(pair, who)
        await is_back(pair, who, arriving)
        pair.link.go_on()
        await moves(pair, who, arriving)


@pytest.mark.holds("MANY-68")
async def test_a_target_whose_node_is_started_again_waits_for_nobody(tmp_path: Path, runtime: Path) -> None:
    async with opened("qemu", tmp_path, runtime) as pair:
        who = await runs(pair)
        arriving, landing = await received(pair, who)
        await pair.target.restart()
        await pair.target.hypervisor.machines.adopt(HOST, deadline=DEADLINE)
        await asked_until(lambda: fact(pair, arriving, target=True), lambda now: now is not Fact.INCOMING)
        with pytest.raises(HypervisorError):
            async for _ in pair.source.hypervisor.mobility.send(who, landing, COPIED, deadline=DEADLINE):
                pass
        await is_back(pair, who, arriving)


@pytest.mark.holds("MANY-68")
async def test_a_target_whose_node_is_killed_as_it_lets_it_run_has_let_it(tmp_path: Path, runtime: Path) -> None:
    """Before that was noted."""
    async with opened("qemu", tmp_path, runtime) as pair:
        who, arriving = await handed(pair)
        host = pair.target
        assert isinstance(host, QemuSubject)
        await host.hypervisor.mobility.take(arriving, b"", deadline=DEADLINE)
        note = msgspec.structs.replace(host.driver.watched.running(arriving).run, between=Between.INCOMING)
        await host.restart(lambda: host.driver.watched.place.runs.write(note))
        await host.hypervisor.machines.adopt(HOST, deadline=DEADLINE)
        assert await fact(pair, arriving, target=True) is Fact.RUNNING
        await eventually(lambda: host.driver.watched.running(arriving).run.between is None)
        await host.hypervisor.machines.pause(arriving, deadline=DEADLINE)
        assert await fact(pair, arriving, target=True) is Fact.PAUSED
        assert await fact(pair, who) is Fact.HANDED
