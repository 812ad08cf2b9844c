"""The sign of life that systemd waits for: as long as the loop goes on, and only where it asks for that."""

from __future__ import annotations

import asyncio
import socket
from pathlib import Path

import pytest

from tests.patience import PATIENCE
from velocity.cli.process import heard_by_systemd
from velocity.cli.service import SERVER_UNIT

pytestmark = pytest.mark.anyio


@pytest.fixture
def systemd(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> socket.socket:
    file = tmp_path / "notify"
    hears = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    hears.bind(str(file))
    hears.settimeout(PATIENCE)
    monkeypatch.setenv("NOTIFY_SOCKET", str(file))
    return hears


@pytest.mark.holds("MANY-198")
async def test_systemd_hears_a_loop_that_goes_on(systemd: socket.socket, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WATCHDOG_USEC", "20000")

    async def work() -> None:
        for _ in range(3):
            assert await asyncio.to_thread(systemd.recv, 100) == b"WATCHDOG=1"

    with systemd:
        await heard_by_systemd(work())
    assert "\nWatchdogSec=" in SERVER_UNIT


@pytest.mark.holds("MANY-198")
@pytest.mark.parametrize("asked", ["", "0x", None])
async def test_nothing_is_said_where_nobody_asks(
    systemd: socket.socket, monkeypatch: pytest.MonkeyPatch, asked: str | None
) -> None:
    monkeypatch.delenv("WATCHDOG_USEC", raising=False)
    if asked is not None:
        monkeypatch.setenv("WATCHDOG_USEC", asked)

    async def work() -> None:
        for _ in range(3):
            await asyncio.sleep(0)

    with systemd:
        await heard_by_systemd(work())
        systemd.setblocking(False)
        with pytest.raises(BlockingIOError):
            systemd.recv(100)
