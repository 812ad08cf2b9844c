"""Routes 28 and 29: browsers sign in, renew, see and end their sessions; and what else counts with their cookie."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from sqlalchemy import select

from tests.api.browsers import URL, Browser
from tests.api.test_history import entries
from tests.api.test_strangers import Team, body
from tests.api.world import PASSWORD, Answer, World, world
from tests.patience import PATIENCE
from velocity.access.sessions import Caller
from velocity.contract import OPERATIONS
from velocity.contract.operation import Cookie
from velocity.contract.problems import Problem, Refused
from velocity.store.tables import authkeys, repeats

pytestmark = pytest.mark.anyio


async def test_a_browser_signs_in(w: World) -> None:
    browser = Browser(w)
    opened = await browser.sign_in()
    assert set(opened.body) == {"uid", "name", "expires", "csrf", "first"}
    assert (opened["uid"], opened["name"], opened["first"]) == (0, "root", False)
    morsel = browser.morsel
    assert morsel is not None
    assert (morsel["httponly"], morsel["samesite"], morsel["path"]) == (True, "strict", "/")
    assert (morsel["secure"], morsel["domain"]) == ("", "")
    assert 3590 <= int(morsel["max-age"]) <= 3600, "as long as the authkey"
    assert len(browser.cookie) >= 43, "256 bits"
    assert browser.cookie not in str(opened.body), "no script gets to see it"
    assert browser.cookie not in opened["csrf"]
    assert (await browser.call("POST", "/v/vm/list", gid=0)).body == {"vms": []}
    again = await Browser(w, cookie=browser.cookie).call("POST", "/u/session")
    assert again.body == opened.body, "a page that is loaded again learns its csrf, which it cannot know yet"
    assert (await w.ok("POST", "/u/session"))["uid"] == 0, "any authkey will do"


async def test_over_tls_the_cookie_is_for_tls_only(w: World) -> None:
    browser = Browser(w, url="https://velocity", origin="https://velocity")
    await browser.sign_in()
    assert browser.morsel is not None
    assert browser.morsel["secure"] is True
    assert browser.last.headers["strict-transport-security"] == "max-age=31536000"
    assert (await browser.call("POST", "/v/vm/list", gid=0)).status == 200
    browser.origin = "http://velocity"
    assert await browser.refused("POST", "/v/vm/list", gid=0) == (403, 101), "another scheme is another origin"


async def test_what_is_wrong_at_the_sign_in(w: World) -> None:
    browser = Browser(w)
    wrong = [
        await browser.call("PUT", "/u/session", name="root", password="wrong"),
        await browser.call("PUT", "/u/session", name="nobody", password=PASSWORD),
    ]
    assert [(one.status, one.code) for one in wrong] == [(403, 28200)] * 2
    assert wrong[0].body == wrong[1].body
    assert await browser.refused("PUT", "/u/session", link="guessed") == (403, 28200)
    for incomplete in ({}, {"name": "root"}, {"password": PASSWORD}, {"link": None}):
        assert await browser.refused("PUT", "/u/session", **incomplete) == (400, 400)
    browser.origin = "http://elsewhere"
    assert await browser.refused("PUT", "/u/session", name="root", password=PASSWORD) == (403, 101)
    assert browser.morsel is None, "none of these set a cookie"
    planned = await Browser(w).call("PUT", "/u/session", name="root", password=PASSWORD, plan=True)
    assert planned["steps"] == [{"do": "create", "kind": "session", "name": ""}]
    assert browser.morsel is None


async def test_guesses_are_limited(w: World) -> None:
    browser = Browser(w)
    guesses = w.server.services.access.users.guesses
    now = guesses.clock()
    guesses.clock = lambda: now
    codes = [(await browser.refused("PUT", "/u/session", name="root", password="wrong"))[1] for _ in range(12)]
    assert codes == [28200] * 10 + [429] * 2, "as at POST /u/auth"
    codes = [(await browser.refused("PUT", "/u/session", link="wrong"))[1] for _ in range(60)]
    assert codes.count(28200) == 40, "the address has 50 in all"


GUARDED_PAGES = ["http://elsewhere", "http://velocity:3000", "http://velocity.evil", "https://velocity", "null", ""]


@pytest.mark.holds("BROWSER-1")
@pytest.mark.parametrize("origin", GUARDED_PAGES)
async def test_a_page_of_another_origin_is_refused(w: World, origin: str) -> None:
    browser = Browser(w)
    await browser.sign_in()
    browser.origin = origin
    assert await browser.refused("PUT", "/u/group", name="a", parent_gid=0) == (403, 101), "even with the csrf"
    assert await browser.refused("POST", "/u/session") == (403, 101)
    mid = await w.medium()
    assert (await browser.send("GET", f"/m/media/content/{mid}")).json()["code"] == 101
    assert (await browser.send("HEAD", f"/m/media/content/{mid}")).status_code == 403
    browser.origin = "HTTP://Velocity"
    assert (await browser.call("POST", "/v/vm/list", gid=0)).status == 200
    browser.origin = None
    assert (await browser.call("POST", "/v/vm/list", gid=0)).status == 200, "an old browser sends none"


async def test_the_csrf(w: World) -> None:
    browser, other = Browser(w), Browser(w)
    right = (await browser.sign_in())["csrf"]
    theirs = (await other.sign_in())["csrf"]
    assert right != theirs
    for wrong in (None, "", theirs, right[:-1], right.upper(), browser.cookie):
        browser.csrf = wrong
        assert await browser.refused("PUT", "/u/group", name="a", parent_gid=0) == (403, 101)
        assert await browser.refused("POST", "/v/vm/list", gid=0) == (403, 101), "reading is no exception"
    browser.csrf = "\xff"
    assert await browser.refused("POST", "/v/vm/list", gid=0) == (403, 101)
    browser.csrf = right
    assert (await browser.call("PUT", "/u/group", name="a", parent_gid=0)).status == 200


@pytest.mark.holds("BROWSER-1")
async def test_no_operation_forgets_it(w: World) -> None:
    theirs = await Team().make(w, "theirs")
    browser = Browser(w)
    csrf = (await browser.sign_in())["csrf"]
    guarded = [one for one in OPERATIONS if one.cookie is Cookie.GUARDED and not one.streams]
    bare = {one.name for one in OPERATIONS if one.cookie is Cookie.BARE}
    ignored = {one.name for one in OPERATIONS if one.cookie is Cookie.IGNORED}
    assert (bare, ignored) == ({"show_session"}, {"sign_in", "renew", "open_session"}), "each has its reason"
    for operation in guarded:
        place = (operation.method.name, operation.path)
        ids = (theirs.uid, theirs.gid, theirs.low, theirs.vmid, theirs.tid, theirs.trid)
        sent = {**body(place, theirs.mid, *ids), "operation": "vm.view"}
        if operation.name == "search_screens":
            sent["text"] = "a word"
        browser.csrf, browser.origin = None, URL
        assert await browser.refused(*place, **sent) == (403, 101), operation.name
        browser.csrf, browser.origin = csrf, "http://elsewhere"
        assert await browser.refused(*place, **sent) == (403, 101), operation.name
    assert (await w.ok("POST", "/v/vm", vmid=theirs.vmid))["state"] == "STOPPED", "nothing was changed"
    assert (await w.ok("POST", "/u/user", theirs.key))["uid"] == theirs.uid


async def test_uploads_and_downloads_with_the_cookie(w: World) -> None:
    browser = Browser(w)
    await browser.sign_in()
    head = {
        "x_velocity_mpid": "1", "x_velocity_gid": "0", "x_velocity_name": "a", "x_velocity_type": "ISO",
        "x_velocity_readonly": "false",
    }  # fmt: skip
    tus = {"tus_resumable": "1.0.0", "upload_length": "3", "upload_metadata": "mpid MQ==,gid MA==,name Yg==,"
           "type SVNP,readonly ZmFsc2U="}  # fmt: skip
    part = {"tus_resumable": "1.0.0", "content_type": "application/offset+octet-stream", "upload_offset": "0"}
    uploaded = await browser.send("PUT", "/m/media/upload", b"abc", **head)
    assert uploaded.status_code == 200, uploaded.text
    begun = await browser.send("POST", "/m/media/tus", **tus)
    assert begun.status_code == 201, begun.text
    place = begun.headers["location"]
    csrf, browser.csrf = browser.csrf, None
    content = f"/m/media/content/{uploaded.json()['mid']}"
    assert (await browser.send("GET", content)).content == b"abc", "a link in the page cannot send the csrf"
    assert (await browser.send("HEAD", content)).headers["content-length"] == "3"
    assert (await browser.send("HEAD", place, tus_resumable="1.0.0")).headers["upload-offset"] == "0"
    for refused in (
        await browser.send("PUT", "/m/media/upload", b"abc", **{**head, "x_velocity_name": "c"}),
        await browser.send("POST", "/m/media/tus", **tus),
        await browser.send("PATCH", place, b"abc", **part),
        await browser.send("POST", place, b"abc", x_http_method_override="PATCH", **part),
        await browser.send("DELETE", place, tus_resumable="1.0.0"),
    ):
        assert (refused.status_code, refused.json()["code"]) == (403, 101)
    browser.csrf = csrf
    assert (await browser.send("PATCH", place, b"abc", **part)).status_code == 204
    listed = (await w.ok("POST", "/m/media/list", gid=0))["media"]
    assert sorted(one["name"] for one in listed) == ["a", "b"]


@pytest.mark.holds("BROWSER-3")
async def test_other_clients_are_not_touched(w: World) -> None:
    browser = Browser(w)
    await browser.sign_in()
    cookie = {"cookie": f"velocity={browser.cookie}", "origin": "http://elsewhere"}
    bob = await w.user("bob")
    for sent in ({"authorization": f"Bearer {bob}"}, {"x-velocity-authkey": bob}):
        answer = await w.raw("POST", "/u/user", **sent, **cookie)
        assert (answer.status, answer["name"]) == (200, "bob"), "the cookie comes last"
    in_body = await w.raw("POST", "/u/user", f'{{"authkey": "{bob}"}}', **cookie)
    assert (in_body.status, in_body["name"]) == (200, "bob")
    wrong = await w.raw("POST", "/u/user", authorization="Bearer wrong", **cookie)
    assert (wrong.status, wrong.code) == (401, 100), "the first present counts, also when it is wrong"
    answer = await w.raw("POST", "/u/auth", f'{{"name": "root", "password": "{PASSWORD}"}}', **cookie)
    assert answer.status == 200, "a sign-in looks at no cookie"
    assert set(answer.body) == {"authkey", "expires"}


@pytest.mark.holds("BROWSER-2")
async def test_no_script_gets_the_authkey_out_of_the_cookie(w: World) -> None:
    browser = Browser(w)
    await browser.sign_in()
    assert await browser.refused("PATCH", "/u/auth") == (401, 100)
    assert (await browser.call("POST", "/u/session")).status == 200, "and it has not ended"


async def test_cors_gives_no_other_origin_the_cookie(w: World) -> None:
    async with world(w.data.with_name("cors"), cors_origins=["http://friend"]) as other:
        browser = Browser(other)
        await browser.sign_in()
        browser.origin = "http://friend"
        assert await browser.refused("POST", "/v/vm/list", gid=0) == (403, 101)
        assert await browser.refused("PUT", "/u/session", name="root", password=PASSWORD) == (403, 101)
        asked = {"access_control_request_method": "PUT", "access_control_request_headers": "x-velocity-csrf"}
        preflight = await browser.send("OPTIONS", "/u/session", **asked)
        assert preflight.headers["access-control-allow-origin"] in ("*", "http://friend")
        assert "access-control-allow-credentials" not in preflight.headers
        key = {"authorization": f"Bearer {other.key}", "origin": "http://friend"}
        assert (await other.raw("POST", "/u/user", **key)).status == 200, "with an authkey of its own it may"


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
    assert set(agents) == {"Browser/1.0", "One/1\ufffd" + "x" * 194, next(a for a in agents if "httpx" in a)}
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
        sid for agent, sid in agents.items() if "httpx" in agent
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
        while not w.server.services.access.updates.changing.locked():
            await asyncio.sleep(0.001)
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
        ("root", "end_session", "sid=no such", 28310),
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
