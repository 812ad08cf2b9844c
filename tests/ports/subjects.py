"""What the suite of the port is run on: the fake, the fake on a node, and QEMU, each with the same handles."""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import functools
import os
import shutil
import signal
import socket
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Protocol
from uuid import uuid4

import msgspec

from tests.node.served import Served
from tests.patience import BOOT, PATIENCE, at_last, eventually
from tests.processes import state
from velocity.config import Settings
from velocity.hypervisor.fake import FakeHypervisor
from velocity.hypervisor.port import (
    ByteStream,
    DisplaySpec,
    Fact,
    FactCause,
    FactReport,
    HostId,
    Hypervisor,
    Incarnation,
    MachineSpec,
    NatSpec,
    Stop,
)
from velocity.hypervisor.qemu.driver import QemuHypervisor
from velocity.hypervisor.qemu.moves.network import MovePorts
from velocity.hypervisor.qemu.options import Options, options
from velocity.hypervisor.qemu.serial_input import HOLDS, INPUT
from velocity.node import remote
from velocity.storage.declared import pool_at
from velocity.storage.directory.places import file_name, host_places
from velocity.storage.directory.pool import PoolDirectories
from velocity.storage.directory.storage import DirectoryFiles
from velocity.storage.fake import connect
from velocity.storage.fake.pools import FakeHost
from velocity.storage.port import MediaRef, Storage

HOST = HostId(1)
DEADLINE = PATIENCE
"""Seconds that a call gets here, on however slow a host."""


class NoMedia(DirectoryFiles):
    """The host's own pool, and no other."""

    def __init__(self, data_dir: Path) -> None:
        super().__init__(PoolDirectories([pool_at(host_places(data_dir))]))


def machine(epoch: int = 1) -> Incarnation:
    return Incarnation(uuid4(), HOST, epoch)


async def until(serial: ByteStream, words: bytes) -> None:
    """Wait until a guest says that."""
    said = b""
    while words not in said:
        said += (came := await asyncio.wait_for(serial.read(), BOOT))
        assert came, said


def next_run(who: Incarnation, by: int = 1) -> Incarnation:
    return msgspec.structs.replace(who, epoch=who.epoch + by)


def spec(hypervisor: Hypervisor, *, held: bool = False, displays: int = 1) -> MachineSpec:
    about = hypervisor.hosts.about(HOST)
    screens = tuple(DisplaySpec(f"screen {number}", 800, 600) for number in range(displays))
    newest = about.hardware[-1].name
    return MachineSpec(
        "a name", 1, 64, about.machine_type, about.firmware, displays=screens, held=held, hardware=newest
    )


class Subject(Protocol):
    """One host. `hypervisor` is the driver that watches it now."""

    hypervisor: Hypervisor

    async def restart(self, meanwhile: Callable[[], object] = lambda: None) -> None:
        """The server ends, something happens, and the next server comes."""

    def kill(self, who: Incarnation) -> None:
        """Its process ends by itself."""

    def hang(self, who: Incarnation) -> None: ...

    def wake(self, who: Incarnation) -> None: ...

    def hold_starts(self) -> None:
        """From here on no start comes to its end."""

    def provide(self, ref: MediaRef) -> None:
        """Have the bytes of a disk there."""

    def provide_beside(self, ref: MediaRef) -> None:
        """Have an empty disk there that waits out of sight."""

    def settle(self, ref: MediaRef) -> None:
        """What waits out of sight takes its place."""

    def cling(self) -> None:
        """Guests let go of nothing, as those do that have not booted."""

    def deafen(self, who: Incarnation) -> None:
        """Its guest does not read what is typed, as one that has not booted."""

    def unread(self, who: Incarnation) -> bytes:
        """What was typed and its guest has not read, which it does not read any more then."""

    async def left_of_moves(self, who: Incarnation) -> list[str]:
        """What moves to other hosts have left in it."""

    def taken(self, port: int) -> contextlib.AbstractContextManager[object]:
        """A process of the host has that port meanwhile."""

    def leads(self, port: int) -> bool:
        """Whether a port of the host, at 127.0.0.1, leads to a machine."""

    async def close(self) -> None: ...


