"""A user's many connections: what came by them is parsed and begun in that user's turns, and nothing is lost."""

from __future__ import annotations

import asyncio
import hashlib
from contextlib import AsyncExitStack
from typing import Any

import pytest
from uvicorn.protocols.http.flow_control import FlowControl

from tests.api.test_bounds import answered, connected
from tests.api.world import World
from tests.listening import Steps, listening
from tests.patience import eventually
from velocity.access.rules import Session
from velocity.api.request import TURN
from velocity.api.senders import Sender
from velocity.api.turns import SHARE, Turns

pytestmark = pytest.mark.anyio

MANY = 24


def asked(key: str, path: str = "/v/vm/list", method: str = "POST", body: bytes = b'{"gid": 0}') -> bytes:
    head = f"{method} {path} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {key}\r\ncontent-length: {len(body)}\r\n\r\n"
    return head.encode() + body


def slow(turns: Turns) -> None:
    """From now on each look at the clock says that a request took long."""
    now = turns.clock()

    def clock() -> float:
        nonlocal now
        now += 10 * SHARE
        return now

    turns.clock = clock


@pytest.mark.holds("BOUND-34")
@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/v/vm/list"),
        ("GET", "/v/vm/screen?vmid=1"),
        ("PUT", "/m/media/upload"),
        ("GET", "/x"),
        ("PUT", "/x"),
    ],
)
async def test_in_one_step_no_more_is_parsed_than_a_users_share(w: World, method: str, path: str) -> None:
    """Whatever they ask for, also where it is refused; another's request comes between."""
    greedy = await w.user("greedy", (0, "vm.view"))
    steps = Steps()
    async with (
        listening(w, http=steps.protocol(lambda data: greedy.encode() in data)) as server,
        AsyncExitStack() as stack,
    ):
        theirs = [await stack.enter_async_context(connected(server)) for _ in range(MANY)]
        reader, writer = await stack.enter_async_context(connected(server))
        for who, connection in ((w.key, (reader, writer)), *((greedy, one) for one in theirs)):
            connection[1].write(asked(who))
            assert (await answered(connection[0]))[0] == 200
        slow(w.server.services.turns)
        steps.taken.clear()
        steps.count()
        for _, to in theirs:
            to.write(asked(greedy, path, method))
        writer.write(asked(w.key))
        assert (await answered(reader))[0] == 200
        assert len(steps.taken) < MANY, "the others wait still"
        found = {(await answered(one))[0] for one, _ in theirs}
        steps.end()
        assert len(found) == 1
        assert len(set(steps.taken)) == len(steps.taken) == MANY, "one a step"


@pytest.mark.holds("BOUND-35")
async def test_nothing_overtakes_what_waits_and_nothing_is_lost(w: World) -> None:
    """Uploads in pieces by several connections of one user, and requests sent ahead, while each piece waits."""
    contents = [bytes([number]) * 300_000 for number in range(4)]
    async with listening(w) as server, AsyncExitStack() as stack:
        made = [await stack.enter_async_context(connected(server)) for _ in contents]
        for _, to in made:
            to.write(asked(w.key))
        for come, _ in made:
            await answered(come)
        slow(w.server.services.turns)

        async def upload(number: int, to: asyncio.StreamWriter) -> None:
            content = contents[number]
            about = f"x-velocity-mpid: 1\r\nx-velocity-gid: 0\r\nx-velocity-name: {number}\r\nx-velocity-type: DISK\r\n"
            about += f"x-velocity-readonly: false\r\nx-velocity-sha256: {hashlib.sha256(content).hexdigest()}\r\n"
            head = f"PUT /m/media/upload HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {w.key}\r\n{about}"
            to.write(head.encode() + b"content-length: 300000\r\n\r\n")
            for at in range(0, len(content), 10_000):
                to.write(content[at : at + 10_000])
                await asyncio.sleep(0.001)
            to.write(asked(w.key, "/v/vm/state", body=b'{"vmid": 1000}') + asked(w.key))

        await asyncio.gather(*(upload(number, to) for number, (_, to) in enumerate(made)))
        for come, _ in made:
            assert [(await answered(come))[0] for _ in range(3)] == [200, 404, 200]
    assert len((await w.ok("POST", "/m/media/list", gid=0))["media"]) == len(contents)


