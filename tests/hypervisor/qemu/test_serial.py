"""The serial console and QEMU's own words: capped files, the log behind them, and streams that read them."""

from __future__ import annotations

import asyncio
import itertools
import os
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.patience import PATIENCE
from velocity.hypervisor.port import HypervisorError
from velocity.hypervisor.qemu import qemu_log
from velocity.hypervisor.qemu.qemu_log import QemuLog
from velocity.hypervisor.qemu.serial import LOST, SerialHub
from velocity.hypervisor.qemu.serial_input import INPUT
from velocity.hypervisor.qemu.seriallog import LOG_LIMIT, SerialLog, copy
from velocity.hypervisor.qemu.spool import CAP, SpooledConsole, SpoolRange, SpoolReader, bounds, create

pytestmark = pytest.mark.anyio

RUN = 7


class Guest:
    """Stands for QEMU: writes to the file that it was given last, and takes another one as it takes commands."""

    def __init__(self, directory: Path, limits: SpoolRange) -> None:
        self.out = create(directory / "serial.0", limits)
        self.deaf = False
        self.lost = 0
        self._sets: dict[int, list[int]] = {}
        self._numbers = itertools.count(1)
        self._turn = threading.Lock()

    def say(self, data: bytes) -> None:
        with self._turn:
            for at in range(0, len(data), 4000):
                try:
                    os.write(self.out, data[at : at + 4000])
                except OSError:
                    self.lost += len(data[at : at + 4000])

    async def lend(self, descriptor: int, name: str, *, deadline: float, fdset: int | None = None) -> int:
        number = next(self._numbers) if fdset is None else fdset
        self._sets.setdefault(number, []).append(os.dup(descriptor))
        return number

    async def execute(self, command: str, *, deadline: float, **arguments: Any) -> Any:
        if self.deaf:
            raise HypervisorError("it does not listen")
        match command:
            case "query-fdsets":
                return [{"fdset-id": number, "fds": [{"opaque": "serial"}]} for number in self._sets]
            case "chardev-change":
                place = arguments["backend"]["data"]["out"]
                with self._turn:
                    os.close(self.out)
                    self.out = os.dup(self._sets[int(place.rsplit("/", 1)[1])][0])
            case "remove-fd":
                for descriptor in self._sets.pop(arguments["fdset-id"]):
                    os.close(descriptor)
        return None

    def close(self) -> None:
        os.close(self.out)
        for descriptors in self._sets.values():
            for descriptor in descriptors:
                os.close(descriptor)


@pytest.fixture
def run(tmp_path: Path) -> Path:
    directory = tmp_path / "run"
    directory.mkdir()
    (tmp_path / "machine").mkdir()
    os.mkfifo(directory / INPUT)
    return directory


@pytest.fixture
def limits(run: Path) -> SpoolRange:
    return bounds(run)


@pytest.fixture
def guest(run: Path, limits: SpoolRange) -> Iterator[Guest]:
    made = Guest(run, limits)
    yield made
    made.close()


@pytest.fixture
def kept(tmp_path: Path) -> SerialLog:
    return SerialLog(tmp_path / "machine")


def hub(run: Path, limits: SpoolRange, kept: SerialLog, guest: Guest) -> SerialHub:
    return SerialHub(run, limits, RUN, kept, guest)


def lines(first: int, last: int) -> bytes:
    return b"".join(b"%07d\r\n" % number for number in range(first, last))


async def come(server: SerialHub, until: bytes) -> bytes:
    """All of a new stream up to the mark."""
    stream = await server.open()
    said = b""
    while not said.endswith(until):
        said += await asyncio.wait_for(stream.read(), 30)
    await stream.close()
    return said


async def hear(server: SerialHub) -> None:
    """What it does some time after it has heard of something: a turn for the next file, one to see it."""
    server.heard()
    for _ in range(2):
        await server.keep()


@pytest.fixture
def disk() -> Iterator[Path]:
    """A directory on a disk: in memory, a file that was full to its last byte is not written to again."""
    with tempfile.TemporaryDirectory(dir="/var/tmp") as directory:
        yield Path(directory)


@pytest.mark.holds("BOUND-1")
def test_a_capped_file_takes_what_it_may_and_no_byte_more(disk: Path) -> None:
    limits = bounds(disk)
    assert CAP <= limits.room < CAP + (2 << 20)
    small = SpoolRange(limits.begin + limits.room - (1 << 16), 1 << 16)
    writer = create(disk / "out", small)
    reader = SpoolReader(disk / "out", small)
    for _ in range(16):
        assert os.write(writer, b"x" * 4096) == 4096
    with pytest.raises(OSError, match=r"large|Invalid"):
        os.write(writer, b"y")
    assert (reader.size, reader.read(65535, 10)) == (1 << 16, b"x")
    assert small.full(reader.size)
    assert (disk / "out").stat().st_blocks * 512 <= 1 << 17, "it takes no more of the disk than was written"
    reader.truncate()
    assert os.write(writer, b"again") == 5
    assert reader.read(0, 10) == b"again"
    reader.remove()
    os.close(writer)


