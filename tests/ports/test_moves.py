"""The law of the port about machines that go from one host to another while they run."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator
from typing import cast

import msgspec
import pytest

from tests.patience import asked_until
from tests.ports.pairs import Pair
from tests.ports.subjects import DEADLINE, HOST, Listener, machine, next_run, spec
from tests.ports.test_changes import disk, medium
from velocity.hypervisor.port import (
    Bus,
    Copied,
    DiskLimits,
    Fact,
    FactCause,
    Hypervisor,
    HypervisorError,
    Incarnation,
    Landing,
    MachineSpec,
    MovePhase,
    MoveProgress,
    NotRunning,
    SerialConsole,
    SerialEnd,
    Stop,
)

pytestmark = pytest.mark.anyio


DISKS = (disk(0), disk(1, Bus.BLOCK))
COPIED = [Copied(one.media, one.media) for one in DISKS]


def made(host: Hypervisor) -> MachineSpec:
    return msgspec.structs.replace(spec(host), disks=DISKS)


async def runs(pair: Pair) -> Incarnation:
    """Its disks are of each host's own."""
    who, source = machine(), pair.source.hypervisor
    for number in range(len(DISKS)):
        pair.source.provide(medium(number))
        pair.target.provide(medium(number))
    await source.machines.start(who, made(source), deadline=DEADLINE)
    return who


async def received(pair: Pair, who: Incarnation, from_: Incarnation | None = None) -> tuple[Incarnation, Landing]:
    target, arriving = pair.target.hypervisor, next_run(who)
    places = await pair.source.hypervisor.mobility.places(from_ or who, deadline=DEADLINE)
    landing = await target.mobility.receive(arriving, made(target), places, COPIED, deadline=DEADLINE)
    return arriving, await pair.link.through(landing)


async def sent(pair: Pair, who: Incarnation, landing: Landing) -> list[MoveProgress]:
    found = []
    sending = pair.source.hypervisor.mobility.send(who, landing, COPIED, deadline=DEADLINE)
    async with contextlib.aclosing(cast(AsyncGenerator[MoveProgress], sending)) as told:
        async for one in told:
            pair.link.note(one.phase)
            found.append(one)
    return found


async def fact(pair: Pair, who: Incarnation, *, target: bool = False) -> Fact:
    host = pair.target if target else pair.source
    return (await host.hypervisor.machines.facts(who, deadline=DEADLINE)).fact


async def handed(pair: Pair) -> tuple[Incarnation, Incarnation]:
    who = await runs(pair)
    arriving, landing = await received(pair, who)
    await sent(pair, who, landing)
    return who, arriving


@pytest.mark.holds("MANY-64")
async def test_a_machine_runs_on_one_host_and_then_on_the_other(pair: Pair) -> None:
    listener = Listener(pair.target.hypervisor)
    who = await runs(pair)
    arriving, landing = await received(pair, who)
    assert await fact(pair, arriving, target=True) is Fact.INCOMING
    progress = await sent(pair, who, landing)
    assert list(dict.fromkeys(one.phase for one in progress)) == list(MovePhase)
    assert all(0 <= one.done <= one.total for one in progress)
    assert await fact(pair, who) is Fact.HANDED
    assert await fact(pair, arriving, target=True) is Fact.RECEIVED
    target = pair.target.hypervisor
    for _ in range(2):
        number = await target.mobility.take(arriving, b"booting\r\n", deadline=DEADLINE)
        await listener.up_to(number)
        told = listener.last(arriving, number)
        assert told is not None and (told.fact, told.why) == (Fact.RUNNING, FactCause.ASKED)
    assert (await target.consoles.said(HOST, who.machine, 1000, deadline=DEADLINE)).count(b"booting\r\n") == 1
    for _ in range(2):
        await pair.source.hypervisor.machines.stop(who, Stop.NOW, deadline=DEADLINE)
    assert await fact(pair, who) is Fact.ENDED
    await target.machines.pause(arriving, deadline=DEADLINE)
    assert await fact(pair, arriving, target=True) is Fact.PAUSED
    await target.mobility.take(arriving, b"", deadline=DEADLINE)
    assert await fact(pair, arriving, target=True) is Fact.PAUSED, "what was taken is a run as any other"
    with pytest.raises(HypervisorError, match="its guest runs here already"):
        await target.mobility.release(arriving, deadline=DEADLINE)
    await listener.close()


@pytest.mark.holds("MANY-259")
async def test_consoles_of_what_was_handed_over_end_before_it_does(pair: Pair) -> None:
    """Whoever looks goes on where the guest does, and does not wait until nothing is left here."""
    who = await runs(pair)
    console = await pair.source.hypervisor.consoles.open(who, SerialConsole(), deadline=DEADLINE)
    _, landing = await received(pair, who)
    await sent(pair, who, landing)
    async with asyncio.timeout(DEADLINE):
        while await console.read():
            pass
    assert await fact(pair, who) is Fact.HANDED
    await console.close()


