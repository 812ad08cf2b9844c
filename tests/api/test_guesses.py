"""Guesses at passwords, from outside: what is known of good addresses is known after a restart too."""

from __future__ import annotations

from pathlib import Path

import httpx
import pytest
import sqlalchemy as sa

from tests.api.world import PASSWORD, World, world
from velocity.access.rules import Session
from velocity.access.throttle import NAME, OWN, PAIR
from velocity.store.access import SqlAccess
from velocity.store.database import Database
from velocity.store.tables import history

pytestmark = pytest.mark.anyio

HOME = "192.0.2.1"


async def sign_in(w: World, address: str, password: str, method: str = "POST", path: str = "/u/auth") -> int:
    async with httpx.AsyncClient(transport=httpx.ASGITransport(w.server.asgi, client=(address, 1))) as http:
        body = {"name": "root", "password": password}
        return (await http.request(method, f"http://velocity{path}", json=body)).status_code


async def use_up(w: World) -> None:
    """The guesses that strangers have at root's name."""
    per = PAIR.burst - 1
    for number in range(NAME.burst // per + 2):
        for _ in range(per):
            await sign_in(w, f"198.51.100.{number}", "wrong-wrong")


@pytest.mark.holds("TEAM-9")
@pytest.mark.parametrize(("method", "path"), [("POST", "/u/auth"), ("PUT", "/u/session")])
async def test_strangers_do_not_lock_a_user_out_after_a_restart(tmp_path: Path, method: str, path: str) -> None:
    async with world(tmp_path / "data") as w:
        assert await sign_in(w, HOME, PASSWORD, method, path) == 200
        assert await sign_in(w, "192.0.2.2", "wrong-wrong") == 403
    async with world(tmp_path / "data", signs_in=False) as w:
        await use_up(w)
        assert await sign_in(w, "203.0.113.1", PASSWORD) == 429, "where root never was"
        assert await sign_in(w, "192.0.2.2", PASSWORD) == 429, "and where nobody had the password"
        assert await sign_in(w, HOME, PASSWORD) == 200


@pytest.mark.holds("TEAM-9")
async def test_what_the_history_has_lost_is_known_of_good_addresses_after_a_restart(tmp_path: Path) -> None:
    """Its entries go by number and by age, and whoever does much makes them go."""
    async with world(tmp_path / "data") as w:
        assert await sign_in(w, HOME, PASSWORD) == 200
    database = Database(f"sqlite:///{tmp_path}/data/velocity.db")
    database.read(lambda connection: connection.execute(sa.delete(history)) and None)
    await database.close()
    async with world(tmp_path / "data", signs_in=False) as w:
        await use_up(w)
        assert await sign_in(w, "203.0.113.1", PASSWORD) == 429
        assert await sign_in(w, HOME, PASSWORD) == 200


async def test_so_many_good_addresses_of_a_user_are_kept_the_latest(database_url: str) -> None:
    database = Database(database_url)
    database.open()
    try:
        store = SqlAccess(database)
        await store.add_root("root", "")
        uid = await store.add_user("greedy", "", 0)
        for number in range(OWN + 3):
            await store.add_session(session(number, uid, f"2001:db8:0:{number:x}::1"), None, 0)
        await store.add_session(session(OWN + 3, 0, HOME), None, 0)
        await store.add_session(session(OWN + 4, uid, "192.0.2.9"), session(OWN + 2, uid, "").hash, 0)
        found = store.load().good_addresses
        assert found == [*(("greedy", f"2001:db8:0:{number:x}::/64") for number in range(3, OWN + 3)), ("root", HOME)]
        await store.remove_user(uid)
        assert store.load().good_addresses == [("root", HOME)]
    finally:
        await database.close()


def session(number: int, uid: int, address: str) -> Session:
    return Session(number.to_bytes(32, "big"), uid, 1 << 40, f"s{number}", number, address, "")
