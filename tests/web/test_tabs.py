"""Many tabs of one browser: a browser has six connections to a server for all of them, so they share one stream."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import pytest
from playwright.sync_api import Error, Route, expect

from tests.api.world import PASSWORD
from tests.host import Host
from tests.patience import PATIENCE
from tests.web.conftest import PLAIN, NewPerson
from tests.web.line import Line
from tests.web.person import Person
from velocity.client import Client
from velocity.contract.machines import Display

SOON = PATIENCE * 1000
"""Milliseconds for what takes one or two, on a busy machine."""
ASK = """() => fetch("/u/session", {method: "POST", body: "{}", signal: AbortSignal.timeout(60_000)})
    .then(answer => answer.status, error => String(error))"""
"""A plain request: what is answered, or why nothing is."""
CONSOLE = """async body => {
    const ask = async (path, body, headers) => {
        const signal = AbortSignal.timeout(60_000)
        return (await fetch(path, {method: "POST", headers, body: JSON.stringify(body), signal})).json()
    }
    const {csrf} = await ask("/u/session", {})
    const {path} = await ask("/v/vm/console", body, {"content-type": "application/json", "x-velocity-csrf": csrf})
    const socket = new WebSocket(location.origin.replace("http", "ws") + path)
    window.kept = [...(window.kept ?? []), socket]
    return new Promise(tell => {
        socket.onopen = () => tell("open")
        setTimeout(tell, 60_000, "not open")
    })
}"""
"""Opens a console, and keeps it."""
TELLTALE = """new MutationObserver(() => {
    if (document.documentElement.textContent.includes("WORD")) window.shown = true
}).observe(document, {subtree: true, childList: true, characterData: true})"""
"""Notes whether a word was ever in the document."""


def machine(host: Host, name: str, gid: int = 0) -> int:
    """A VM that runs, with a display."""
    with Client(host.url, host.key) as client:
        display = Display(name="display0", width=64, height=64)
        vmid = client.create_vm(name=name, gid=gid, cpus=1, memory_mib=64, displays=[display]).vmid
        client.set_vm_state(vmid=vmid, state="RUNNING")
    return vmid


def streams(host: Host) -> int:
    """Streams of events that the server has open."""
    return host.app.services.events.readers.count


def follow(host: Host, tabs: Sequence[Person], before: str, after: str) -> None:
    """Each tab, at the page of that VM, sees it renamed by the command line, without being loaded again."""
    loads = [one.loads for one in tabs]
    host.ok("vm", "set", before, "--name", after)
    for one in tabs:
        expect(one.page.get_by_role("heading", level=1)).to_have_text(after, timeout=SOON)
    assert [one.loads for one in tabs] == loads


def share(host: Host, tabs: Sequence[Person]) -> None:
    """They have one stream, soon."""
    tabs[0].until(lambda: streams(host) == 1, seconds=PATIENCE)


def find_another_worker(host: Host, tabs: Sequence[Person]) -> None:
    """The one that they had has ended, which each finds in half a minute of the tabs' clock."""

    def found() -> bool:
        tabs[0].page.context.clock.fast_forward(30_000)
        return streams(host) == 1

    tabs[0].until(found, seconds=PATIENCE)


@pytest.mark.holds("PAGE-11")
def test_eight_tabs_with_two_consoles_each_load_follow_and_are_answered(host: Host, person: NewPerson) -> None:
    """Over plain HTTP at a name, as in a LAN: there a page has less at hand than on its own machine."""
    vmid = machine(host, "web")
    one = person(host.url.replace("127.0.0.1", PLAIN))
    one.sign_in("root")
    one.open(f"/vms/{vmid}/serial")
    assert one.page.evaluate("isSecureContext") is False
    expect(one.page.get_by_text("The keyboard is free")).to_be_visible(timeout=SOON)
    tabs = [one]
    for _ in range(7):
        assert tabs[-1].page.evaluate(CONSOLE, {"vmid": vmid, "kind": "display"}) == "open"
        tabs.append(one.tab(f"/vms/{vmid}"))
        expect(tabs[-1].page.get_by_role("heading", level=1)).to_have_text("web", timeout=SOON)
        assert tabs[-1].page.evaluate(CONSOLE, {"vmid": vmid, "kind": "serial"}) == "open"
    assert tabs[-1].page.evaluate(CONSOLE, {"vmid": vmid, "kind": "display"}) == "open"
    assert sum(len(run.streams) for run in host.hypervisor.runs.values()) == 16
    follow(host, tabs, "web", "renamed")
    assert [tab.page.evaluate(ASK) for tab in tabs] == [200] * 8
    share(host, tabs)
    one.excuse("Cross-Origin-Opener-Policy header has been ignored", 9)  # by each page: it is for HTTPS


