"""Another size of a display, asked for by RFB of what may be QEMU or pose as it."""

from __future__ import annotations

import asyncio
import contextlib
import select
import socket
import struct
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from velocity.hypervisor.qemu import rfb

pytestmark = pytest.mark.anyio

Answers = Callable[[bytes], bytes]
"""What is said to a request for a size."""


def told(width: int, height: int, encoding: int = rfb.SIZES) -> bytes:
    screen = struct.pack(">IHHHHI", 0, 0, 0, width, height, 0)
    return struct.pack(">BxHHHHHiBxxx", 0, 1, 1, 4, width, height, encoding, 1) + screen


def greeting(name: bytes = b"QEMU", version: bytes = rfb.VERSION) -> bytes:
    return version + b"\1\1" + bytes(4) + struct.pack(">HH16xI", 800, 600, len(name)) + name


@asynccontextmanager
async def display(
    path: Path, greets: bytes, answers: Answers
) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter, list[bytes]]]:
    """A connection to a display, and what it is asked for."""
    asked: list[bytes] = []
    over = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(greets)
        with contextlib.suppress(EOFError, ConnectionError):
            await reader.readexactly(len(rfb.VERSION) + 2 + 8)
            while message := await reader.read(24):
                asked.append(message)
                writer.write(answers(message))
        writer.close()
        over.set()

    server = await asyncio.start_unix_server(serve, path)
    reader, writer = await asyncio.open_unix_connection(path)
    try:
        yield reader, writer, asked
    finally:
        writer.close()
        await over.wait()
        server.close()


@pytest.mark.holds("GUEST-81")
async def test_a_guest_is_asked_and_has_followed_when_its_display_says_so(tmp_path: Path) -> None:
    def answers(message: bytes) -> bytes:
        return told(800, 600) + told(*struct.unpack(">HH", message[2:6]))

    async with asyncio.timeout(30), display(tmp_path / "d", greeting(), answers) as (reader, writer, asked):
        await rfb.change_size(reader, writer, 1920, 1080)
        (message,) = asked
        assert message == bytes.fromhex("fb00 0780 0438 0100 00000000 0000 0000 0780 0438 00000000")


async def test_one_that_has_the_size_is_not_asked(tmp_path: Path) -> None:
    async with asyncio.timeout(30), display(tmp_path / "d", greeting(), lambda _: b"") as (reader, writer, asked):
        await rfb.change_size(reader, writer, 800, 600)
    assert asked == []


@pytest.mark.holds("GUEST-80")
async def test_a_display_has_heard_of_the_former_size_when_it_is_hung_up(tmp_path: Path) -> None:
    """As QEMU does, this one looks first whether its client is gone, and reads nothing then."""

    def serve() -> bytes:
        ours, _ = listener.accept()
        with ours:
            poll = select.poll()
            poll.register(ours, select.POLLRDHUP)
            ((_, seen),) = poll.poll(30_000)
            return b"" if seen & select.POLLHUP else ours.recv(24)

    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "d"))
        listener.listen()
        heard = asyncio.create_task(asyncio.to_thread(serve))
        async with asyncio.timeout(30):
            reader, writer = await asyncio.open_unix_connection(tmp_path / "d")
            await rfb.restore_size(reader, writer, 1024, 768)
            writer.close()
            assert struct.unpack(">xxHH", (await heard)[:6]) == (1024, 768)


@pytest.mark.holds("GUEST-81")
@pytest.mark.parametrize(
    ("greets", "answer"),
    [
        (greeting(version=b"RFB 003.003\n"), b""),
        (rfb.VERSION + b"\1\2", b""),
        (rfb.VERSION + b"\1\1" + b"\0\0\0\1", b""),
        (greeting(name=b"x" * (rfb.LONGEST_NAME + 1)), b""),
        (greeting(), b"\2" + bytes(7)),
        (greeting(), told(800, 600, encoding=0)),
    ],
    ids=["version", "password", "refusal", "name", "message", "encoding"],
)
async def test_what_is_no_rfb_is_seen_and_read_no_further(tmp_path: Path, greets: bytes, answer: bytes) -> None:
    async with asyncio.timeout(30), display(tmp_path / "d", greets, lambda _: answer) as (reader, writer, _):
        with pytest.raises(rfb.Nonsense):
            await rfb.change_size(reader, writer, 1024, 768)