TYPED = b"".join(b"%07d\n" % number for number in range(5000))


async def typed(
    pair: Pair, who: Incarnation, data: bytes = TYPED, *, target: bool = False, deadline: float = DEADLINE
) -> int:
    host = pair.target if target else pair.source
    return await host.hypervisor.consoles.type_in(who, data, deadline=deadline)


@pytest.mark.holds("MANY-184")
async def test_what_was_typed_and_not_read_goes_along(pair: Pair) -> None:
    who = await runs(pair)
    pair.source.deafen(who)
    assert await typed(pair, who) == len(TYPED)
    last = pair.source.hypervisor.mobility.last
    with pytest.raises(HypervisorError, match="not handed over"):
        await last(who, deadline=DEADLINE)
    arriving, landing = await received(pair, who)
    await sent(pair, who, landing)
    told = await last(who, deadline=DEADLINE)
    assert told.typed and TYPED.endswith(told.typed)
    for one, target in ((who, False), (arriving, True)):
        assert await typed(pair, one, target=target, deadline=1) == 0, "it stands between two hosts"
    await pair.source.restart()
    await pair.source.hypervisor.machines.adopt(HOST, deadline=DEADLINE)
    assert await last_when_known(pair, who) == told
    await pair.target.hypervisor.mobility.take(arriving, told.said, told.typed, deadline=DEADLINE)
    assert await typed(pair, arriving, b"more", target=True) == 4
    left = pair.target.unread(arriving)
    assert left.endswith(b"more") and (told.typed + b"more").endswith(left), "once, in order"
    assert len(left) > len(b"more")
    await pair.source.hypervisor.machines.stop(who, Stop.NOW, deadline=DEADLINE)
    with pytest.raises(NotRunning):
        await typed(pair, who)


async def check_unread(pair: Pair, who: Incarnation) -> None:
    """What its guest has yet to read of what was typed, and what is typed now."""
    assert await typed(pair, who, b"more") == 4
    left = pair.source.unread(who)
    assert left.endswith(b"more") and (TYPED + b"more").endswith(left), "once, in order"
    assert len(left) > len(b"more")


async def last_when_known(pair: Pair, who: Incarnation) -> SerialEnd:
    """A server that has just come has yet to ask what it does."""
    async with asyncio.timeout(DEADLINE):
        while True:
            with contextlib.suppress(HypervisorError):
                return await pair.source.hypervisor.mobility.last(who, deadline=DEADLINE)
            await asyncio.sleep(0.05)


@pytest.mark.holds("MANY-185")
@pytest.mark.parametrize("handed", [True, False], ids=["handed", "broken"])
async def test_one_that_goes_on_where_it_was_reads_what_it_had_not_read(pair: Pair, handed: bool) -> None:
    who = await runs(pair)
    pair.source.deafen(who)
    arriving, landing = await received(pair, who)
    await typed(pair, who)
    if handed:
        await sent(pair, who, landing)
        await pair.target.hypervisor.mobility.release(arriving, deadline=DEADLINE)
        who = next_run(arriving)
        await pair.source.hypervisor.mobility.back(who, deadline=DEADLINE)
    else:
        pair.link.stall_in(MovePhase.HANDING_OVER)
        sending = asyncio.create_task(sent(pair, who, landing))
        await pair.link.stalled()
        pair.link.cut()
        with pytest.raises(HypervisorError):
            await sending
        pair.link.go_on()
    await check_unread(pair, who)


@pytest.mark.holds("MANY-65")
async def test_what_is_between_two_hosts_is_changed_by_nobody(pair: Pair) -> None:
    who, arriving = await handed(pair)
    for host, one, why in ((pair.source, who, "handed over"), (pair.target, arriving, "waits to be let run")):
        machines = host.hypervisor.machines
        for call in (machines.pause, machines.resume, machines.reset):
            with pytest.raises(HypervisorError, match=why):
                await call(one, deadline=DEADLINE)
        for change in (machines.alter, machines.start):
            with pytest.raises(HypervisorError, match=why):
                await change(one, spec(host.hypervisor), deadline=DEADLINE)
    with pytest.raises(HypervisorError):
        await sent(pair, who, Landing("192.0.2.1", 1, 2, "00"))
    assert await fact(pair, who) is Fact.HANDED
    assert await fact(pair, arriving, target=True) is Fact.RECEIVED


