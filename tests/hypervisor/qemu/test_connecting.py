"""A connection to QEMU that is made, and one that ends meanwhile, whatever had been said by then."""

from __future__ import annotations

import asyncio
import gc
import weakref
from pathlib import Path
from typing import Any, cast

import pytest
from qemu.qmp import QMPError

from tests.patience import PATIENCE, eventually
from velocity.hypervisor.qemu import monitor as monitors
from velocity.hypervisor.qemu.monitor import Monitor

GREETING = (
    b'{"QMP": {"version": {"qemu": {"micro": 22, "minor": 2, "major": 7}, "package": ""}, "capabilities": []}}\r\n'
)
AGREED = b'{"return": {}, "id": "1"}\r\n'


@pytest.mark.anyio
@pytest.mark.parametrize("said", [b"", GREETING, GREETING + AGREED], ids=["nothing", "its greeting", "all"])
@pytest.mark.parametrize("waits", [monitors.HANGS_UP, 0.0], ids=["", "for no end"])
async def test_one_that_ends_while_it_is_connected_to_is_gone_and_nothing_else(
    runtime: Path, monkeypatch: pytest.MonkeyPatch, said: bytes, waits: float
) -> None:
    """Also where its end takes longer than it is waited for, as on a host that stands still for a second."""
    monkeypatch.setattr(monitors, "HANGS_UP", waits)
    complaints: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: complaints.append(context))

    async def qemu(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(said)
        writer.write_eof()
        await reader.read()
        writer.close()

    server = await asyncio.start_unix_server(qemu, runtime / "qmp")
    tasks = len(asyncio.all_tasks())
    for _ in range(20):
        monitor = Monitor("vm", runtime / "qmp", lambda *_: None, lambda: None, lambda: None)
        try:
            await monitor.connect()
        except (QMPError, OSError, EOFError):
            pass  # it was gone in the middle
        else:
            await monitor.drained()
        await monitor.close()
    server.close()
    await server.wait_closed()
    await eventually(lambda: len(asyncio.all_tasks()) <= tasks, "the end of all connections")
    gc.collect()
    await asyncio.sleep(0)
    assert complaints == []


@pytest.mark.anyio
async def test_an_end_that_is_waited_for_no_longer_comes_nevertheless(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where nothing else holds it but what it awaits."""
    monkeypatch.setattr(monitors, "HANGS_UP", 0.0)
    awaited: list[weakref.ref[asyncio.Future[None]]] = []
    ended: list[bool] = []

    class Slow:
        async def disconnect(self) -> None:
            last: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            awaited.append(weakref.ref(last))
            await last
            ended.append(True)

    monitor = Monitor("vm", Path("qmp"), lambda *_: None, lambda: None, lambda: None)
    monitor.client = cast(Any, Slow())
    await monitor.close()
    await eventually(lambda: awaited)
    gc.collect()
    last = awaited[0]()
    assert last is not None, "it is still under way"
    last.set_result(None)
    await eventually(lambda: ended)


@pytest.mark.anyio
async def test_what_a_start_asks_for_does_not_wait_for_the_agreement(runtime: Path) -> None:
    """QEMU gets both in its start, and answers them when that is over."""

    async def qemu(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(GREETING)
        asked = b""
        while asked.count(b"execute") < 2 and (more := await reader.read(4096)):
            asked += more
        assert asked.index(b"qmp_capabilities") < asked.index(b'"cont"')
        writer.write(AGREED + AGREED.replace(b'"1"', b'"2"'))
        await reader.read()
        writer.close()

    server = await asyncio.start_unix_server(qemu, runtime / "qmp")
    monitor = Monitor("vm", runtime / "qmp", lambda *_: None, lambda: None, lambda: None)
    async with asyncio.timeout(PATIENCE):
        await monitor.connect("cont")
    await monitor.close()
    server.close()
    await server.wait_closed()
