"""While the database takes no writes (a full disk): whoever has to deal with that can sign in, and nothing is lost."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from tests.api.browsers import Browser
from tests.api.world import PASSWORD, World, world
from velocity.history import service as history

pytestmark = pytest.mark.anyio


def takes_writes(w: World, wanted: bool) -> None:
    cursor = w.server.database.engine.raw_connection().cursor()
    cursor.execute(f"PRAGMA query_only={'OFF' if wanted else 'ON'}")


@pytest.mark.holds("DUR-34")
async def test_a_sign_in_is_kept_in_memory_and_says_so(tmp_path: Path) -> None:
    data = tmp_path / "data"
    async with world(data) as w:
        await w.written()
        takes_writes(w, False)
        signed = await w.ok("POST", "/u/auth", "", name="root", password=PASSWORD)
        assert "ends with the server" in signed["warnings"][0]
        assert (await w.call("POST", "/u/user", signed["authkey"])).status == 200
        renewed = await w.ok("PATCH", "/u/auth", signed["authkey"])
        assert "warnings" in renewed.body
        assert (await w.call("POST", "/u/user", signed["authkey"])).status == 401
        other = await w.ok("POST", "/u/auth", "", name="root", password=PASSWORD)
        await w.ok("DELETE", "/u/auth", other["authkey"])
        assert (await w.call("POST", "/u/user", other["authkey"])).status == 401
        browser = Browser(w)
        assert "warnings" in (await browser.sign_in()).body
        assert (await browser.call("POST", "/u/user")).status == 200
        takes_writes(w, True)
        kept = await w.ok("PATCH", "/u/auth", renewed["authkey"])
        assert "warnings" not in kept.body
    async with world(data, signs_in=False) as w:
        assert (await w.call("POST", "/u/user", kept["authkey"])).status == 200, "from its renewal on it is kept"
        browser.w = w
        assert (await browser.call("POST", "/u/user")).status == 401


@pytest.mark.holds("DUR-34")
async def test_who_has_as_many_sessions_as_allowed_can_sign_in(tmp_path: Path) -> None:
    """The oldest cannot end then: it does with the next one."""
    async with world(tmp_path / "data", user_sessions=1) as w:
        await w.written()
        takes_writes(w, False)
        signed = await w.ok("POST", "/u/auth", "", name="root", password=PASSWORD)
        assert (await w.call("POST", "/u/user", signed["authkey"])).status == 200
        takes_writes(w, True)
        last = await w.ok("POST", "/u/auth", "", name="root", password=PASSWORD)
        assert len((await w.ok("POST", "/u/session/list", last["authkey"]))["sessions"]) == 1


async def test_a_session_in_memory_ends_like_any_other(w: World) -> None:
    takes_writes(w, False)
    signed = await w.ok("POST", "/u/auth", "", name="root", password=PASSWORD)
    sessions = w.server.services.access.sessions
    sessions.clock = lambda: signed["expires"] + 1.0
    assert (await w.call("POST", "/u/user", signed["authkey"])).status == 401


@pytest.mark.holds("DUR-35")
async def test_the_history_waits_until_it_can_be_written(w: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(history, "RETRY_DELAY", 0.05)
    await w.written()
    takes_writes(w, False)
    assert (await w.call("PUT", "/u/group", name="refused", parent_gid=0)).status == 503
    assert (await w.ok("POST", "/t/history"))["entries"], "and what is there can be read"
    await asyncio.sleep(0.2)
    takes_writes(w, True)
    await w.written()
    newest = (await w.ok("POST", "/t/history"))["entries"][0]
    assert (newest["operation"], newest["code"]) == ("create_group", 503)