@pytest.mark.holds("MANY-65")
async def test_one_that_was_handed_over_comes_back_only_under_a_higher_epoch(pair: Pair) -> None:
    who, arriving = await handed(pair)
    back = pair.source.hypervisor.mobility.back
    with pytest.raises(HypervisorError, match="not newer"):
        await back(who, deadline=DEADLINE)
    for _ in range(2):
        await pair.target.hypervisor.mobility.release(arriving, deadline=DEADLINE)
    assert await fact(pair, arriving, target=True) is Fact.ABSENT
    for _ in range(2):
        await back(next_run(arriving), deadline=DEADLINE)
    assert await fact(pair, next_run(arriving)) is Fact.RUNNING
    assert await fact(pair, who) is Fact.ABSENT
    with pytest.raises(NotRunning):
        await pair.source.hypervisor.machines.pause(who, deadline=DEADLINE)
    await pair.source.hypervisor.machines.pause(next_run(arriving), deadline=DEADLINE)
    assert await pair.source.left_of_moves(next_run(arriving)) == []
    with pytest.raises(HypervisorError, match="not handed over"):
        await back(next_run(arriving, 2), deadline=DEADLINE)


@pytest.mark.holds("MANY-65")
async def test_facts_outlive_the_node(pair: Pair) -> None:
    who, arriving = await handed(pair)
    for host, one, expected in ((pair.source, who, Fact.HANDED), (pair.target, arriving, Fact.RECEIVED)):
        await host.restart()
        listing = await host.hypervisor.machines.adopt(HOST, deadline=DEADLINE)
        assert [(found.who, found.fact) for found in listing.found] == [(one, expected)]
    await pair.target.hypervisor.mobility.take(arriving, b"", deadline=DEADLINE)
    assert await fact(pair, arriving, target=True) is Fact.RUNNING


@pytest.mark.holds("MANY-66")
@pytest.mark.parametrize("phase", list(MovePhase))
async def test_a_move_that_is_abandoned_leaves_it_where_it_is_and_can_be_tried_again(
    pair: Pair, phase: MovePhase
) -> None:
    who = await runs(pair)
    arriving, landing = await received(pair, who)
    pair.link.stall_in(phase)
    sending = asyncio.create_task(sent(pair, who, landing))
    await pair.link.stalled()
    with pytest.raises(HypervisorError, match="is being moved"):
        await pair.source.hypervisor.machines.pause(who, deadline=DEADLINE)
    sending.cancel()
    await asyncio.wait({sending})
    await runs_again(pair, who)  # although the target is there yet, and nothing comes through
    await is_back(pair, who, arriving)
    pair.link.go_on()
    await moves(pair, who, arriving)


@pytest.mark.holds("MANY-67")
@pytest.mark.parametrize("phase", list(MovePhase))
@pytest.mark.parametrize("cut", [False, True], ids=["killed", "cut"])
async def test_a_target_or_a_network_that_fails_leaves_the_guest_at_its_source(
    pair: Pair, phase: MovePhase, cut: bool
) -> None:
    who = await runs(pair)
    arriving, landing = await received(pair, who)
    pair.link.stall_in(phase)
    sending = asyncio.create_task(sent(pair, who, landing))
    await pair.link.stalled()
    if cut:
        pair.link.cut()
    else:
        pair.target.kill(arriving)
        pair.link.go_on()
    with pytest.raises(HypervisorError):
        await sending
    pair.link.go_on()
    await is_back(pair, who, arriving)
    await moves(pair, who, arriving)


@pytest.mark.holds("MANY-227")
@pytest.mark.parametrize("phase", list(MovePhase))
async def test_a_machine_that_is_stopped_in_the_middle_of_its_move_ends_and_can_begin_again(
    pair: Pair, phase: MovePhase
) -> None:
    who, source, target = await runs(pair), pair.source.hypervisor, pair.target.hypervisor
    arriving, landing = await received(pair, who)
    pair.link.stall_in(phase)
    sending = asyncio.create_task(sent(pair, who, landing))
    await pair.link.stalled()
    await source.machines.stop(who, Stop.NOW, deadline=DEADLINE)
    assert await fact(pair, who) is Fact.ENDED
    pair.link.go_on()
    with pytest.raises(NotRunning):
        await sending
    await target.mobility.release(arriving, deadline=DEADLINE)
    assert await fact(pair, arriving, target=True) is Fact.ABSENT
    await source.machines.acknowledge(who, deadline=DEADLINE)
    await source.machines.start(next_run(arriving), made(source), deadline=DEADLINE)
    assert await fact(pair, next_run(arriving)) is Fact.RUNNING