class Connection(asyncio.Transport):
    """One that notes what it parsed."""

    def __init__(self) -> None:
        self.taken: list[bytes] = []
        self.plain: asyncio.Transport = self
        self.flow = FlowControl(self)
        self.in_head = True
        self.is_open = True
        self.paused = 0

    def take(self, data: bytes) -> bool:
        if self.is_open:
            self.taken.append(data)
        return self.is_open

    def pause_reading(self) -> None:
        self.paused += 1

    def resume_reading(self) -> None:
        self.paused = 0


def session(uid: int) -> Session:
    return Session(b"", uid, None, "", 0, "", "")


class Sending:
    """Connections of users, whose names are their authkeys, and whose requests take long."""

    def __init__(self) -> None:
        self.turns = Turns()
        slow(self.turns)

    def sender(self) -> Sender:
        return Sender(self.turns, lambda key: session(int(key)) if key.isdigit() else None)


def head(uid: int) -> list[tuple[bytes, bytes]]:
    return [(b"authorization", b"Bearer %d" % uid)]


@pytest.mark.holds("BOUND-35")
async def test_a_connection_of_several_users_waits_for_none_of_them() -> None:
    """A reverse proxy's: each of its requests takes the turn of whoever sent it, once that is known."""
    sending = Sending()
    sender, one = sending.sender(), Connection()
    assert sender.note_head(head(1), {})
    assert sender.came(one, b"a")
    assert not sender.came(one, b"b"), "the same user's turn is over in this step"
    assert one.taken == [b"a"]
    scope: dict[str, Any] = {}
    sender.note_head(head(2), scope)
    assert not sender.came(one, b"c"), "behind what waits"
    await eventually(lambda: len(one.taken) >= 3)
    assert one.taken == [b"a", b"b", b"c"]
    assert TURN not in scope
    for piece in (b"d", b"e", b"f"):
        assert sender.came(one, piece)
    assert not sender.note_head([], {}), "nobody's"


@pytest.mark.holds("BOUND-35")
async def test_a_connection_that_ends_takes_what_waits_along() -> None:
    sending = Sending()
    senders, ones = [sending.sender() for _ in range(3)], [Connection() for _ in range(3)]
    for sender, one in zip(senders, ones, strict=True):
        sender.note_head(head(1), {})
        sender.came(one, b"a")
    ones[1].is_open = False
    for _ in range(6):
        await asyncio.sleep(0)
    assert [one.taken for one in ones] == [[b"a"], [], [b"a"]]


@pytest.mark.holds("BOUND-35")
async def test_what_waits_is_bounded_as_more_is_not_read_meanwhile() -> None:
    sending = Sending()
    sender, one = sending.sender(), Connection()
    sender.note_head(head(1), {})
    for number in range(3):
        sender.came(one, b"%d" % number)
    assert one.paused == 1, "the second that waits"
    await eventually(lambda: len(one.taken) >= 3)
    assert one.paused == 0
    one.in_head = False
    for number in range(2):
        sender.came(one, b"%d" % number)
    assert one.paused == 1, "the first of a body"
    one.flow.read_paused = True
    await eventually(lambda: len(one.taken) >= 5)
    assert one.paused == 1, "what is not read for another reason stays so"


async def test_a_request_that_had_its_turn_with_its_connection_has_it_once() -> None:
    sending = Sending()
    sender, one = sending.sender(), Connection()
    found: list[object] = []

    def take(data: bytes) -> bool:
        for _ in range(2):  # two requests in one piece
            scope: dict[str, Any] = {}
            sender.note_head(head(1), scope)
            found.append(scope.get(TURN))
        return True

    one.take = take  # type: ignore[method-assign]
    sender.came(one, b"")
    sender.came(one, b"")
    await asyncio.sleep(0)
    assert found == [None, None, 1, None], "whose it is was not known yet; then of two sent ahead the first"