@pytest.mark.holds("PAGE-12")
def test_a_tab_that_is_closed_or_crashes_takes_nothing_from_the_others(host: Host, person: NewPerson) -> None:
    vmid = machine(host, "one")
    first = person(host.url)
    first.page.context.clock.install()
    first.enter("root", f"/vms/{vmid}")
    closed, *rest = [first.tab(f"/vms/{vmid}") for _ in range(3)]
    follow(host, [first, closed, *rest], "one", "two")
    closed.page.close()
    follow(host, [first, *rest], "two", "three")
    share(host, rest)
    with pytest.raises(Error):
        first.page.goto("chrome://crash")  # ends the process of the tab, and the worker, which it began
    rest[0].until(lambda: streams(host) == 0, seconds=PATIENCE)
    first.page.close()
    find_another_worker(host, rest)
    follow(host, rest, "three", "four")


@pytest.mark.holds("PAGE-13")
def test_a_session_that_ends_asks_in_every_tab_and_one_answer_is_enough(host: Host, person: NewPerson) -> None:
    vmid = machine(host, "one")
    first = person(host.url)
    first.enter("root", f"/vms/{vmid}")
    tabs = [first, *(first.tab(f"/vms/{vmid}") for _ in range(2))]
    follow(host, tabs, "one", "two")
    host.ok("session", "end", "--others")
    for one in tabs:
        expect(one.page.get_by_role("dialog", name="Your session has ended")).to_be_visible(timeout=SOON)
    tabs[1].sign_in_again()
    for one in tabs:
        expect(one.page.get_by_role("dialog")).to_have_count(0, timeout=SOON)
    follow(host, tabs, "two", "three")
    share(host, tabs)


@pytest.mark.holds("PAGE-14")
def test_nothing_of_who_signed_out_is_shown_to_who_signs_in(host: Host, person: NewPerson) -> None:
    with Client(host.url, host.key) as client:
        team = client.create_group(name="team", parent_gid=0).gid
        ann = client.create_user(name="ann", password=PASSWORD).uid
        client.grant_permission(uid=ann, gid=team, permission="velocity.vm.view")
    machine(host, "secret-of-root")
    machine(host, "of-the-team", team)
    first = person(host.url)
    first.enter("root", "/vms")
    tabs = [first, *(first.tab("/vms") for _ in range(2))]
    for one in tabs:
        expect(one.page.get_by_role("link", name="secret-of-root", exact=True)).to_be_visible(timeout=SOON)
    first.page.context.add_init_script(TELLTALE.replace("WORD", "secret-of-root"))
    first.page.get_by_role("button", name="root", exact=True).click()
    first.page.get_by_role("menuitem", name="Sign out").click()
    for one in tabs[1:]:
        expect(one.page.get_by_role("dialog", name="Your session has ended")).to_be_visible(timeout=SOON)
    first.page.wait_for_url(f"{host.url}/", timeout=SOON)  # it leaves by itself
    first.sign_in("ann")
    tabs.append(first.tab("/vms"))
    for one in tabs:
        expect(one.page.get_by_role("button", name="ann", exact=True)).to_be_visible(timeout=SOON)
        one.go("/vms")
        expect(one.page.get_by_role("link", name="of-the-team", exact=True)).to_be_visible(timeout=SOON)
        expect(one.page.get_by_text("secret-of-root")).to_have_count(0)
        assert one.page.evaluate("window.shown") is None
    share(host, tabs)


