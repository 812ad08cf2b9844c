"""Many streams of events that begin at once: how many there may be of one user, and that requests come between."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from tests.api.world import world
from tests.events.page import Stream
from tests.patience import PATIENCE, eventually
from velocity.config import Settings
from velocity.events.limits import StreamLimits
from velocity.events.renderer import EventRenderer

pytestmark = pytest.mark.anyio

OWN = 16


async def begun(streams: list[Stream]) -> list[Stream]:
    """Those that are open, when each of them has begun or was refused."""
    await eventually(lambda: all(stream.status for stream in streams))
    return [stream for stream in streams if stream.status == 200]


async def refusal(stream: Stream) -> dict[str, Any]:
    await stream.task
    body = await stream.sent.get()
    return dict(json.loads(body or b""))


@pytest.mark.holds("BOUND-7")
async def test_one_user_opens_no_more_streams_than_the_setting(tmp_path: Path) -> None:
    """Not with many requests at once either; who has reached it is told the number and the cure, and others go on."""
    assert Settings().event_streams == OWN
    async with world(tmp_path / "data", event_streams=3) as w:
        bob, ann = await w.user("bob"), await w.user("ann")
        streams = [Stream(w, bob) for _ in range(20)]
        opened = await begun(streams)
        assert len(opened) == 3
        refused = next(stream for stream in streams if stream.status == 429)
        message = (await refusal(refused))["message"]
        assert (
            message == "you have 3 event streams open, the most that one user may have (event_streams): close one first"
        )
        head = Stream(w, ann, method="HEAD")
        await head.task
        others = [Stream(w, ann) for _ in range(3)]
        assert len(await begun(others)) == 3, "a stream that was not read is not open"
        await opened[0].leave()
        assert len(await begun([Stream(w, bob)])) == 1, "one that has ended makes room"
        assert w.server.services.events.readers.count == 6


class Steps:
    """Counts the steps of the event loop while it runs."""

    def __init__(self) -> None:
        self.now = 0
        self._task = asyncio.create_task(self._count())

    async def _count(self) -> None:
        while True:
            self.now += 1
            await asyncio.sleep(0)

    async def end(self) -> None:
        self._task.cancel()
        await asyncio.wait({self._task})


@pytest.mark.holds("BOUND-8")
async def test_snapshots_that_are_wanted_at_once_are_made_in_steps_of_their_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Otherwise a user's streams hold up all requests for as long as all their snapshots take."""
    each, vms = 5, 60
    async with world(tmp_path / "data", limits=StreamLimits(rendered=each, own=OWN)) as w:
        for number in range(vms):
            await w.vm(f"vm{number}")
        events, steps = w.server.services.events, Steps()
        snapshot, render = events.initial_states.take, EventRenderer.render
        made: list[int] = []
        rendered: dict[int, int] = {}

        def note_snapshot(uid: int) -> tuple[bytes, int]:
            made.append(steps.now)
            return snapshot(uid)

        def note_render(telling: EventRenderer, key: Any) -> None:
            rendered[steps.now] = rendered.get(steps.now, 0) + 1
            render(telling, key)

        events.initial_states.take = note_snapshot  # type: ignore[method-assign]
        monkeypatch.setattr(EventRenderer, "render", note_render)
        streams = [Stream(w, w.key) for _ in range(OWN)]
        told = await asyncio.wait_for(asyncio.gather(*(stream.next() for stream in streams)), PATIENCE)
        await steps.end()
        assert all(event is not None and len(event[2]["vms"]) == vms for event in told)
        assert len(made) == OWN
        assert len(set(made)) == OWN, "a step of the loop for each"
        assert max(rendered.values()) <= each
        assert sum(rendered.values()) == vms, "each is rendered once, for all"


@pytest.mark.holds("BOUND-8")
async def test_first_events_are_made_for_users_in_turn_and_not_again_while_nothing_has_changed(tmp_path: Path) -> None:
    async with world(tmp_path / "data") as w:
        bob, ann = await w.user("bob"), await w.user("ann")
        states = w.server.services.events.initial_states
        take, order, events = states.take, list[int](), list[bytes]()

        def note(uid: int) -> tuple[bytes, int]:
            event, cursor = take(uid)
            order.append(uid)
            events.append(event)
            return event, cursor

        states.take = note  # type: ignore[method-assign]
        streams = [Stream(w, key) for key in [bob] * 10 + [ann]]
        await asyncio.wait_for(asyncio.gather(*(stream.next() for stream in streams)), PATIENCE)
        assert order.index(await w.uid("ann")) <= 2, "although ann came last"
        assert len({id(event) for event in events}) <= 4, "those of bob are one and the same, before ann's and behind"
        await w.ok("PUT", "/u/user/permission", uid=await w.uid("bob"), gid=0, permission="velocity.vm.view")
        await streams[0].leave()
        event = await asyncio.wait_for(Stream(w, bob).next(), PATIENCE)
        assert event is not None and "velocity.vm.view" in event[2]["groups"][0]["permissions"]
