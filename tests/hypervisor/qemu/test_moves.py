"""What moves between hosts are made of: who is let in, where keys lie, and what is told meanwhile."""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
from base64 import b64decode
from fractions import Fraction
from math import factorial
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tests.patience import eventually
from tests.ports.links import Link
from tests.ports.pairs import opened
from tests.ports.subjects import DEADLINE, QemuSubject, machine, next_run, spec
from tests.ports.test_changes import disk, medium
from tests.ports.test_moves import is_back, moves, received, runs, sent
from tests.root import as_root
from velocity.hypervisor.port import (
    Bus,
    Copied,
    Fact,
    FactCause,
    FactReport,
    HypervisorError,
    Incarnation,
    Landing,
    MachineSpec,
    MovePhase,
    NatSpec,
    Unknown,
)
from velocity.hypervisor.qemu.event_interpreter import EventInterpreter
from velocity.hypervisor.qemu.layout import cold, placed
from velocity.hypervisor.qemu.monitor import SILENT_AFTER
from velocity.hypervisor.qemu.moves import network, secrecy
from velocity.hypervisor.qemu.moves.network import MovePorts
from velocity.hypervisor.qemu.moves.parameters import capabilities
from velocity.hypervisor.qemu.moves.undo import note, undo
from velocity.hypervisor.qemu.run_note import Between
from velocity.hypervisor.qemu.watched_run import WatchedRun
from velocity.storage.directory.places import file_name, host_places
from velocity.storage.port import variables

pytestmark = pytest.mark.anyio

KEY = secrecy.new_key()
WHO = machine()
SPEC = MachineSpec("a name", 1, 64, "pc-q35-7.2", "0")


@pytest.mark.holds("MANY-71")
async def test_only_who_has_the_key_is_let_in_and_strangers_hold_up_nobody() -> None:
    loop = asyncio.get_running_loop()
    ports = network.listen("127.0.0.1", range(40300, 40400))
    port = ports.memory.getsockname()[1]
    waiting = asyncio.create_task(network.greeted(ports.memory, KEY))
    silent, wrong = [await network.connect("127.0.0.1", port) for _ in range(2)]
    await loop.sock_sendall(wrong, network.greeting(secrecy.new_key()))
    async with asyncio.timeout(DEADLINE):
        assert await loop.sock_recv(wrong, 1) == b"", "it is sent away"
    ours = await network.connect("127.0.0.1", port)
    await loop.sock_sendall(ours, network.greeting(KEY)[:7])
    assert not waiting.done()
    await loop.sock_sendall(ours, network.greeting(KEY)[7:] + b"memory")
    async with asyncio.timeout(DEADLINE):
        found = await waiting
        assert await loop.sock_recv(found, 100) == b"memory", "nothing behind the greeting is lost"
    for one in (found, ours, wrong, silent):
        one.close()
    ports.close()


