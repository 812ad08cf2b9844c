"""A QEMU that whoever broke out of it has taken over: however much it says, the server hears others meanwhile."""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.hypervisor.qemu.test_connecting import AGREED, GREETING
from tests.patience import PATIENCE, eventually
from tests.ports.subjects import machine
from velocity.hypervisor.port import Fact, FactCause, FactReport, HypervisorError, Unknown
from velocity.hypervisor.qemu.event_interpreter import WORDS, EventInterpreter
from velocity.hypervisor.qemu.fact_stream import FactStream
from velocity.hypervisor.qemu.meter import total
from velocity.hypervisor.qemu.monitor import AT_ONCE, LONGEST, UNASKED, Monitor
from velocity.hypervisor.qemu.status import StatusQuery

pytestmark = pytest.mark.anyio

EVENT = b'{"event": "RESET", "timestamp": {"seconds": 1, "microseconds": 1}, "data": {"guest": true}}\r\n'
UNKNOWN = b'{"return": {}, "id": "nobody"}\r\n'


@asynccontextmanager
async def said(
    place: Path, words: bytes, heard: Callable[[str, Mapping[str, Any]], None], then: bytes = b""
) -> AsyncIterator[Monitor]:
    """A monitor that hears all of that as soon as it is connected to, and the rest when it asks."""

    async def qemu(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            writer.write(GREETING)
            await reader.read(4096)
            writer.write(AGREED + words)
            asked = re.search(rb'"id": ?"([^"]+)"', await reader.read(4096))
            writer.write(then.replace(b"ID", asked[1] if asked else b""))
            await reader.read()
        writer.close()

    server = await asyncio.start_unix_server(qemu, place / "qmp")
    monitor = Monitor("vm", place / "qmp", heard, lambda: None, lambda: None)
    await monitor.connect()
    try:
        yield monitor
    finally:
        await monitor.close()
        server.close()
        await server.wait_closed()


@pytest.mark.holds("BOUND-25")
@pytest.mark.parametrize("word", [EVENT, UNKNOWN], ids=["events", "answers that nobody asked for"])
async def test_a_flood_of_messages_is_heard_at_its_pace_and_others_come_between(runtime: Path, word: bytes) -> None:
    loop = asyncio.get_running_loop()
    taken = most = 0

    def heard(*_: object) -> None:
        nonlocal taken
        taken += 1

    begun = loop.time()
    async with said(runtime, (word + EVENT) * 20_000, heard):
        await eventually(lambda: taken, "the first message")
        flooded = loop.time()
        while loop.time() - flooded < 1:
            before = taken
            await asyncio.sleep(0)
            most = max(most, taken - before)
        assert taken <= AT_ONCE + UNASKED * (loop.time() - begun) + 1
    assert most <= 1, "whoever else is there has a turn between two of them"


@pytest.mark.holds("BOUND-25")
async def test_a_message_without_end_ends_the_connection(runtime: Path) -> None:
    async with said(runtime, b"x" * (2 * LONGEST), lambda *_: None) as monitor:
        monitor.keep()
        client = monitor.client
        async with asyncio.timeout(PATIENCE):
            await eventually(lambda: monitor.client is not client)


@pytest.mark.holds("BOUND-27")
def test_what_it_says_of_a_fault_is_kept_in_few_words() -> None:
    """They are told to all who view the VM, and written down."""
    told: list[FactReport] = []

    def tell(fact: Fact, why: FactCause, detail: str) -> FactReport:
        told.append(FactReport(machine(), fact, why, detail))
        return told[-1]

    observed = EventInterpreter(tell)
    observed.on_qmp_event("BLOCK_IO_ERROR", {"action": "stop", "reason": "x" * LONGEST})
    observed.on_qmp_event("STOP", {})
    assert (told[-1].why, told[-1].detail) == (FactCause.DISK_ERROR, "x" * WORDS)
    observed.on_qmp_event("BLOCK_IO_ERROR", {"action": "stop", "reason": "no\ud800 \0d\nisk \u202e\x1b[2J"})
    observed.on_qmp_event("STOP", {})
    assert told[-1].detail == "no   d isk   [2J", "what cannot be written down would fail for all who view the VM"


@pytest.mark.holds("BOUND-27")
async def test_what_it_answers_is_a_refusal_of_few_words(runtime: Path) -> None:
    refusal = b'{"error": {"class": "GenericError", "desc": "%s"}, "id": "ID"}\r\n' % (b"x" * (LONGEST // 2))
    async with said(runtime, b"", lambda *_: None, then=refusal) as monitor:
        with pytest.raises(HypervisorError) as refused:
            await monitor.execute("stop", deadline=10)
    assert str(refused.value) == "x" * WORDS
    refusal = rb'{"error": {"class": "GenericError", "desc": "no\ud800disk"}, "id": "ID"}' + b"\r\n"
    async with said(runtime, b"", lambda *_: None, then=refusal) as monitor:
        with pytest.raises(HypervisorError, match=r"^no disk$"):
            await monitor.execute("stop", deadline=10)


@pytest.mark.holds("BOUND-27")
@pytest.mark.parametrize("answer", ["[]", "{}", "7", '{"status": []}', '{"status": {"running": 1}}', "null"])
async def test_what_makes_no_sense_is_not_known(runtime: Path, answer: str) -> None:
    then = b'{"return": %s, "id": "ID"}\r\n' % answer.encode()
    tasks: list[asyncio.Task[None]] = []

    def begin(work: Any) -> asyncio.Task[None]:
        tasks.append(asyncio.create_task(work))
        return tasks[-1]

    observed = EventInterpreter(lambda fact, why, detail: FactReport(machine(), fact, why, detail))
    async with said(runtime, b"", lambda *_: None, then=then) as monitor:
        with pytest.raises(Unknown):
            await StatusQuery(monitor, observed, FactStream(), begin).facts(deadline=0.2)
        assert [task.done() for task in tasks] == [False], "it is asked again"
        tasks[0].cancel()
        await asyncio.wait(tasks)


@pytest.mark.holds("BOUND-27")
@pytest.mark.parametrize(
    "word",
    [
        b'{"event": "RESET", "data": ' + b"[" * 100_000 + b"]" * 100_000 + b"}",
        b'{"return": {}, "id": ["nobody"]}',
        b'{"event": "RESET", "data": ' + b"9" * 5000 + b"}",
        b'{"event": "\xff"}',
        b"[]",
    ],
    ids=["too deep", "an id that is none", "a number without end", "no UTF-8", "no object"],
)
async def test_a_message_that_makes_no_sense_ends_the_connection(runtime: Path, word: bytes) -> None:
    async with said(runtime, b"", lambda *_: None, then=word + b"\r\n") as monitor:
        with pytest.raises(Unknown):
            await monitor.execute("stop", deadline=PATIENCE)


@pytest.mark.holds("BOUND-27")
def test_block_statistics_that_make_no_sense_are_none() -> None:
    """A number of 4,300 digits and more is none that Python writes out: nobody would get the metrics of any VM."""
    assert total([{"stats": {"rd_bytes": 7}}, {"stats": {"rd_bytes": 2**64 - 1}}], "rd_bytes") == 2**64 + 6
    assert total([], "rd_bytes") == 0
    told: list[Any] = [10**4299, -1, 1.5, float("nan"), True, "7", None, [], {}]
    answers: list[Any] = [[{"stats": {"rd_bytes": one}}] for one in told]
    for answer in [*answers, None, 7, {"stats": 1}, [7], [{}], [{"stats": 7}]]:
        with pytest.raises(Unknown):
            total(answer, "rd_bytes")


async def test_what_an_honest_one_says_at_once_is_heard_at_once(runtime: Path) -> None:
    taken: list[str] = []
    async with said(runtime, EVENT * AT_ONCE, lambda name, _: taken.append(name)):
        await eventually(lambda: len(taken) == AT_ONCE)
