"""The channel to a guest's agent: what poses as one costs itself its connection, and nobody else anything."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from itertools import chain
from pathlib import Path
from typing import Any

import pytest

from tests.patience import PATIENCE, eventually
from velocity.hypervisor.port import MOST_ENCODED, HypervisorError, NoAgent, Unknown
from velocity.hypervisor.qemu.agent import KEPT, AgentChannel

pytestmark = pytest.mark.anyio

SHORT = 0.2
"""Seconds of a deadline that is to pass."""
Says = Callable[[dict[str, Any]], Iterator[bytes] | None]


def synced(question: dict[str, Any]) -> Iterator[bytes]:
    yield b"\xff" + json.dumps({"return": question["arguments"]["id"]}).encode() + b"\n"


def pong(_question: dict[str, Any]) -> Iterator[bytes]:
    yield b'{"return": {"pong": true}}\n'


class Guest:
    """What is at the guest's end of the socket. `says` gives the pieces that answer a question; None: nothing."""

    def __init__(self, path: Path, says: Says) -> None:
        self.path = path
        self.says = says
        self.synced: Says = synced
        self.open = True
        self.connections = 0
        self.questions: list[object] = []
        self.serving: set[asyncio.Task[None]] = set()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if (task := asyncio.current_task()) is not None:
            self.serving.add(task)
        self.connections += 1
        try:
            while line := await reader.readline():
                question = json.loads(line.removeprefix(b"\xff"))
                self.questions.append(question["execute"])
                first = question["execute"] == "guest-sync-delimited"
                for piece in (self.synced if first else self.says)(question) or ():
                    writer.write(piece)
                    await writer.drain()
        except ConnectionError:
            pass
        finally:
            writer.close()

    async def is_open(self) -> bool:
        return self.open


@asynccontextmanager
async def guest(runtime: Path, says: Says) -> AsyncIterator[tuple[Guest, AgentChannel]]:
    made = Guest(runtime / "agent.sock", says)
    server = await asyncio.start_unix_server(made.serve, made.path)
    channel = AgentChannel(made.path, made.is_open)
    try:
        yield made, channel
    finally:
        channel.close()
        server.close()
        await asyncio.gather(*made.serving)


async def test_an_agent_that_answers_keeps_its_connection(runtime: Path) -> None:
    async with guest(runtime, pong) as (made, channel):
        answers = await asyncio.gather(*(channel.ask("guest-ping", b"{}", PATIENCE) for _ in range(3)))
        assert [json.loads(one) for one in answers] == [{"pong": True}] * 3
        assert made.questions == ["guest-sync-delimited", *["guest-ping"] * 3]
        made.says = lambda question: iter([b'{"error": {"class": "GenericError", "desc": "no\\u001b[2J"}}\n'])
        with pytest.raises(HypervisorError, match=r"^no \[2J$"):
            await channel.ask("guest-ping", b"{}", PATIENCE)
        assert made.connections == 1, "a refusal is an answer"


@pytest.mark.holds("GUEST-68")
async def test_nobody_waits_for_a_guest_without_an_agent(runtime: Path) -> None:
    async with guest(runtime, pong) as (made, channel):
        made.open = False
        with pytest.raises(NoAgent, match="qemu-guest-agent"):
            await channel.ask("guest-ping", b"{}", PATIENCE)
        assert made.connections == 0
    with pytest.raises(NoAgent, match="no channel"):
        await AgentChannel(runtime / "nowhere", always).ask("guest-ping", b"{}", PATIENCE)


def endless(_question: dict[str, Any]) -> Iterator[bytes]:
    for _ in range(KEPT // 8192 + 2):
        yield b'"' * 8192


def encoded(_question: dict[str, Any]) -> Iterator[bytes]:
    while True:
        yield b"A" * (1 << 20)


HOSTILE: dict[str, Says] = {
    "endless": endless,
    "endless base64": encoded,
    "garbage": lambda _: iter([b"\x00\x80{{{\n"]),
    "deep": lambda _: iter([b'{"return": ' + b"[" * 100_000 + b"\n"]),
    "deep, and whole": lambda _: iter([b'{"return": ' + b"[" * 50_000 + b"]" * 50_000 + b"}\n"]),
    "no object": lambda _: iter([b"[1, 2]\n"]),
    "neither": lambda _: iter([b"{}\n"]),
    "an error of numbers": lambda _: iter([b'{"error": {"desc": 7}}\n']),
}


@pytest.mark.holds("GUEST-69")
@pytest.mark.parametrize("kind", HOSTILE)
async def test_what_is_no_answer_costs_the_guest_its_connection(runtime: Path, kind: str) -> None:
    async with guest(runtime, HOSTILE[kind]) as (made, channel):
        with pytest.raises(Unknown):
            await channel.ask("guest-info", b"{}", PATIENCE)
        made.says = pong
        assert json.loads(await channel.ask("guest-ping", b"{}", PATIENCE)) == {"pong": True}
        assert made.connections == 2


@pytest.mark.holds("GUEST-69")
async def test_silence_ends_by_the_deadline_and_a_late_answer_is_nobodys(runtime: Path) -> None:
    async with guest(runtime, lambda _: None) as (made, channel):
        first = asyncio.create_task(channel.ask("guest-exec", b"{}", SHORT))
        await eventually(lambda: "guest-exec" in made.questions)
        with pytest.raises(NoAgent, match="busy"):
            await channel.ask("guest-ping", b"{}", 0.0)
        with pytest.raises(Unknown, match="guest-exec"):
            await first
        made.says = pong
        assert json.loads(await channel.ask("guest-ping", b"{}", PATIENCE)) == {"pong": True}


@pytest.mark.holds("GUEST-69")
async def test_what_an_earlier_question_has_left_is_passed_over(runtime: Path) -> None:
    stale = b'{"return": {"pid": 1}}\n\xff{"return": 5}\n{"error": {"desc": "JSON parse error"}}\n'
    async with guest(runtime, pong) as (made, channel):
        made.synced = lambda question: chain([stale], synced(question))
        assert json.loads(await channel.ask("guest-ping", b"{}", PATIENCE)) == {"pong": True}


@pytest.mark.holds("GUEST-69")
async def test_one_with_the_wrong_number_is_no_agent(runtime: Path) -> None:
    async with guest(runtime, pong) as (made, channel):
        made.synced = lambda _: iter([b'\xff{"return": -1}\n'])
        with pytest.raises(NoAgent, match="does not answer"):
            await channel.ask("guest-ping", b"{}", SHORT)
        assert made.questions == ["guest-sync-delimited"]


async def always() -> bool:
    return True


@pytest.mark.parametrize("piece", [1 << 20, 64 << 10, 1000, 77])
async def test_of_long_output_the_beginning_comes_whole(runtime: Path, piece: int) -> None:
    output = bytes(range(256)) * (8 << 10)
    line = json.dumps({"return": {"out-data": base64.b64encode(output).decode(), "exited": True}}).encode() + b"\n"

    def says(_question: dict[str, Any]) -> Iterator[bytes]:
        for start in range(0, len(line), piece):
            yield line[start : start + piece]

    async with guest(runtime, says) as (_, channel):
        answer = json.loads(await channel.ask("guest-exec-status", b"{}", PATIENCE))
    assert answer["exited"] is True
    assert len(answer["out-data"]) == MOST_ENCODED
    assert base64.b64decode(answer["out-data"]) == output[: MOST_ENCODED // 4 * 3]