@pytest.mark.holds("MANY-250")
@pytest.mark.parametrize("address", ["127.0.0.1", ""])
async def test_ports_that_others_have_are_passed_over_and_their_lack_is_told(address: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        taken = other.getsockname()[1]
        ports = network.listen(address, range(taken, taken + 100))
        memory, disks = (one.getsockname()[1] for one in (ports.memory, ports.disks))
        assert taken < memory < disks
        with pytest.raises(HypervisorError, match=r"Address already in use.*move_ports"):
            network.listen(address, range(taken, taken + 1))
        assert not network.is_connected(memory)
        one = await network.connect("127.0.0.1", memory)
        assert network.is_connected(memory)
        one.close()
        ports.close()
        ports = network.listen(address, range(memory, memory + 100), {memory, disks})
        assert not {memory, disks} & {one.getsockname()[1] for one in (ports.memory, ports.disks)}, "they lead away"
        ports.close()
    with pytest.raises(HypervisorError, match="move_ports"):
        await network.connect("127.0.0.1", memory)


async def test_the_address_that_others_are_told() -> None:
    assert MovePorts("192.0.2.7").advertised() == "192.0.2.7"
    found = MovePorts().advertised()
    with socket.create_server((found, 0), family=socket.AF_INET6 if ":" in found else socket.AF_INET):
        pass  # it is one of this host's


@pytest.mark.holds("MANY-71")
def test_a_key_lies_where_its_machine_alone_reads_it_and_no_link_is_followed(tmp_path: Path) -> None:
    own, elsewhere = tmp_path / "own", tmp_path / "elsewhere"
    own.mkdir()
    elsewhere.mkdir()
    (elsewhere / secrecy.FILE).write_text("another's")
    uid = 40123 if os.geteuid() == 0 else os.getuid()
    directory = secrecy.put(own, uid, KEY)
    file = directory / secrecy.FILE
    assert file.read_text() == f"{secrecy.USER}:{KEY}\n"
    group = directory / secrecy.GROUP_FILE
    assert (group.stat().st_uid, group.stat().st_mode & 0o777) == (uid, 0o400)
    assert [(one.stat().st_uid, one.stat().st_mode & 0o777) for one in (directory, file)] == [
        (uid, 0o700),
        (uid, 0o400),
    ]
    (own / "key-planted").symlink_to(elsewhere)
    (own / "display0.sock").touch()
    secrecy.remove(own)
    assert sorted(one.name for one in own.iterdir()) == ["display0.sock", "key-planted"]
    assert (elsewhere / secrecy.FILE).read_text() == "another's"


@pytest.mark.holds("MANY-71")
def test_no_key_is_shown() -> None:
    assert KEY not in repr(Landing("192.0.2.1", 8100, 8101, KEY))


def test_a_layout_of_another_machine_is_refused() -> None:
    one = msgspec.structs.replace(SPEC, drives=(Bus.USB,))
    with pytest.raises(HypervisorError, match="its devices differ"):
        placed(cold(one), SPEC)


def observed() -> tuple[EventInterpreter, list[Fact]]:
    facts: list[Fact] = []

    def tell(fact: Fact, why: FactCause, detail: str) -> FactReport:
        facts.append(fact)
        return FactReport(WHO, fact, why, detail, len(facts))

    return EventInterpreter(tell), facts


def test_that_it_stands_still_to_be_handed_over_is_no_pause() -> None:
    one, facts = observed()
    one.leaving = True
    one.on_qmp_event("STOP", {})
    assert facts == []
    one.on_qmp_event("RESUME", {})
    assert facts == [Fact.RUNNING]
    one.on_qmp_event("GUEST_PANICKED", {"action": "pause"})
    one.on_qmp_event("STOP", {})
    assert facts == [Fact.RUNNING, Fact.PAUSED], "what the guest does is told as ever"
    one.on_qmp_event("MIGRATION", {"status": "completed"})
    assert facts[-1] is Fact.HANDED


def test_what_waits_for_its_guest_is_not_paused() -> None:
    one, facts = observed()
    one.arriving = True
    assert one.meaning("inmigrate")[0] is Fact.INCOMING
    assert one.meaning("paused")[0] is Fact.RECEIVED
    one.on_qmp_event("MIGRATION", {"status": "completed"})
    assert facts == [Fact.RECEIVED]
    one.arriving = False
    assert one.meaning("paused")[0] is Fact.PAUSED


@pytest.mark.guest
@pytest.mark.holds("MANY-71")
async def test_one_that_nobody_comes_for_ends_and_leaves_nothing(tmp_path: Path, runtime: Path) -> None:
    host = QemuSubject(tmp_path, runtime, idle=0.3)
    await host.open()
    who, mobility = machine(), host.hypervisor.mobility
    copied = [Copied(variables(who.machine), variables(who.machine))]
    with pytest.raises(HypervisorError, match="one of the disks to be copied"):
        await mobility.receive(who, spec(host.hypervisor), b"", copied, deadline=DEADLINE)
    assert list(host.root.iterdir()) == []
    who = machine()
    await mobility.receive(who, spec(host.hypervisor), b"", (), deadline=DEADLINE)
    assert (await host.hypervisor.machines.facts(who, deadline=DEADLINE)).fact is Fact.INCOMING
    await eventually(lambda: host.driver.watched.of(who.machine) is None)
    assert (await host.hypervisor.machines.facts(who, deadline=DEADLINE)).fact is Fact.ENDED
    assert list((host.options.data_dir / "machines").iterdir()) == []
    await mobility.release(who, deadline=DEADLINE)
    assert (await host.hypervisor.machines.facts(who, deadline=DEADLINE)).fact is Fact.ABSENT
    await host.close()


@pytest.mark.guest
@pytest.mark.holds("MANY-249")
@as_root("mounts")
async def test_a_move_to_a_host_whose_disk_becomes_full_says_so(tmp_path: Path, runtime: Path) -> None:
    async with opened("qemu", tmp_path, runtime) as pair:
        a, b = pair.source, pair.target
        assert isinstance(a, QemuSubject) and isinstance(b, QemuSubject)
        a.provide(medium(0))
        ours, theirs = (host_places(one.options.data_dir).kept(file_name(medium(0))) for one in (a, b))
        (tmp_path / "raw").write_bytes(os.urandom(1 << 20))
        subprocess.run(["qemu-img", "convert", "-O", "qcow2", tmp_path / "raw", ours], check=True)
        theirs.parent.mkdir(parents=True)
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=384k", "none", str(theirs.parent)], check=True)
        try:
            subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", theirs, "1M"], check=True)
            made = msgspec.structs.replace(spec(a.hypervisor), disks=(disk(0, Bus.BLOCK),))
            who, copied = machine(), [Copied(medium(0), medium(0))]
            await a.hypervisor.machines.start(who, made, deadline=DEADLINE)
            landing = await b.hypervisor.mobility.receive(next_run(who), made, b"", copied, deadline=DEADLINE)
            with pytest.raises(HypervisorError, match="No space left on device"):
                async for _ in a.hypervisor.mobility.send(who, landing, copied, deadline=DEADLINE):
                    pass
            assert (await a.hypervisor.machines.facts(who, deadline=DEADLINE)).fact is Fact.RUNNING
            await b.hypervisor.mobility.release(next_run(who), deadline=DEADLINE)
        finally:
            subprocess.run(["umount", "--lazy", str(theirs.parent)], check=True)


@pytest.mark.guest
@pytest.mark.holds("MANY-72")
async def test_a_disk_that_both_hosts_have_is_written_to_by_one_of_them(tmp_path: Path, runtime: Path) -> None:
    """It is not copied, and locked by whoever runs: so the source may go on as long as the target was not let run."""
    async with opened("qemu", tmp_path, runtime) as pair:
        a, b = pair.source, pair.target
        assert isinstance(a, QemuSubject) and isinstance(b, QemuSubject)
        a.provide(medium(0))
        ours, theirs = (host_places(one.options.data_dir).kept(file_name(medium(0))) for one in (a, b))
        theirs.parent.mkdir(parents=True)
        theirs.hardlink_to(ours)
        made = msgspec.structs.replace(spec(a.hypervisor), disks=(disk(0, Bus.BLOCK),))
        who = machine()
        await a.hypervisor.machines.start(who, made, deadline=DEADLINE)

        async def sent(by: Incarnation, arriving: Incarnation) -> None:
            landing = await b.hypervisor.mobility.receive(arriving, made, b"", (), deadline=DEADLINE)
            async for _ in a.hypervisor.mobility.send(by, landing, (), deadline=DEADLINE):
                pass

        await sent(who, next_run(who))
        await b.hypervisor.mobility.release(next_run(who), deadline=DEADLINE)
        back = next_run(who, 2)
        await a.hypervisor.mobility.back(back, deadline=DEADLINE)
        await sent(back, next_run(back))
        await b.hypervisor.mobility.take(next_run(back), b"", deadline=DEADLINE)
        with pytest.raises(HypervisorError, match="lock"):
            await a.hypervisor.mobility.back(next_run(back, 2), deadline=DEADLINE)
        assert (await b.hypervisor.machines.facts(next_run(back), deadline=DEADLINE)).fact is Fact.RUNNING


@pytest.mark.guest
@pytest.mark.holds("MANY-275")
async def test_a_guest_waits_for_connections_of_its_disks_but_not_for_copies(
    tmp_path: Path, runtime: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """QEMU, and so the guest, waits for each connection: behind a copy, on a slow network, for a second and more."""
    told: list[str] = []
    execute = WatchedRun.execute

    async def noted(self: WatchedRun, command: str, *, deadline: float, **arguments: Any) -> Any:
        told.append(command)
        return await execute(self, command, deadline=deadline, **arguments)

    async with opened("qemu", tmp_path, runtime) as pair:
        for number in range(2):
            pair.source.provide(medium(number))
            pair.target.provide(medium(number))
        a, b = pair.source.hypervisor, pair.target.hypervisor
        made = msgspec.structs.replace(spec(a), disks=(disk(0, Bus.BLOCK), disk(1, Bus.VIRTIO)))
        who, copied = machine(), [Copied(one.media, one.media) for one in made.disks]
        await a.machines.start(who, made, deadline=DEADLINE)
        landing = await b.mobility.receive(next_run(who), made, b"", copied, deadline=DEADLINE)
        monkeypatch.setattr(WatchedRun, "execute", noted)
        async for _ in a.mobility.send(who, landing, copied, deadline=DEADLINE):
            pass
        steps = [one for one in told if one in ("blockdev-add", "blockdev-mirror")]
        assert steps == ["blockdev-add"] * 3 + ["blockdev-mirror"] * 3, "of the variables and of both disks"
        await b.mobility.take(next_run(who), b"", deadline=DEADLINE)


@pytest.mark.guest
@pytest.mark.holds("GUEST-103")
@pytest.mark.parametrize("hardware", ["4", "5"])
async def test_what_was_added_while_it_ran_comes_along_in_ports_and_on_a_bridge(
    tmp_path: Path, runtime: Path, hardware: str
) -> None:
    async with opened("qemu", tmp_path, runtime) as pair:
        for number in range(3):
            pair.source.provide(medium(number))
            pair.target.provide(medium(number))
        a, b = pair.source.hypervisor, pair.target.hypervisor
        nics = (NatSpec(1, "52:54:00:00:00:01"), NatSpec(2, "52:54:00:00:00:02"))
        begun = msgspec.structs.replace(spec(a), hardware=hardware, disks=(disk(0, Bus.BLOCK),), nics=nics[:1])
        who = machine()
        await a.machines.start(who, begun, deadline=DEADLINE)
        disks = (*begun.disks, disk(1, Bus.VIRTIO), disk(2, Bus.BLOCK))
        wanted = msgspec.structs.replace(begun, disks=disks, nics=nics)
        altered = await a.machines.alter(who, wanted, deadline=DEADLINE)
        assert (altered.spec, altered.waits) == (wanted, ())
        copied = [Copied(one.media, one.media) for one in disks]
        places = await a.mobility.places(who, deadline=DEADLINE)
        landing = await b.mobility.receive(next_run(who), wanted, places, copied, deadline=DEADLINE)
        async for _ in a.mobility.send(who, landing, copied, deadline=DEADLINE):
            pass
        await b.mobility.take(next_run(who), b"", deadline=DEADLINE)
        assert await b.mobility.places(next_run(who), deadline=DEADLINE) == places
        altered = await b.machines.alter(next_run(who), wanted, deadline=DEADLINE)
        assert (altered.spec, altered.waits) == (wanted, ())


@pytest.mark.guest
@pytest.mark.holds("MANY-284")
async def test_a_guest_goes_on_although_its_qemu_waits_for_the_target_with_all_that_it_does(qemu: QemuSubject) -> None:
    """As it sends the rest of the guest, its main loop, and so the monitor, waits for whoever takes that."""
    who = machine()
    await qemu.driver.machines.start(who, spec(qemu.driver), deadline=DEADLINE)
    place, entry = qemu.driver.watched.place, qemu.driver.watched.running(who)
    ours, theirs = socket.socketpair()
    ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1)  # the least: what the guest has is more
    theirs.setblocking(False)
    told: list[object] = []
    entry.qemu.observed.leaving, entry.qemu.heard = True, lambda name, data: told.append(data.get("status"))

    async def read() -> None:
        while await asyncio.get_running_loop().sock_recv(theirs, 1 << 16):
            pass

    async def execute(command: str, deadline: float = DEADLINE, **arguments: Any) -> Any:
        return await entry.qemu.execute(command, deadline=deadline, **arguments)

    async def answers() -> bool:
        try:
            await execute("query-status", deadline=SILENT_AFTER)
        except Unknown:
            return False
        return True

    with ours, theirs:
        await note(place, entry, Between.SENDING)
        await execute("migrate-set-capabilities", capabilities=capabilities())
        await entry.qemu.give(ours.fileno(), "move-memory", deadline=DEADLINE)
        await execute("migrate", uri="fd:move-memory")
        reading = asyncio.create_task(read())
        await eventually(lambda: "pre-switchover" in told)
        reading.cancel()
        await note(place, entry, Between.HANDED)
        await execute("migrate-continue", state="pre-switchover")
        async with asyncio.timeout(DEADLINE):
            while await answers():
                pass
            assert not await undo(place, entry, [ours]), "it was not handed over"
    assert (await qemu.driver.machines.facts(who, deadline=DEADLINE)).fact is Fact.RUNNING


@pytest.mark.guest
@pytest.mark.holds("MANY-284")
@pytest.mark.parametrize("phase", [MovePhase.DISKS, MovePhase.MEMORY])
async def test_a_move_that_is_given_up_is_broken_off_whatever_qemu_does(
    phase: MovePhase, tmp_path: Path, runtime: Path
) -> None:
    async with opened("qemu", tmp_path, runtime) as pair:
        who = await runs(pair)
        arriving, landing = await received(pair, who)
        link = pair.link
        assert isinstance(link, Link)
        link.stall_in(phase)
        sending = asyncio.create_task(sent(pair, who, landing))
        await link.stalled()
        pair.source.hang(who)
        sending.cancel()
        link.go_on()
        await eventually(lambda: link.is_idle)
        pair.source.wake(who)
        await asyncio.wait({sending})
        await is_back(pair, who, arriving)
        await moves(pair, who, arriving)


@pytest.mark.holds("MANY-262")
def test_the_group_of_the_key_exchange_is_one_that_everybody_knows(tmp_path: Path) -> None:
    """ffdhe2048, of RFC 7919, A.1; QEMU would compute one for each move."""
    text = (secrecy.put(tmp_path, os.getuid(), KEY) / secrecy.GROUP_FILE).read_text()
    numbers = b64decode("".join(text.splitlines()[1:-1]))
    e = sum(Fraction(1, factorial(number)) for number in range(400))
    prime = 2**2048 - 2**1984 + (int(e * 2**1918) + 560316) * 2**64 - 1
    assert numbers.endswith(prime.to_bytes(256) + b"\x02\x01\x02"), "the prime, and the generator 2"