def test_a_full_file_is_read_to_its_end_in_memory_too() -> None:
    """As /run is: there it ends at the largest number that a position in a file can be."""
    with tempfile.TemporaryDirectory(dir="/dev/shm") as directory:
        limits = bounds(Path(directory))
        small = SpoolRange(limits.begin + limits.room - 4096, 4096)
        writer, reader = create(Path(directory) / "out", small), SpoolReader(Path(directory) / "out", small)
        assert os.write(writer, b"x" * 4096) == 4096
        with pytest.raises(OSError, match=r"large|Invalid"):
            os.write(writer, b"y")
        assert reader.read(4000, 1 << 20) == b"x" * 96
        reader.remove()
        os.close(writer)


async def test_nothing_is_lost_or_doubled_over_a_server_that_stands_still_and_one_that_is_killed(
    run: Path, limits: SpoolRange, guest: Guest, kept: SerialLog
) -> None:
    """5 MB of numbered lines: to a server, to one that does nothing meanwhile, to none, and to the next one."""
    first = hub(run, limits, kept, guest)
    await first.connect()
    stream = await first.open()
    guest.say(lines(0, 150_000))
    await hear(first)
    guest.say(lines(150_000, 400_000))  # over 2 MiB at once: it had no turn meanwhile
    await hear(first)
    said = b""
    while not said.endswith(b"0399999\r\n"):
        said += await asyncio.wait_for(stream.read(), 30)
    assert said == lines(0, 400_000)
    guest.say(lines(400_000, 410_000))
    await first._follower.close()  # type: ignore[union-attr] # killed: it puts nothing in order
    guest.say(lines(410_000, 550_000))

    second = hub(run, limits, kept, guest)
    await second.connect()
    replay = asyncio.create_task(come(second, b"0559999\r\n"))
    await asyncio.sleep(0)
    guest.say(lines(550_000, 560_000))
    await hear(second)
    whole = lines(0, 560_000)
    assert whole.endswith(await replay), "a stream begins with the last of it, and goes on"
    await second.close()
    await first.close()
    assert guest.lost == 0
    log = kept.last(LOG_LIMIT)
    assert len(log) == LOG_LIMIT
    assert whole.endswith(log)
    used = sum(file.stat().st_size for file in run.parent.joinpath("machine").iterdir())
    assert used <= 2 * LOG_LIMIT
    assert sum(file.stat().st_blocks * 512 for file in run.iterdir()) < 3 * LOG_LIMIT, "what was read has gone"


@pytest.mark.holds("BOUND-3")
async def test_what_goes_beyond_the_cap_while_no_server_runs_is_said_to_be_lost(
    run: Path, limits: SpoolRange, kept: SerialLog
) -> None:
    small = SpoolRange(limits.begin + limits.room - (2 << 20), 2 << 20)
    guest = Guest(run, small)
    guest.say(lines(0, 300_000))
    assert guest.lost > 0
    server = hub(run, small, kept, guest)
    await server.connect()
    await hear(server)
    guest.say(b"and on\n")
    assert (await come(server, b"and on\n")).endswith(LOST + b"and on\n")
    await server.flush()
    assert kept.last(1 << 16).endswith(LOST + b"and on\n")
    await server.close()
    guest.close()


async def test_a_server_that_cannot_give_the_next_file_tries_again(
    run: Path, limits: SpoolRange, guest: Guest, kept: SerialLog
) -> None:
    server = hub(run, limits, kept, guest)
    await server.connect()
    guest.deaf = True
    guest.say(lines(0, 150_000))
    for _ in range(3):
        with pytest.raises(HypervisorError):
            await server.keep()
    assert sorted(file.name for file in run.glob("serial.[0-9]*")) == ["serial.0"]
    guest.deaf = False
    await hear(server)
    guest.say(lines(150_000, 150_010))
    assert (await come(server, b"0150009\r\n")).endswith(lines(140_000, 150_010)[-(64 << 10) :])
    await server.flush()
    assert lines(0, 150_010).endswith(kept.last(LOG_LIMIT))
    await server.close()


async def test_who_reads_slowly_is_told_what_is_missing(
    run: Path, limits: SpoolRange, guest: Guest, kept: SerialLog
) -> None:
    server = hub(run, limits, kept, guest)
    await server.connect()
    slow = await server.open()
    for turn in range(11):
        guest.say(lines(turn * 120_000, (turn + 1) * 120_000))
        await hear(server)
    said = b"".join([await slow.read() for _ in range(20)])
    assert b"read too slowly" in said
    assert len(list(run.glob("serial.*"))) <= 11
    await server.close()