@pytest.mark.holds("PAGE-12")
def test_after_a_cut_every_tab_knows_what_came_in_between(host: Host, person: NewPerson) -> None:
    vmid = machine(host, "one")
    with Line(int(host.url.rpartition(":")[2])) as line:
        first = person(line.url)
        first.enter("root", f"/vms/{vmid}")
        tabs = [first, first.tab(f"/vms/{vmid}")]
        follow(host, tabs, "one", "two")
        line.cut_after(0)
        first.page.evaluate(ASK)
        for one in tabs:
            expect(one.page.get_by_text("Connection lost: reconnecting")).to_be_visible(timeout=SOON)
        host.ok("vm", "set", "two", "--name", "three")
        line.mend()
        for one in tabs:
            expect(one.page.get_by_role("heading", level=1)).to_have_text("three", timeout=SOON)
            expect(one.page.get_by_text("Connection lost: reconnecting")).to_have_count(0)
        share(host, tabs)


@pytest.mark.holds("PAGE-99")
def test_a_server_that_does_not_respond_is_told_before_a_minute_of_waiting(host: Host, person: NewPerson) -> None:
    vmid = machine(host, "one")
    with Line(int(host.url.rpartition(":")[2])) as line:
        first = person(line.url)
        first.enter("root", f"/vms/{vmid}")
        tabs = [first, first.tab(f"/vms/{vmid}")]
        follow(host, tabs, "one", "two")
        line.hold()
        first.page.get_by_role("button", name="Pause", exact=True).click()
        for one in tabs:
            expect(one.page.get_by_text("The server does not respond")).to_be_visible(timeout=20_000)
        line.let_go()
        for one in tabs:
            expect(one.page.get_by_text("The server does not respond")).to_have_count(0)
            expect(one.page.get_by_text("Paused").first).to_be_visible()
        assert first.page.get_by_text("Connection lost").count() == 0
        share(host, tabs)


@pytest.mark.holds("PAGE-99")
def test_a_sign_in_that_waits_says_so_and_goes_on(host: Host, person: NewPerson) -> None:
    with Line(int(host.url.rpartition(":")[2])) as line:
        one = person(line.url)
        one.open("/")
        one.page.get_by_label("Name").fill("root")
        one.page.get_by_label("Password").fill(PASSWORD)
        line.hold()
        one.page.get_by_role("button", name="Sign in").click()
        expect(one.page.get_by_text("The server does not respond yet.")).to_be_visible(timeout=20_000)
        line.let_go()
        expect(one.page.get_by_role("navigation", name="Places")).to_be_visible()


@pytest.mark.holds("PAGE-15")
def test_without_shared_workers_each_tab_has_a_stream(host: Host, person: NewPerson) -> None:
    vmid = machine(host, "one")
    first = person(host.url)
    first.page.context.add_init_script("delete window.SharedWorker")
    first.enter("root", f"/vms/{vmid}")
    tabs = [first, first.tab(f"/vms/{vmid}")]
    follow(host, tabs, "one", "two")
    first.until(lambda: streams(host) == 2, seconds=PATIENCE)


@pytest.mark.holds("PAGE-16")
def test_uploads_of_all_tabs_take_turns(host: Host, person: NewPerson, tmp_path: Path) -> None:
    first = person(host.url)
    held: list[Route] = []
    let_through = False

    def hold(route: Route) -> None:
        if let_through:
            route.continue_()
        else:
            held.append(route)

    first.page.context.route("**/m/media/tus**", hold)
    first.enter("root", "/media")
    tabs = [first, *(first.tab("/media") for _ in range(2))]
    for number, one in enumerate(tabs):
        files = [tmp_path / f"{number}-{name}.img" for name in "ab"]
        for file in files:
            file.write_bytes(b"image")
        with one.page.expect_file_chooser() as chooser:
            one.page.get_by_role("button", name="Upload", exact=True).click()
        chooser.value.set_files(files)
        dialog = one.page.get_by_role("dialog")
        expect(dialog).to_contain_text("free in the pool")  # which moves the button
        dialog.get_by_role("button", name=re.compile("^Upload")).click()
        shown = "Uploading" if one is first else "Waiting for other uploads"
        expect(one.page.get_by_role("region", name="Uploads")).to_contain_text(shown)
    assert len(held) == 2, "the others wait for their turn"
    let_through = True
    for route in held:
        route.continue_()
    with Client(host.url, host.key) as client:
        first.until(lambda: len(client.list_media(gid=0).media) == 6, seconds=PATIENCE)
