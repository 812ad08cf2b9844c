"""Serial consoles through websockets: who may, who types, and what was said before. And the log (route 30)."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import msgspec
import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect
from websockets.typing import Origin, Subprotocol

from tests.api.world import PASSWORD, World
from tests.host import Host
from velocity.access.bounds import Waiting
from velocity.client import Client
from velocity.machines.consoles.keyboard import PATIENCE, Keyboard, Seat

CONTROL = Subprotocol("velocity.serial")


class Viewer:
    """One viewer of a serial console: what was told and what was said, each for itself."""

    def __init__(self, socket: ClientConnection) -> None:
        self.socket = socket
        self.said = b""
        self.told: list[dict[str, Any]] = []

    def next(self) -> dict[str, Any]:
        """What is told next."""
        while True:
            message = self.socket.recv(5)
            if isinstance(message, str):
                self.told.append(json.loads(message))
                return self.told[-1]
            self.said += message

    def until(self, **wanted: Any) -> dict[str, Any]:
        """What is told until it fits."""
        while True:
            told = self.next()
            if all(told.get(name) == value for name, value in wanted.items()):
                return told

    def hears(self, words: bytes) -> None:
        while words not in self.said:
            message = self.socket.recv(5)
            assert isinstance(message, bytes), message
            self.said += message

    def move(self, move: str) -> None:
        self.socket.send(json.dumps({"keyboard": move}))


@pytest.fixture
def room(host: Host) -> Iterator[Room]:
    with ExitStack() as opened:
        yield Room(host, opened)


class Room:
    """A running VM, and viewers of its console; the clock stands still until it is moved."""

    def __init__(self, host: Host, opened: ExitStack) -> None:
        self.host = host
        self.now = 0.0
        host.app.services.consoles.clock = lambda: self.now
        self._opened = opened
        self.client = opened.enter_context(Client(host.url, host.key))
        self.vmid = self.client.create_vm(name="x", gid=0, cpus=1, memory_mib=64).vmid
        self.client.set_vm_state(vmid=self.vmid, state="RUNNING")

    def user(self, name: str, gid: int = 0) -> Client:
        uid = self.client.create_user(name=name, password=PASSWORD).uid
        for permission in ("velocity.vm.view", "velocity.vm.interact"):
            self.client.grant_permission(uid=uid, gid=gid, permission=permission)
        client = self._opened.enter_context(Client(self.host.url))
        client.authkey = client.sign_in(name=name, password=PASSWORD).authkey
        return client

    def url(self, client: Client | None = None) -> str:
        ticket = (client or self.client).open_console(vmid=self.vmid, kind="serial")
        return self.host.url.replace("http", "ws") + ticket.path

    def view(self, client: Client | None = None, *, control: bool = True) -> Viewer:
        offered = [CONTROL] if control else None
        socket = connect(self.url(client), subprotocols=offered, proxy=None, compression=None)
        assert socket.subprotocol == (CONTROL if control else None)
        return Viewer(self._opened.enter_context(socket))


@pytest.mark.holds("CONSOLE-1")
def test_the_keyboard_is_asked_for_given_kept_and_released(room: Room) -> None:
    root, ann = room.view(), room.view(room.user("ann"))
    both = ["root", "ann"]
    assert root.until(viewers=both) == {"viewers": both, "keyboard": {"holder": None, "yours": False}}
    ann.until(viewers=both)

    root.socket.send(b"one ")  # the first who types has it
    assert root.until()["keyboard"] == {"holder": "root", "yours": True}
    assert ann.until()["keyboard"] == {"holder": "root", "yours": False}
    ann.hears(b"one ")

    ann.move("take")  # what is free only
    assert ann.next() == {"refused": True}
    ann.until(viewers=both)
    ann.socket.send(b"nobody hears this ")
    ann.move("ask")
    assert root.until(asks="ann")["keyboard"]["yours"] is True
    assert "asks" not in ann.next(), "the holder alone is asked"
    root.move("keep")
    assert "asks" not in root.next()
    ann.until(refused=True)

    ann.move("ask")
    root.until(asks="ann")
    root.move("give")
    root.until(keyboard={"holder": "ann", "yours": False})
    ann.until(keyboard={"holder": "ann", "yours": True})
    root.socket.send(b"nor this ")
    ann.socket.send(b"two ")
    for viewer in (root, ann):
        viewer.hears(b"one two ")
    ann.move("release")
    root.until(keyboard={"holder": None, "yours": False})
    root.move("take")
    root.until(keyboard={"holder": "root", "yours": True})


@pytest.mark.holds("CONSOLE-2")
def test_who_does_not_answer_hands_over_and_who_leaves_lets_go(room: Room) -> None:
    root, ann = room.view(control=False), room.view(room.user("ann"))
    root.socket.send(b"one ")  # a plain client, which is told nothing, has it as well
    ann.until(keyboard={"holder": "root", "yours": False})
    ann.move("ask")
    ann.next()
    room.now += PATIENCE - 0.1
    ann.socket.send(b"too early ")
    ann.move("ask")  # again changes nothing
    ann.move("take")
    ann.until(refused=True)
    room.now += 0.2
    ann.until(keyboard={"holder": "ann", "yours": True})
    ann.socket.send(b"two ")
    root.hears(b"one two ")

    again = room.view()
    again.hears(b"one two ")  # what was said before
    again.move("ask")
    ann.until(asks="root")
    ann.socket.close()
    again.until(viewers=["root", "root"], keyboard={"holder": "root", "yours": True})
    witness = room.view()
    again.socket.close()
    witness.until(viewers=["root", "root"], keyboard={"holder": None, "yours": False})
    root.socket.send(b"three ")
    root.hears(b"three ")


def test_a_frame_that_is_no_control_message_ends_it(room: Room) -> None:
    viewer = room.view()
    viewer.move("hand it over")
    with pytest.raises(ConnectionClosed) as closed:
        viewer.until(never=True)
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == 4400


@pytest.mark.holds("BOUND-28")
def test_a_frame_of_text_that_is_no_utf_8_ends_it_and_writes_nothing_into_the_log(
    room: Room, caplog: pytest.LogCaptureFixture
) -> None:
    for pieces in (b"\xff\xfe", [b"\xc3", b"("]):
        viewer = room.view()
        viewer.socket.send(pieces, text=True)
        with pytest.raises(ConnectionClosed) as closed:
            viewer.until(never=True)
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 1007
    viewer = room.view()
    viewer.socket.send(['{"keyboard": "take', '"}'])
    viewer.until(keyboard={"holder": "root", "yours": True})
    assert caplog.records == [], "whoever has a console could fill the host's disk with it"


@pytest.mark.holds("BOUND-30")
def test_a_user_has_so_many_consoles_open_and_nobody_else_feels_it(room: Room) -> None:
    room.host.app.services.consoles.opened = Waiting(2, "consoles open", "user_consoles", "close one first")
    ann = room.user("ann")
    first, second = room.view(ann), room.view(ann)
    with pytest.raises(InvalidStatus) as refused, connect(room.url(ann), proxy=None):
        pass
    body = json.loads(refused.value.response.body or b"")
    assert (refused.value.response.status_code, body["code"]) == (429, 429)
    assert "2 consoles open" in body["message"] and "user_consoles" in body["message"]
    other = room.view()
    other.until(viewers=["ann", "ann", "root"])
    first.socket.close()
    second.until(viewers=["ann", "root"])
    room.view(ann)


@pytest.mark.holds("CONSOLE-3")
def test_a_revoked_right_closes_it_and_frees_the_keyboard(room: Room) -> None:
    root, ann = room.view(), room.view(room.user("ann"))
    ann.move("take")
    root.until(keyboard={"holder": "ann", "yours": False})
    uid = next(user.uid for user in room.client.list_users().users if user.name == "ann")
    room.client.revoke_permission(uid=uid, gid=0, permission="velocity.vm.interact")
    with pytest.raises(ConnectionClosed) as closed:
        ann.until(never=True)
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == 4403
    root.until(viewers=["root"], keyboard={"holder": None, "yours": False})


@pytest.mark.holds("MORE-20")
def test_a_vm_that_moves_to_another_group_closes_it_for_who_may_not_use_it_there(room: Room) -> None:
    one, two = (room.client.create_group(name=name, parent_gid=0).gid for name in ("one", "two"))
    room.client.move_vm(vmid=room.vmid, gid=one)
    root, ann = room.view(), room.view(room.user("ann", one))
    root.until(viewers=["root", "ann"])
    room.client.move_vm(vmid=room.vmid, gid=two)
    with pytest.raises(ConnectionClosed) as closed:
        ann.until(never=True)
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == 4403
    root.until(viewers=["root"])


def denied(url: str, origin: str | None = None) -> int:
    with pytest.raises(InvalidStatus) as refused, connect(url, origin=Origin(origin) if origin else None, proxy=None):
        pass
    body = json.loads(refused.value.response.body or b"")
    assert body["error"] is True
    assert body["code"] == refused.value.response.status_code
    return int(body["code"])


@pytest.mark.holds("CONSOLE-4")
def test_what_does_not_open_a_console(room: Room, caplog: pytest.LogCaptureFixture) -> None:
    url = room.url()
    for origin in ("http://elsewhere.example", room.host.url.replace("http", "https"), "null"):
        assert denied(url, origin) == 403
    with connect(url, origin=Origin(room.host.url), proxy=None):
        pass  # our own page's, and a refused origin has not used the ticket up
    assert denied(url) == 404, "a ticket opens once"
    late = room.url()
    room.now += 31
    assert denied(late) == 404
    stale = room.url()
    room.client.set_vm_state(vmid=room.vmid, state="STOPPED", force=True)
    assert denied(stale) == 410
    ended = room.url(None) if room.client.set_vm_state(vmid=room.vmid, state="RUNNING") else ""
    room.client.set_vm_state(vmid=room.vmid, state="STOPPED", force=True)
    room.client.set_vm_state(vmid=room.vmid, state="RUNNING")
    assert denied(ended) == 410, "a ticket is for one run"
    assert caplog.records == [], "a refusal is no error of the server's"


def test_three_at_one_keyboard() -> None:
    now = [0.0]
    keyboard = Keyboard(lambda: now[0])
    one, two, three = (keyboard.join(name) for name in ("one", "two", "three"))
    assert keyboard.types(one)
    keyboard.move(two, "ask")
    keyboard.move(three, "ask")
    assert told(three)[0] == {"refused": True}, "one question at a time"
    keyboard.move(three, "give")
    keyboard.move(three, "keep")
    keyboard.move(three, "release")
    assert holder(one) == "one", "only the holder's answer counts"
    keyboard.leave(two)
    now[0] += PATIENCE
    keyboard.look()
    assert holder(one) == "one", "who asked has left"
    keyboard.move(three, "ask")
    keyboard.move(one, "release")
    assert holder(one) == "three", "who asks has it before all others"
    keyboard.leave(three)
    assert holder(one) is None
    assert not keyboard.deserted
    keyboard.leave(one)
    keyboard.leave(one)
    assert keyboard.deserted


def told(seat: Seat) -> list[dict[str, Any]]:
    return [msgspec.json.decode(msgspec.json.encode(one)) for one in seat.fetch()]


def holder(seat: Seat) -> Any:
    return told(seat)[-1]["keyboard"]["holder"]


@pytest.mark.anyio
async def test_the_log_of_a_vm(w: World) -> None:
    vmid = await w.vm()
    stranger, viewer = await w.user("stranger"), await w.user("viewer", (0, "vm.view"))
    assert await w.refused("POST", "/v/vm/log", stranger, vmid=vmid) == (404, 30110)
    assert await w.refused("POST", "/v/vm/log", viewer, vmid=vmid) == (403, 30100)
    assert await w.refused("POST", "/v/vm/log", vmid=999) == (404, 30110)
    for size in (0, (1 << 20) + 1):
        assert await w.refused("POST", "/v/vm/log", vmid=vmid, bytes=size) == (400, 400)
    assert (await w.ok("POST", "/v/vm/log", vmid=vmid)).body == {"vmid": vmid, "text": "", "complete": True}

    await w.ok("PUT", "/v/vm/state", vmid=vmid, state="RUNNING")
    next(iter(w.hypervisor.runs.values())).say(b"one \xff" + " zwölf".encode())
    assert (await w.ok("POST", "/v/vm/log", vmid=vmid))["text"] == "one \ufffd zwölf"
    await w.ok("PUT", "/v/vm/state", vmid=vmid, state="STOPPED", force=True)
    assert (await w.ok("POST", "/v/vm/log", vmid=vmid, bytes=12))["complete"] is True
    end = await w.ok("POST", "/v/vm/log", vmid=vmid, bytes=4)
    assert (end["text"], end["complete"]) == ("ölf", False)
