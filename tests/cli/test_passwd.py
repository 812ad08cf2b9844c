"""`velocity passwd`: the way back in for whoever has lost a password, and has the data directory."""

from __future__ import annotations

import asyncio
import os
import pty
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from tests.api.world import PASSWORD, World, world
from tests.patience import PATIENCE
from velocity.cli.main import velocity
from velocity.config import PREFIX

pytestmark = pytest.mark.anyio

VELOCITY = Path(sys.executable).with_name("velocity")
NEW = "battery staple"


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(f"{PREFIX}DATA_DIR", str(tmp_path / "data"))
    return tmp_path / "data"


async def passwd(*name: str) -> Result:
    words = ["passwd", *name, "--password-stdin"]
    return await asyncio.to_thread(lambda: CliRunner().invoke(velocity, words, input=f"{NEW}\n"))


async def signs_in(w: World, name: str, password: str) -> bool:
    return (await w.call("POST", "/u/auth", "", name=name, password=password)).status == 200


@pytest.mark.holds("CLI-61")
async def test_a_lost_password_is_set_without_the_server_and_ends_all_sessions_of_its_user(data: Path) -> None:
    async with world(data) as w:
        bob, root = await w.user("bob"), w.key
    for words in ((), ("bob",)):
        done = await passwd(*words)
        assert done.exit_code == 0, done.output
        assert f"the password of {words[0] if words else 'root'} is set" in done.stderr
    async with world(data, signs_in=False) as w:
        for name, key in (("root", root), ("bob", bob)):
            assert (await w.call("POST", "/u/user", key)).status == 401, "whoever has taken the account is out"
            assert not await signs_in(w, name, PASSWORD) and await signs_in(w, name, NEW)


@pytest.mark.holds("CLI-61")
async def test_nothing_is_changed_for_a_name_that_nobody_has(data: Path) -> None:
    async with world(data):
        pass
    refused = await passwd("nobody")
    assert refused.exit_code == 1 and "there is no user named 'nobody'" in refused.stderr
    async with world(data, signs_in=False) as w:
        assert await signs_in(w, "root", PASSWORD)


async def test_nobody_is_asked_for_a_password_that_cannot_be_set(data: Path) -> None:
    async def asked() -> Result:
        return await asyncio.to_thread(
            lambda: CliRunner().invoke(velocity, ["passwd", "--password-stdin"], input="x\n")
        )

    assert "there is no installation in" in (await asked()).stderr
    async with world(data):
        refused = await asked()
    assert refused.exit_code == 1 and "uses this data directory: stop it first" in refused.stderr
    assert "at least 8 characters" in (await asked()).stderr


@pytest.mark.holds("CLI-61")
async def test_one_interrupt_at_its_question_ends_it(data: Path) -> None:
    """An event loop that runs meanwhile would only note the first one, and keep the data directory locked."""
    async with world(data):
        pass
    assert await asyncio.to_thread(_interrupted) == 130


def _interrupted() -> int:
    """Its exit status."""
    ours, side = pty.openpty()
    asks = subprocess.Popen([VELOCITY, "passwd"], stdin=side, stdout=side, stderr=side, start_new_session=True)
    try:
        said = b""
        while b"New password of root" not in said:
            said += os.read(ours, 1024)
        asks.send_signal(signal.SIGINT)
        return asks.wait(PATIENCE)
    finally:
        asks.kill()
        asks.wait()
        os.close(side)
        os.close(ours)
