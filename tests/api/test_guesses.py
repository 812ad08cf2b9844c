"""Guesses at passwords, from outside: what is known of good addresses is known after a restart too."""

from __future__ import annotations

from pathlib import Path

import httpx
import pytest

from tests.api.world import PASSWORD, World, world
from velocity.access.throttle import NAME, PAIR
from velocity.history.port import HistoryStore
from velocity.history.rules import HistoryEntry
from velocity.store.database import Database
from velocity.store.history import SqlHistory

pytestmark = pytest.mark.anyio

HOME = "192.0.2.1"


async def sign_in(w: World, address: str, password: str, method: str = "POST", path: str = "/u/auth") -> int:
    async with httpx.AsyncClient(transport=httpx.ASGITransport(w.server.asgi, client=(address, 1))) as http:
        body = {"name": "root", "password": password}
        return (await http.request(method, f"http://velocity{path}", json=body)).status_code


@pytest.mark.holds("TEAM-9")
@pytest.mark.parametrize(("method", "path"), [("POST", "/u/auth"), ("PUT", "/u/session")])
async def test_strangers_do_not_lock_a_user_out_after_a_restart(tmp_path: Path, method: str, path: str) -> None:
    async with world(tmp_path / "data") as w:
        assert await sign_in(w, HOME, PASSWORD, method, path) == 200
        assert await sign_in(w, "192.0.2.2", "wrong-wrong") == 403
    async with world(tmp_path / "data", signs_in=False) as w:
        per = PAIR.burst - 1
        for number in range(NAME.burst // per + 2):
            for _ in range(per):
                await sign_in(w, f"198.51.100.{number}", "wrong-wrong")
        assert await sign_in(w, "203.0.113.1", PASSWORD) == 429, "where root never was"
        assert await sign_in(w, "192.0.2.2", PASSWORD) == 429, "and where nobody had the password"
        assert await sign_in(w, HOME, PASSWORD) == 200


async def test_the_sign_ins_of_the_latest_entries(database_url: str) -> None:
    database = Database(database_url)
    database.open()
    try:
        store: HistoryStore = SqlHistory(database)
        signed_in = [entry("old", "1"), entry("a", "1"), entry("a", "2"), entry("b", "1", code=1100), entry("a", "1")]
        await store.add([*signed_in, entry("c", "1", "create_vm"), entry("d", "1", "open_session")])
        operations = ("sign_in", "open_session")
        assert await store.signed_in(operations, 6, 10) == [("d", "1"), ("a", "1"), ("a", "2")]
        assert await store.signed_in(operations, 6, 2) == [("d", "1"), ("a", "1")]
    finally:
        await database.close()


def entry(name: str, address: str, operation: str = "sign_in", code: int | None = None) -> HistoryEntry:
    return HistoryEntry(1, None, name, address, "r", operation, 0, "", 200 if code is None else 403, code, None, None)