@pytest.mark.holds("CONSOLE-10")
async def test_what_a_console_begins_with_asks_a_terminal_nothing(
    run: Path, limits: SpoolRange, guest: Guest, kept: SerialLog
) -> None:
    server = hub(run, limits, kept, guest)
    await server.connect()
    guest.say(b"before\x1b[6n\x1b]11;?\x07after")
    assert await come(server, b"after") == b"beforeafter", "nobody waits for the answers any more"
    live = await server.open()
    assert await live.read() == b"beforeafter"
    guest.say(b"\x1b[6n")
    server.heard()
    assert await live.read() == b"\x1b[6n", "what is asked now is for the terminal"
    await server.close()


async def test_what_is_typed_waits_for_the_guest(run: Path, limits: SpoolRange, guest: Guest, kept: SerialLog) -> None:
    ours = os.open(run / INPUT, os.O_RDWR | os.O_NONBLOCK)
    server = hub(run, limits, kept, guest)
    await server.connect()
    stream = await server.open()
    typing = asyncio.create_task(stream.write(b"x" * (1 << 20)))
    came = 0
    async with asyncio.timeout(PATIENCE):
        while came < 1 << 20:
            await asyncio.sleep(0)
            try:
                came += len(os.read(ours, 1 << 16))
            except BlockingIOError:
                assert not typing.done()
    await typing
    await server.close()
    os.close(ours)


def test_the_log_begins_each_run_with_a_line_and_ends_with_what_an_earlier_version_kept(tmp_path: Path) -> None:
    log = SerialLog(tmp_path)
    assert log.last(100) == b""
    (tmp_path / "serial.log.1").write_bytes(b"oldest ")
    (tmp_path / "serial.log").write_bytes(b"old")
    log.append(7, (0, 0), b"one")
    log.append(7, (0, 3), b" and two")
    log.append(9, (0, 0), b"three")
    assert log.last(100) == b"oldest old\n--- run 7\none and two\n--- run 9\nthree"
    assert log.last(3) == b"ree"
    assert log.last(12) == b" run 9\nthree"
    assert (log.place(7), log.place(8), log.place(9)) == ((0, 11), (0, 0), (0, 5))
    log.append(9, (0, 5), b"x" * LOG_LIMIT)
    log.append(9, (1, 0), b"y" * (LOG_LIMIT - 2))
    assert log.last(LOG_LIMIT) == b"xx" + b"y" * (LOG_LIMIT - 2)
    assert [file.name for file in sorted(tmp_path.iterdir())] == ["serial.9.0.0.log", "serial.9.1.0.log"]
    assert {file.stat().st_mode & 0o777 for file in tmp_path.iterdir()} == {0o600}


def test_the_log_goes_on_where_a_write_broke_off(tmp_path: Path, limits: SpoolRange, run: Path) -> None:
    out = create(run / "serial.0", limits)
    os.write(out, b"0123456789")
    log, spool = SerialLog(tmp_path), SpooledConsole(run, limits)
    log.append(RUN, (0, 0), b"0123")
    assert copy(log, RUN, spool) == (0, 10)
    assert copy(log, RUN, spool) == (0, 10)
    assert log.last(100) == b"\n--- run 7\n0123456789"
    os.close(out)
    spool.close()


@pytest.mark.holds("BOUND-4")
def test_the_words_of_qemu_are_kept_once_and_within_bounds(tmp_path: Path, run: Path, limits: SpoolRange) -> None:
    log, out = tmp_path / "qemu.log", create(run / qemu_log.NAME, limits)
    qemu_log.begin(log, RUN)
    first = QemuLog(run, limits, RUN, log)
    os.write(out, b"warning: one\n")
    first.copy()
    os.write(out, b"warning: two\n")
    second = QemuLog(run, limits, RUN, log)  # the first one's server was killed
    second.copy()
    second.copy()
    assert qemu_log.said(log, 4096) == b"warning: one\nwarning: two\n"
    for _ in range(5):
        os.write(out, b"a guest makes it say this\n" * 80_000)
        second.copy()
    os.write(out, b"the last one\n")
    second.copy()
    assert qemu_log.said(log, 4096).endswith(b"the last one\n")
    assert sum(file.stat().st_size for file in tmp_path.glob("qemu.log*")) <= 4 << 20
    assert (run / qemu_log.NAME).stat().st_blocks * 512 < 4 << 20, "it has gone from there"
    for one in (first, second):
        one.close()
    os.close(out)