async def is_back(pair: Pair, who: Incarnation, arriving: Incarnation) -> None:
    """It runs at its source, as if nothing had been, and nothing is left."""
    await pair.target.hypervisor.mobility.release(arriving, deadline=DEADLINE)
    assert await fact(pair, arriving, target=True) is Fact.ABSENT
    with pytest.raises(NotRunning):
        await pair.target.hypervisor.mobility.take(arriving, b"", deadline=DEADLINE)
    await runs_again(pair, who)
    await asked_until(lambda: pair.source.left_of_moves(who), lambda left: not left)  # the last of it goes behind
    assert who.machine not in await pair.target.hypervisor.hosts.kept(HOST, deadline=DEADLINE)


async def runs_again(pair: Pair, who: Incarnation) -> None:
    """And is as it was, for whoever asks something of it."""
    await asked_until(lambda: pauses(pair, who))
    await pair.source.hypervisor.machines.resume(who, deadline=DEADLINE)
    assert await fact(pair, who) is Fact.RUNNING


async def moves(pair: Pair, who: Incarnation, before: Incarnation) -> None:
    """Now it does."""
    arriving, landing = await received(pair, before, who)
    await sent(pair, who, landing)
    await pair.target.hypervisor.mobility.take(arriving, b"", deadline=DEADLINE)
    assert await fact(pair, arriving, target=True) is Fact.RUNNING


async def pauses(pair: Pair, who: Incarnation) -> bool:
    try:
        await pair.source.hypervisor.machines.pause(who, deadline=DEADLINE)
    except HypervisorError:
        return False
    return True


@pytest.mark.holds("MANY-69")
async def test_what_was_plugged_in_and_taken_out_while_it_ran_is_so_on_the_other_host(pair: Pair) -> None:
    """Its disks are copied. What is elsewhere than it was would not be taken by the target."""
    cold = (disk(0, Bus.BLOCK), disk(1, Bus.USB), disk(2, Bus.USB), disk(3, limits=DiskLimits(iops=500)))
    source, target = pair.source.hypervisor, pair.target.hypervisor
    for number in range(6):
        pair.source.provide(medium(number))
        pair.target.provide(medium(number))
    who = machine()
    begun = msgspec.structs.replace(spec(source), disks=cold, cpus=1, max_cpus=2, max_memory=256, drives=(Bus.VIRTIO,))
    await source.machines.start(who, begun, deadline=DEADLINE)
    wanted = msgspec.structs.replace(
        begun,
        disks=(disk(4, Bus.BLOCK), disk(0, Bus.BLOCK), disk(2, Bus.USB), disk(3, limits=DiskLimits(iops=90)),
               disk(5, Bus.USB, readonly=True)),
        cpus=2,
        memory=96,
    )  # fmt: skip
    altered = await source.machines.alter(who, wanted, deadline=DEADLINE)
    assert (altered.spec, altered.waits) == (wanted, ())
    copied = [Copied(one.media, one.media) for one in wanted.disks if not one.readonly]
    places = await source.mobility.places(who, deadline=DEADLINE)
    arriving = next_run(who)
    landing = await target.mobility.receive(arriving, altered.spec, places, copied, deadline=DEADLINE)
    async for _ in source.mobility.send(who, landing, copied, deadline=DEADLINE):
        pass
    await target.mobility.take(arriving, b"", deadline=DEADLINE)
    altered = await target.machines.alter(arriving, wanted, deadline=DEADLINE)
    assert (altered.spec, altered.waits) == (wanted, ())
    assert await target.mobility.places(arriving, deadline=DEADLINE) == places, "the next host is told the same"
    without = msgspec.structs.replace(wanted, disks=wanted.disks[:-1])
    altered = await target.machines.alter(arriving, without, deadline=DEADLINE)
    assert (altered.spec, altered.waits) == (without, ()), "they come and go there, too"


@pytest.mark.holds("MANY-69")
async def test_places_that_make_no_sense_here_are_refused(pair: Pair) -> None:
    who, target = await runs(pair), pair.target.hypervisor
    with pytest.raises(HypervisorError, match="unknown form"):
        await target.mobility.receive(next_run(who), spec(target), b"\x80", (), deadline=DEADLINE)
    await received(pair, who)


@pytest.mark.holds("MANY-65")
async def test_only_what_runs_is_sent_and_only_a_newer_run_is_received(pair: Pair) -> None:
    who = await runs(pair)
    await pair.source.hypervisor.machines.pause(who, deadline=DEADLINE)
    arriving, landing = await received(pair, who)
    with pytest.raises(HypervisorError, match="does not run"):
        await sent(pair, who, landing)
    with pytest.raises(HypervisorError):
        await received(pair, who)
    await pair.target.hypervisor.mobility.release(arriving, deadline=DEADLINE)
    with pytest.raises(HypervisorError, match="not newer"):
        await received(pair, who)
