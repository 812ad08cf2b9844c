"""Whatever ends a machine's process, its end is told: a run that nobody ends would be shown as running for ever."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from tests.patience import PATIENCE
from tests.ports.subjects import machine
from velocity.hypervisor.port import FactCause
from velocity.hypervisor.qemu import spool
from velocity.hypervisor.qemu.fact_stream import FactStream
from velocity.hypervisor.qemu.qemu_log import FollowedLog
from velocity.hypervisor.qemu.run_note import RunEnd
from velocity.hypervisor.qemu.serial import SerialHub
from velocity.hypervisor.qemu.seriallog import SerialLog
from velocity.hypervisor.qemu.watched_run import WatchedRun

pytestmark = pytest.mark.anyio


class Watch:
    """Over a process that is no QEMU, as it has to end by signals that QEMU in its namespace does not get."""

    def __init__(self, directory: Path) -> None:
        self.process = subprocess.Popen(["sleep", "600"])
        who = machine()
        log = FollowedLog(who.machine, None, directory / "log")
        self.run = WatchedRun(who, self.process.pid, directory / "qmp", log, FactStream())
        self.run.serial = SerialHub(directory, spool.bounds(directory), 1, SerialLog(directory), self.run)
        self.run.begun = True
        self.run.on_end = self._hear
        self.heard: list[RunEnd | None] = []

    async def _hear(self, end: RunEnd | None) -> None:
        self.heard.append(end)


@asynccontextmanager
async def watched(directory: Path) -> AsyncIterator[Watch]:
    made = Watch(directory)
    try:
        yield made
        async with asyncio.timeout(PATIENCE):
            await made.run.ended.wait()
    finally:
        made.process.kill()


@pytest.mark.holds("STATE-22")
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSEGV, signal.SIGRTMIN, signal.SIGRTMIN + 6])
async def test_the_end_of_a_process_is_told_whichever_signal_ended_it(tmp_path: Path, number: int) -> None:
    async with watched(tmp_path) as watch:
        os.kill(watch.process.pid, number)
    (end,) = watch.heard
    assert end is not None
    assert end.why is (FactCause.KILLED if number == signal.SIGKILL else FactCause.UNKNOWN)
    assert end.detail == {9: "SIGKILL", 11: "SIGSEGV", 34: "SIGRTMIN", 40: "signal 40"}[number]


@pytest.mark.holds("STATE-22")
async def test_the_end_of_a_process_is_told_although_its_console_cannot_be_closed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """An error that nobody foresaw costs the reason, and not the end."""
    async with watched(tmp_path) as watch:

        async def fails() -> None:
            raise ValueError("this")

        monkeypatch.setattr(watch.run.serial, "close", fails)
        watch.process.kill()
    assert [end and end.why for end in watch.heard] == [FactCause.UNKNOWN]
    assert "why it has ended is not known" in caplog.text
