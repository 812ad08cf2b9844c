"""Route 29: sessions are renewed, seen and ended, and leave no secret."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from sqlalchemy import select

from tests.api.asking import AGENT
from tests.api.browsers import Browser
from tests.api.test_history import entries
from tests.api.world import PASSWORD, Answer, World
from tests.patience import PATIENCE, eventually
from velocity.access.sessions import Caller
from velocity.contract.problems import Problem, Refused
from velocity.store.tables import authkeys, repeats

pytestmark = pytest.mark.anyio


@pytest.mark.holds("BROWSER-5")
async def test_renewal(w: World) -> None:
    browser = Browser(w)
    first = await browser.sign_in()
    old = Browser(w, cookie=browser.cookie, csrf=browser.csrf)
    (listed,) = [one for one in (await browser.call("POST", "/u/session/list"))["sessions"] if one["current"]]
    sessions = w.server.services.access.sessions
    caller = sessions.caller(browser.cookie)
    renewed = await browser.call("PATCH", "/u/session")
    assert renewed.status == 200
    assert browser.cookie != old.cookie
    assert renewed["csrf"] != first["csrf"]
    assert await browser.refused("POST", "/v/vm/list", gid=0) == (403, 101), "the old csrf with the new cookie"
    browser.csrf = renewed["csrf"]
    again = await browser.call("POST", "/u/session/list")
    assert [one["sid"] for one in again["sessions"] if one["current"]] == [listed["sid"]]
    assert sessions.still_signed_in(caller), "what was opened in it lives on"
    assert await old.refused("POST", "/v/vm/list", gid=0) == (401, 100)
    assert await old.refused("PATCH", "/u/session") == (401, 100)
    sessions.clock = lambda: renewed["expires"] + 1.0
    assert not sessions.still_signed_in(caller)
    assert await browser.refused("PATCH", "/u/session") == (401, 100)


async def test_a_renewal_is_never_repeated(w: World) -> None:
    browser = Browser(w)
    await browser.sign_in()
    renewed = await browser.send("PATCH", "/u/session", idempotency_key="once")
    assert renewed.status_code == 200
    kept = await w.server.database.aside(lambda connection: connection.execute(select(repeats)).all())
    assert kept == [], "what its answer holds is kept nowhere"


async def test_sessions_are_listed_and_ended(w: World) -> None:
    key = await w.user("bob")
    one, two = Browser(w, agent="One/1\x7f" + "x" * 300), Browser(w)
    await one.sign_in("bob")
    await two.sign_in("bob")
    listed = (await two.call("POST", "/u/session/list"))["sessions"]
    assert [set(entry) for entry in listed] == [{"sid", "created", "expires", "address", "agent", "current"}] * 3
    assert sum(entry["current"] for entry in listed) == 1
    agents = {entry["agent"]: entry["sid"] for entry in listed}
    assert set(agents) == {"Browser/1.0", "One/1\ufffd" + "x" * 194, AGENT}
    assert {entry["address"] for entry in listed} == {"127.0.0.1"}
    assert all(entry["expires"] == entry["created"] + 3600 for entry in listed)
    theirs = (await w.ok("POST", "/u/session/list"))["sessions"][0]["sid"]
    for sid in (theirs, "no such", ""):
        assert await two.refused("DELETE", "/u/session", sid=sid) == (404, 28310)
    assert (await w.ok("POST", "/u/session/list")).status == 200, "root's goes on"
    gone = next(sid for agent, sid in agents.items() if agent.startswith("One"))
    assert (await two.call("DELETE", "/u/session", sid=gone)).body == {}
    assert two.last.headers.get("set-cookie") is None
    assert await one.refused("POST", "/u/user") == (401, 100)
    assert await two.refused("DELETE", "/u/session", sid=gone) == (404, 28310)
    dead = two.cookie
    assert (await two.call("DELETE", "/u/session")).body == {}
    assert (two.cookie, two.morsel and two.morsel["max-age"]) == ("", "0"), "the browser forgets it"
    two.cookie = dead
    assert await two.refused("POST", "/u/user") == (401, 100)
    assert await two.refused("POST", "/u/session") == (401, 100)
    assert [entry["sid"] for entry in (await w.ok("POST", "/u/session/list", key))["sessions"]] == [
        sid for agent, sid in agents.items() if agent == AGENT
    ]


async def test_the_key_file_is_no_session(w: World) -> None:
    key = (w.data / "root.key").read_text().strip()
    assert "expires" not in (await w.ok("POST", "/u/session", key)).body
    assert not any(one["current"] for one in (await w.ok("POST", "/u/session/list", key))["sessions"])
    assert await w.refused("DELETE", "/u/session", key) == (404, 28310)
    renewed = await w.ok("PATCH", "/u/auth", key)
    assert (await w.ok("POST", "/u/user", renewed["authkey"]))["uid"] == 0
    assert (await w.ok("POST", "/u/user", key))["uid"] == 0, "it goes on"


async def test_a_password_change_and_a_removal_end_every_session(w: World) -> None:
    browser = Browser(w)
    await w.user("bob")
    await browser.sign_in("bob")
    caller = w.server.services.access.sessions.caller(browser.cookie)
    await w.ok("PATCH", "/u/user", uid=1, password="another one")
    assert await browser.refused("POST", "/u/user") == (401, 100)
    assert not w.server.services.access.sessions.still_signed_in(caller)
    await browser.sign_in("bob", "another one")
    await w.ok("DELETE", "/u/user", uid=1)
    assert await browser.refused("POST", "/u/user") == (401, 100)


@asynccontextmanager
async def holding(w: World) -> AsyncIterator[None]:
    """No write is committed within; those that were asked for come after it, in their order."""
    gate = threading.Event()
    blocker = asyncio.ensure_future(w.server.database.write(lambda connection: gate.wait(PATIENCE)))
    await asyncio.sleep(0)
    try:
        yield
    finally:
        gate.set()
        await blocker


async def asked(*requests: Awaitable[Any]) -> list[asyncio.Future[Any]]:
    """Each is under way, as far as it gets, before the next one."""
    tasks: list[asyncio.Future[Any]] = []
    for request in requests:
        tasks.append(asyncio.ensure_future(request))
        for _ in range(50):
            await asyncio.sleep(0)
    return tasks


async def known(w: World, uid: int) -> list[str]:
    """The sids of a user in the database, which may be writing the history meanwhile."""
    wanted = select(authkeys.c.sid).where(authkeys.c.uid == uid)
    return list(await w.server.database.aside(lambda connection: connection.execute(wanted).scalars().all()))


@pytest.mark.holds("BROWSER-4")
@pytest.mark.parametrize("first", ["ends", "renews"])
async def test_a_session_that_is_ended_while_it_is_renewed_has_ended(w: World, first: str) -> None:
    key = await w.user("bob")
    sessions = w.server.services.access.sessions
    caller = sessions.caller(key)
    async with holding(w):
        order = (sessions.end_one(caller, caller.sid), sessions.renew(key))
        tasks = await asked(*(order if first == "ends" else reversed(order)))
        assert sessions.still_signed_in(caller), "neither is done yet"
    done = await asyncio.gather(*tasks, return_exceptions=True)
    assert not sessions.still_signed_in(caller)
    assert await known(w, 1) == []
    for begun in done:
        if hasattr(begun, "authkey"):
            assert await w.refused("POST", "/u/user", begun.authkey) == (401, 100)


@pytest.mark.parametrize("method", ["PATCH", "DELETE"])
async def test_a_sign_in_that_meets_a_password_change_or_a_removal_is_none(w: World, method: str) -> None:
    await w.user("bob")
    sessions = w.server.services.access.sessions
    change = w.call(method, "/u/user", uid=1, password="another one")
    async with holding(w):
        tasks: list[asyncio.Future[Any]] = [asyncio.ensure_future(change)]
        await eventually(lambda: w.server.services.access.updates.changing.locked())
        tasks += await asked(sessions.begin(1))
    done = await asyncio.gather(*tasks, return_exceptions=True)
    assert isinstance(done[0], Answer)
    assert done[0].status == 200
    assert isinstance(done[1], Refused)
    assert done[1].problem is Problem.UNAUTHENTICATED
    assert await known(w, 1) == []
    assert sessions.of(1) == []
    assert not sessions.still_signed_in(Caller(1, "gone"))


async def test_a_database_that_cannot_write_leaves_the_session_as_it_was(w: World) -> None:
    browser = Browser(w)
    await browser.sign_in()
    await entries(w)
    cursor = w.server.database.engine.raw_connection().cursor()
    cursor.execute("PRAGMA query_only=ON")
    assert await browser.refused("PATCH", "/u/session") == (503, 503)
    assert await browser.refused("DELETE", "/u/session") == (503, 503)
    cursor.execute("PRAGMA query_only=OFF")
    assert (await browser.call("POST", "/u/user")).status == 200


@pytest.mark.holds("BROWSER-6")
async def test_no_secret_is_in_the_history_the_log_or_the_database(w: World, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG")
    browser = Browser(w)
    await browser.sign_in()
    secrets = [PASSWORD, browser.cookie, str(browser.csrf)]
    renewed = await browser.call("PATCH", "/u/session")
    browser.csrf = renewed["csrf"]
    secrets += [browser.cookie, str(browser.csrf), "a link that is none", "hunter2"]
    await browser.refused("PUT", "/u/session", link="a link that is none")
    await browser.refused("PUT", "/u/session", name="hunter2", password="hunter2")
    await browser.refused("DELETE", "/u/session", sid="no such")
    browser.csrf = "hunter2"
    await browser.refused("PUT", "/u/group", name="a", parent_gid=0)
    found = await entries(w)
    told = [(one["name"], one["operation"], one["target"], one.get("code")) for one in found[:6]]
    assert told == [
        ("", "create_group", "parent_gid=0 name=a", 101),
        ("root", "end_session", 'sid="no such"', 28310),
        ("(nobody's name)", "open_session", "", 28200),
        ("(a link)", "open_session", "", 28200),
        ("root", "renew_session", "", None),
        ("root", "open_session", "", None),
    ]
    kept = b"".join(file.read_bytes() for file in w.data.glob("velocity.db*"))
    for secret in secrets:
        assert secret not in str(found)
        assert secret not in caplog.text
        assert secret.encode() not in kept
