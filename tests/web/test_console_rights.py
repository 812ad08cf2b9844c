"""Consoles in a browser: a ticket opens one, once, for whom it was given; and a console ends with the right to it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.api.world import PASSWORD
from tests.host import Host, hosting
from tests.patience import at_last
from tests.web.conftest import NewPerson
from tests.web.elsewhere import Elsewhere
from tests.web.person import Person
from velocity.client import Client
from velocity.contract.machines import Display
from velocity.hypervisor.fake import FakeStream
from velocity.machines.consoles.consoles import LIFETIME

pytestmark = pytest.mark.xdist_group("console rights")  # they share a host

OPEN = """url => new Promise(tell => {
    const said = {opened: false, text: ""}
    const socket = new WebSocket(url)
    socket.binaryType = "arraybuffer"
    socket.onopen = () => { said.opened = true }
    socket.onmessage = ({data}) => {
        said.text += typeof data === "string" ? data : new TextDecoder().decode(data)
        if (said.text.endsWith("END")) socket.close()
    }
    socket.onclose = ({code}) => tell({...said, code})
    setTimeout(() => tell({...said, code: "still open"}), 60_000)
})"""
"""Opens a websocket, and tells how it went when it is closed: what says END is left by us."""
HOLD = """url => new Promise(tell => {
    const socket = new WebSocket(url)
    socket.onopen = tell
    const end = new Promise(closed => { socket.onclose = ({code, reason}) => closed({code, reason}) })
    window.ends = [...(window.ends ?? []), end]
})"""
"""Opens one and keeps it."""
ENDS = "Promise.race([Promise.all(ends), new Promise(tell => setTimeout(tell, 60_000, 'still open'))])"
"""How those that were kept have been closed."""
ASK = """async body => {
    const csrf = (await (await fetch("/u/session", {method: "POST", body: "{}"})).json()).csrf
    const headers = {"content-type": "application/json", "x-velocity-csrf": csrf}
    const answer = await fetch("/v/vm/console", {method: "POST", headers, body: JSON.stringify(body)})
    return {status: answer.status, ...(await answer.json())}
}"""
REFUSED = {"opened": False, "text": "", "code": 1006}
"""All that a browser tells a page of a handshake that was refused."""


@dataclass
class Room:
    """Two VMs that run, each of which has said something; ann may use the first one. The clock is ours to move."""

    host: Host
    client: Client
    ann: int
    now: float = 0.0

    def __post_init__(self) -> None:
        self.host.app.services.consoles.clock = lambda: self.now

    def ticket(self, page: Page, vmid: int = 1, **more: Any) -> dict[str, Any]:
        asked: dict[str, Any] = page.evaluate(ASK, {"vmid": vmid, "kind": "serial"} | more)
        return asked

    def url(self, page: Page, vmid: int = 1) -> str:
        return self.host.url.replace("http", "ws") + str(self.ticket(page, vmid)["path"])

    def streams(self) -> list[FakeStream]:
        """The consoles that are open."""
        return [stream for run in self.host.hypervisor.runs.values() for stream in run.streams]

    def is_left(self) -> None:
        """No console is open, soon: the page may say so before the server has closed it."""
        at_last(lambda: not self.streams(), "the end of the streams")

    def end_sessions(self) -> None:
        """Wherever ann is signed in."""
        with Client(self.host.url) as client:
            client.authkey = client.sign_in(name="ann", password=PASSWORD).authkey
            for one in sorted(client.list_sessions().sessions, key=lambda one: one.current):
                client.end_session(sid=one.sid)

    def may(self, *permissions: str) -> None:
        """ann holds these on the group of the first VM, and no others."""
        wanted = {f"velocity.{one}" for one in permissions}
        members = self.client.show_user(uid=self.ann).memberships
        held = {one.name for member in members for one in member.permissions}
        for permission in held - wanted:
            self.client.revoke_permission(uid=self.ann, gid=1, permission=permission)
        for permission in wanted - held:
            self.client.grant_permission(uid=self.ann, gid=1, permission=permission)


@pytest.fixture(scope="module")
def room(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Room]:
    with hosting(tmp_path_factory.mktemp("host") / "data") as host, Client(host.url, host.key) as client:
        gid = client.create_group(name="team", parent_gid=0).gid
        display = Display(name="display0", width=64, height=64)
        for name, where in (("ours", gid), ("theirs", 0)):
            vmid = client.create_vm(name=name, gid=where, cpus=1, memory_mib=64, displays=[display]).vmid
            client.set_vm_state(vmid=vmid, state="RUNNING")
        for run in host.hypervisor.runs.values():
            run.say(f"{run.spec.name} says END".encode())
        yield Room(host, client, client.create_user(name="ann", password=PASSWORD).uid)


@pytest.fixture
def ann(room: Room, person: NewPerson) -> Person:
    room.may("vm.view", "vm.interact")
    one = person(room.host.url)
    one.enter("ann")
    return one


def test_a_ticket_opens_one_console_once(room: Room, ann: Person, elsewhere: Elsewhere) -> None:
    url = room.url(ann.page)
    other = ann.page.context.new_page()
    for origin in (elsewhere.neighbour, elsewhere.stranger):
        other.goto(origin)
        assert other.evaluate(OPEN, url) == REFUSED, "a page of another origin has come by it"
    ours = {"opened": True, "text": "ours says END", "code": 1005}
    assert ann.page.evaluate(OPEN, url) == ours, "that has not used it up"
    assert ann.page.evaluate(OPEN, url) == REFUSED
    late = room.url(ann.page)
    room.now += LIFETIME
    assert ann.page.evaluate(OPEN, late) == REFUSED
    assert ann.page.evaluate(OPEN, room.url(ann.page)) == ours
    ann.excuse("response code: 404", 2)


def test_a_ticket_is_for_one_machine(room: Room, ann: Person) -> None:
    hidden, missing = room.ticket(ann.page, vmid=2), room.ticket(ann.page, vmid=99)
    assert (hidden["status"], hidden["code"]) == (missing["status"], missing["code"]) == (404, 19110)
    assert hidden["message"].replace("2", "99") == missing["message"]
    url = room.url(ann.page) + "?vmid=2"
    assert ann.page.evaluate(OPEN, url)["text"] == "ours says END"


def test_a_ticket_outlives_neither_the_right_nor_the_session(room: Room, ann: Person) -> None:
    url = room.url(ann.page)
    room.may("vm.view")
    assert room.ticket(ann.page)["code"] == 19100
    assert ann.page.evaluate(OPEN, url) == REFUSED
    room.may("vm.view", "vm.interact")
    url = room.url(ann.page)
    room.end_sessions()
    assert ann.page.evaluate(OPEN, url) == REFUSED
    ann.excuse("response code: 403", 2)


@pytest.mark.parametrize("end", ["right", "session"])
def test_what_is_open_is_closed(room: Room, ann: Person, end: str) -> None:
    for kind in ("serial", "display"):
        url = room.host.url.replace("http", "ws") + str(room.ticket(ann.page, kind=kind)["path"])
        ann.page.evaluate(HOLD, url)
    at_last(lambda: len(room.streams()) == 2, "the two alone: those of before may end only now")
    if end == "right":
        room.may("vm.view")
    else:
        room.end_sessions()
    closed = {"code": 4403, "reason": "the authkey or the permission is no longer valid"}
    assert ann.page.evaluate(ENDS) == [closed] * 2
    room.is_left()


def test_the_page_says_that_a_right_has_ended(room: Room, ann: Person) -> None:
    page = ann.page
    ann.go("/vms/1/serial")
    expect(page.get_by_text("The keyboard is free")).to_be_visible()
    room.may("vm.view")
    expect(page.get_by_text("needs the permission “Use the consoles of virtual machines”")).to_be_visible()
    expect(page.locator(".v-terminal")).to_have_count(0)
    room.is_left()
    room.may("vm.view", "vm.interact")
    expect(page.get_by_text("The keyboard is free")).to_be_visible()


def test_the_page_says_that_the_session_has_ended(room: Room, ann: Person) -> None:
    page = ann.page
    ann.go("/vms/1/serial")
    expect(page.get_by_text("The keyboard is free")).to_be_visible()
    room.end_sessions()
    expect(page.get_by_text("Your session or your permission for this console is no longer valid.")).to_be_visible()
    asked = page.get_by_role("dialog", name="Your session has ended")
    expect(asked).to_be_visible()
    room.is_left()
    asked.get_by_label("Password").fill(PASSWORD)
    asked.get_by_role("button", name="Sign in", exact=True).click()
    expect(page.get_by_text("The keyboard is free")).to_be_visible()
