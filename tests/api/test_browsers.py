"""Route 28: browsers sign in; what counts with their cookie, and from which pages."""

from __future__ import annotations

import pytest

from tests.api.browsers import URL, Browser
from tests.api.test_strangers import Team, body
from tests.api.world import PASSWORD, World, world
from velocity.contract.operation import Cookie
from velocity.contract.registry import OPERATIONS

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
    guesses = w.server.services.access.users.throttle
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
    reasons = {"sign_in", "renew", "open_session", "join_node"}
    assert (bare, ignored) == ({"show_session"}, reasons), "each has its reason"
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
