"""`velocity passwd`: the way back in for whoever has lost a password, and has the data directory."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from tests.api.world import PASSWORD, World, world
from velocity.cli.main import velocity
from velocity.config import PREFIX

pytestmark = pytest.mark.anyio

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