class FakeSubject:
    def __init__(self) -> None:
        self.fake = FakeHypervisor()
        self.hypervisor: Hypervisor = self.fake
        self._watched = True

    async def open(self) -> None:
        pass

    async def restart(self, meanwhile: Callable[[], object] = lambda: None) -> None:
        await self.hypervisor.machines.close()
        self._watched = False
        meanwhile()
        self._watched = True

    def kill(self, who: Incarnation) -> None:
        self.fake.play(who.machine, Fact.ENDED, FactCause.KILLED, seen=self._watched)

    def hang(self, who: Incarnation) -> None:
        self.fake.faults.hang(who.machine)

    def wake(self, who: Incarnation) -> None:
        self.fake.faults.wake(who.machine)

    def hold_starts(self) -> None:
        self.fake.faults.hold = asyncio.Event()

    def provide(self, ref: MediaRef) -> None:
        """Nothing has bytes here."""

    def provide_beside(self, ref: MediaRef) -> None:
        """Nothing has bytes here."""

    def settle(self, ref: MediaRef) -> None:
        """Nothing has bytes here."""

    def cling(self) -> None:
        for run in self.fake.runs.values():
            run.devices.lets_go = False

    def deafen(self, who: Incarnation) -> None:
        self.fake.runs[who.machine].reads = False

    def unread(self, who: Incarnation) -> bytes:
        return bytes(self.fake.runs[who.machine].unread)

    async def left_of_moves(self, who: Incarnation) -> list[str]:
        return []

    @contextlib.contextmanager
    def taken(self, port: int) -> Iterator[object]:
        self.fake.state.taken_ports.add(port)
        yield None
        self.fake.state.taken_ports.clear()

    def leads(self, port: int) -> bool:
        nics = [nic for run in self.fake.runs.values() for nic in run.spec.nics if isinstance(nic, NatSpec)]
        return any(one.host_port == port for nic in nics for one in nic.forwards)

    async def close(self) -> None:
        await self.hypervisor.machines.close()


class RemoteSubject(FakeSubject):
    """The fake, served by a node; the server of the suite is a controller."""

    def __init__(self, notes: Path) -> None:
        super().__init__()
        self._notes = notes

    async def open(self) -> None:
        self._served = Served(self.fake, no_storage, self._notes)
        await self._served.open()
        self._connection = self._served.connect()
        self.hypervisor = remote.hypervisor(self._connection, self.fake.hosts.about(HOST))

    async def restart(self, meanwhile: Callable[[], object] = lambda: None) -> None:
        await self.close()
        await super().restart(meanwhile)
        await self.open()

    async def close(self) -> None:
        await self._connection.close()
        await self._served.close()


def no_storage() -> Storage:
    return connect(FakeHost())


@functools.cache
def prepared() -> Path:
    """What all QEMU subjects share: the program, and what was once learnt of it, which takes its time.

    Machines have a uid of their own, which may look into no directory of pytest's.
    """
    place = Path(tempfile.mkdtemp(prefix="vel-"))
    atexit.register(shutil.rmtree, place)
    place.chmod(0o711)
    program = place / "qemu"
    program.write_text(f'#!/bin/sh\n[ -e "{place}/held" ] && exec sleep 1000\nexec qemu-system-x86_64 "$@"\n')
    program.chmod(0o755)
    return place


def qemu_options(data: Path, runtime: Path, program: str, uid_base: int = 40000, idle: float = 60.0) -> Options:
    made = options(Settings(data_dir=data, runtime_dir=str(runtime), accelerator="tcg", uid_base=uid_base))
    return replace(made, binary=program, moves=MovePorts("127.0.0.1", range(40100, 40200), idle))


