"""Pages of another origin, in the browser in which root is signed in: they change nothing and read nothing."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import msgspec
import pytest
from playwright.sync_api import Browser, Page, expect

from tests.host import Host, hosting
from tests.web.conftest import people
from tests.web.elsewhere import Elsewhere
from tests.web.person import Person
from velocity.client import Client
from velocity.contract.operation import Cookie, Method
from velocity.contract.registry import OPERATIONS
from velocity.contract.sessions import SHOW

pytestmark = pytest.mark.xdist_group("foreign pages")  # they share a page

FETCH = """async ({url, method, type, body, mode, csrf}) => {
    const headers = {"content-type": type, ...(csrf ? {"x-velocity-csrf": csrf} : {})}
    try {
        const answer = await fetch(url, {method, headers, body, mode, credentials: "include"})
        return {type: answer.type, text: await answer.text()}
    } catch (error) { return {type: "refused"} }
}"""
LOAD = """({tag, from}) => new Promise(tell => {
    const element = document.createElement(tag)
    element.addEventListener("load", () => tell("loaded"))
    element.addEventListener("error", () => tell("refused"))
    element[tag === "link" ? "href" : "src"] = from
    if (tag === "link") element.rel = "stylesheet"
    document.body.append(element)
})"""
LISTEN = """url => new Promise(tell => {
    const source = new EventSource(url, {withCredentials: true})
    source.onopen = source.onmessage = () => tell("open")
    source.onerror = () => tell("refused")
})"""
SEND = """({url, text}) => {
    const form = document.createElement("form")
    Object.assign(form, {action: url, method: "POST", enctype: "text/plain"})
    const [name, value] = text.split(/=(.*)/s)
    form.append(Object.assign(document.createElement("input"), {type: "hidden", name, value}))
    document.body.append(form)
    form.submit()
}"""

IDS = {"gid": 0, "parent_gid": 0, "uid": 0, "vmid": 1, "tid": 1, "mpid": 1, "trid": 1}
SENT = {
    **IDS, "name": "evil", "password": "evil evil", "permission": "velocity.vm.view", "state": "RUNNING", "quota": 0,
    "write": True, "manage": True, "size": 1024, "type": "DISK", "cpus": 1, "memory_mib": 64, "kind": "serial",
    "span": "hour", "text": "login", "operation": "create_vm",
}  # fmt: skip
OTHERWISE: dict[str, dict[str, object]] = {
    "/v/vm/screen": {"text": True},
    "/v/vm/guest/file": {"path": "/etc/hostname"},
    "/h/node": {"host": 1},
    "/h/node/fence": {"host": 1},
}
"""Sense to every operation; fields that one does not know it ignores."""


@dataclass
class Scene:
    """root is signed in on one page; another page of the same browser is elsewhere."""

    host: Host
    root: Person
    page: Page
    mid: str

    def try_(self, method: str, path: str, mode: str, type: str, csrf: str = "") -> str:
        asked = {
            "url": self.host.url + path,
            "method": method,
            "type": type,
            "body": json.dumps(SENT | OTHERWISE.get(path, {}) | {"mid": self.mid}),
            "mode": mode,
        }
        return str(self.page.evaluate(FETCH, asked | {"csrf": csrf})["type"])

    def everything(self) -> Any:
        """What there is, as root sees it."""
        with Client(self.host.url, self.host.key) as client:
            groups = client.list_groups().groups
            told = {
                "groups": groups,
                "members": [client.show_group(gid=one.gid) for one in groups],
                "quotas": [client.show_quota(gid=one.gid) for one in groups],
                "pools": [(one.mpid, one.used) for group in groups for one in client.list_pools(gid=group.gid).pools],
                "users": client.list_users(),
                "vms": [client.show_vm(vmid=one.vmid) for one in client.list_vms(gid=0).vms],
                "media": client.list_media(gid=0).media,
                "trash": client.list_trash(),
                "sessions": sorted(one.sid for one in client.list_sessions().sessions),
            }
        return msgspec.to_builtins(told)

    def refusals(self) -> Counter[tuple[str, int | None]]:
        """What the server refused, and how often: operation and code. Of nobody, one operation stands for all."""
        with Client(self.host.url, self.host.key) as client:
            entries = client.list_history(refused=True, limit=1000).entries
        refused: Counter[tuple[str, int | None]] = Counter()
        for one in entries:
            refused[one.operation, one.code or None] += one.times if isinstance(one.times, int) else 1
        return refused


@pytest.fixture(scope="module")
def scene(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    with hosting(tmp_path_factory.mktemp("host") / "data") as host, people(browser) as come:
        host.ok("vm", "create", "web", "--memory", "64M", "--display", "64x64")
        host.ok("vm", "start", "web")
        with Client(host.url, host.key) as client:
            mid = client.create_medium(mpid=1, gid=0, name="disk", type="DISK", size=1 << 20).mid
        root = come(host.url)
        root.enter("root")
        yield Scene(host, root, root.page.context.new_page(), str(mid))


def test_what_needs_no_preflight_is_refused(scene: Scene, elsewhere: Elsewhere) -> None:
    """A page of another origin can send these by itself: it gets no answer, and they are not carried out."""
    before, sofar = scene.everything(), scene.refusals()
    asked = [one for one in OPERATIONS if one.method is Method.POST and one.cookie is not Cookie.IGNORED]
    told = [one.name for one in asked if one is not SHOW]  # which is no entry in the history
    scene.page.goto(elsewhere.neighbour)
    for operation in asked:
        for mode in ("cors", "no-cors"):
            assert scene.try_("POST", operation.path, mode, "text/plain") == "refused"
    assert scene.refusals() - sofar == Counter({(one, 101): 2 for one in told}), "the cookie came with them"
    sofar = scene.refusals()
    scene.page.goto(elsewhere.stranger)
    for operation in asked:
        assert scene.try_("POST", operation.path, "no-cors", "text/plain") == "refused"
    since = scene.refusals() - sofar
    assert {code for _, code in since} == {100}, "no cookie came with them"
    assert since.total() == len(told)
    assert scene.everything() == before


def test_what_changes_something_is_not_even_sent(scene: Scene, elsewhere: Elsewhere) -> None:
    before, refused = scene.everything(), scene.refusals()
    csrf = scene.root.page.evaluate(
        "fetch('/u/session', {method: 'POST', body: '{}'}).then(answer => answer.json()).then(({csrf}) => csrf)"
    )
    for origin in (elsewhere.neighbour, elsewhere.stranger):
        scene.page.goto(origin)
        for operation in OPERATIONS:
            if operation.method is not Method.POST:
                sent = (operation.method.name, operation.path, "cors", "application/json", csrf)
                assert scene.try_(*sent) == "refused", "even of who has come to know the csrf"
    assert scene.everything() == before
    assert scene.refusals() == refused, "the browser asked whether it may, and was not told so"


def test_a_form_that_sends_itself(scene: Scene, elsewhere: Elsewhere) -> None:
    before = scene.everything()
    text = json.dumps(SENT | {"pad": "="})
    for origin, expected in ((elsewhere.neighbour, (403, 101)), (elsewhere.stranger, (401, 100))):
        for path in ("/v/vm/console", "/u/session", "/v/vm/screen/search"):
            scene.page.goto(origin)
            with scene.page.expect_navigation(url=scene.host.url + path) as told:
                scene.page.evaluate(SEND, {"url": scene.host.url + path, "text": text})
            assert told.value is not None
            body = told.value.json()
            assert (told.value.status, body["code"]) == expected, body
            assert set(body) == {"code", "message", "reason", "error"}
    assert scene.everything() == before


def test_nothing_can_be_read_or_framed(scene: Scene, elsewhere: Elsewhere) -> None:
    url = scene.host.url
    for origin in (elsewhere.neighbour, elsewhere.stranger):
        scene.page.goto(origin)
        for tag, path in (
            ("img", "/v/vm/screen?vmid=1"), ("img", f"/m/media/content/{scene.mid}"), ("script", "/openapi.json"),
            ("script", f"/m/media/content/{scene.mid}"), ("link", "/openapi.json"),
        ):  # fmt: skip
            assert scene.page.evaluate(LOAD, {"tag": tag, "from": url + path}) == "refused", path
        assert scene.page.evaluate(LISTEN, url + "/v/events") == "refused"
        with scene.page.expect_event("framenavigated", lambda frame: frame.parent_frame is not None):
            scene.page.evaluate(LOAD, {"tag": "iframe", "from": url + "/vms"})
        (frame,) = scene.page.main_frame.child_frames
        assert frame.url == "chrome-error://chromewebdata/"
        assert "web" not in frame.locator("body").inner_text()


def test_who_opens_our_page_gets_no_hold_of_it(scene: Scene, elsewhere: Elsewhere) -> None:
    """A link from elsewhere leads to the page, signed in; the page that opened it can neither see nor lead it."""
    scene.page.goto(elsewhere.stranger)
    with scene.page.expect_popup() as opened:
        scene.page.evaluate("url => { window.got = open(url) }", scene.host.url + "/vms/1")
    ours = opened.value
    expect(ours.get_by_role("heading", level=1)).to_have_text("web")
    assert ours.evaluate("opener") is None
    assert ours.evaluate("document.referrer") in ("", elsewhere.stranger + "/")
    assert scene.page.evaluate("got.closed"), "as if it had been closed"