class QemuSubject:
    """QEMU itself, by a program that can be held before it becomes QEMU."""

    def __init__(self, data: Path, runtime: Path, uid_base: int = 40000, idle: float = 60.0) -> None:
        self.options = qemu_options(data, runtime, str(prepared() / "qemu"), uid_base, idle)
        self._pids: dict[Incarnation, int] = {}
        for learnt in (prepared() / "learnt").glob("*"):
            shutil.copytree(learnt, data / learnt.name)

    async def open(self) -> None:
        self.driver = QemuHypervisor(self.options, NoMedia(self.options.data_dir))
        await self.driver.prepare()
        self.hypervisor: Hypervisor = self.driver
        if not (prepared() / "learnt").exists():
            for name in ("cache", "firmware"):
                shutil.copytree(self.options.data_dir / name, prepared() / "learnt" / name)

    async def restart(self, meanwhile: Callable[[], object] = lambda: None) -> None:
        await self.driver.machines.close()
        meanwhile()
        await self.open()

    @property
    def root(self) -> Path:
        return self.options.runtime_dir / self.options.instance

    def note(self, who: Incarnation) -> Path:
        return self.root / str(who.machine) / "run.json"

    def pid(self, who: Incarnation) -> int:
        if who not in self._pids:
            self._pids[who] = msgspec.json.decode(self.note(who).read_bytes())["pid"]
        return self._pids[who]

    def kill(self, who: Incarnation) -> None:
        os.kill(self.pid(who), signal.SIGKILL)

    def hang(self, who: Incarnation) -> None:
        os.kill(self.pid(who), signal.SIGSTOP)
        at_last(lambda: state(self.pid(who)) == "T", "that it stands still")

    def wake(self, who: Incarnation) -> None:
        os.kill(self.pid(who), signal.SIGCONT)

    def hold_starts(self) -> None:
        (prepared() / "held").touch()

    def cling(self) -> None:
        """They have not booted."""

    def deafen(self, who: Incarnation) -> None:
        """They have not booted."""

    def unread(self, who: Incarnation) -> bytes:
        typed = os.open(self.root / str(who.machine) / INPUT, os.O_RDONLY | os.O_NONBLOCK)
        try:
            return os.read(typed, HOLDS)
        finally:
            os.close(typed)

    async def left_of_moves(self, who: Incarnation) -> list[str]:
        qemu = self.driver.watched.running(who).qemu

        async def ask(command: str, **arguments: object) -> list[dict[str, str]]:
            answer: list[dict[str, str]] = await qemu.execute(command, deadline=DEADLINE, **arguments)
            return answer

        keys = [one.name for one in (self.root / str(who.machine) / "own").glob("key-*")]
        nodes = [one["node-name"] for one in await ask("query-named-block-nodes", flat=True)]
        jobs = [one["id"] for one in await ask("query-jobs")]
        objects = [one["name"] for one in await ask("qom-list", path="/objects")]
        yank = [one["type"] for one in await ask("query-yank") if one["type"] != "chardev"]
        return [*keys, *jobs, *yank, *(one for one in (*nodes, *objects) if one.startswith("move"))]

    def taken(self, port: int) -> contextlib.AbstractContextManager[object]:
        return socket.create_server(("127.0.0.1", port))

    def leads(self, port: int) -> bool:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=DEADLINE).close()
        except ConnectionRefusedError:
            return False
        return True

    def provide(self, ref: MediaRef) -> None:
        with tempfile.TemporaryFile() as blank:
            subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", f"/proc/self/fd/{blank.fileno()}", "1M"],
                           check=True, pass_fds=(blank.fileno(),))  # fmt: skip
            self.driver.watched.place.media.provide(ref, blank.fileno())

    def provide_beside(self, ref: MediaRef) -> None:
        places = host_places(self.options.data_dir)
        places.moving.mkdir(exist_ok=True)
        draft = places.moving / file_name(ref)
        subprocess.run(["qemu-img", "create", "-q", "-f", ref.format, str(draft), "1M"], check=True)

    def settle(self, ref: MediaRef) -> None:
        places = host_places(self.options.data_dir)
        (places.moving / file_name(ref)).rename(places.kept(file_name(ref)))

    async def close(self) -> None:
        """Ends what runs, and looks that nothing is left."""
        (prepared() / "held").unlink(missing_ok=True)
        listing = await self.driver.machines.adopt(HOST, deadline=DEADLINE)
        for found in listing.found:
            await self.driver.machines.stop(found.who, Stop.NOW, deadline=DEADLINE)
            await self.driver.machines.acknowledge(found.who, deadline=DEADLINE)
        await self.driver.machines.close()
        assert list(self.root.glob("*")) == []


class Listener:
    """The reader of a host's news."""

    def __init__(self, hypervisor: Hypervisor) -> None:
        self.heard: list[FactReport] = []
        self._hypervisor = hypervisor
        self._task = asyncio.create_task(self._listen())

    async def _listen(self) -> None:
        async for news in self._hypervisor.machines.news(HOST):
            self.heard.append(news)

    async def up_to(self, number: int) -> None:
        await eventually(lambda: bool(self.heard) and self.heard[-1].number >= number)

    def last(self, who: Incarnation, number: int | None = None) -> FactReport | None:
        """What was told last of that run, up to a number."""
        of = [one for one in self.heard if one.who == who and (number is None or one.number <= number)]
        return of[-1] if of else None

    async def hears(self, who: Incarnation, fact: Fact) -> FactReport:
        """Wait for it to be the last that is known of that run."""

        def known() -> bool:
            last = self.last(who)
            return last is not None and last.fact is fact

        await eventually(known)
        last = self.last(who)
        assert last is not None
        return last

    async def end(self) -> None:
        """Returns when there will be no more news. Raises why."""
        await asyncio.wait_for(asyncio.shield(self._task), DEADLINE)

    async def close(self) -> None:
        self._task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._task
