"""What a page does with the stream: reads it over the application itself, and keeps what it was told."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any

from tests.api.world import World
from tests.patience import PATIENCE
from velocity.contract.events import Alive

ID = {"vm": "vmid", "medium": "mid", "group": "gid", "task": "tid", "user": "uid"}
LISTS = {"vm": "vms", "medium": "media", "group": "groups", "task": "tasks", "user": "users"}

STEPS = 50
"""Steps of the loop in which what was told is sent, also when a snapshot has to be rendered first."""

Told = tuple[str, str, Any]
"""The name of an event, its id, its data."""


def told(block: bytes) -> Told | None:
    """The event of a block of lines; None: it is a sign of life."""
    fields = dict(line.split(": ", 1) for line in block.decode().splitlines())
    if fields["event"] == Alive.event:
        return None
    return fields["event"], fields.get("id", ""), json.loads(fields["data"])


class Stream:
    """One connection to GET /v/events. Unless `unstuck` is set, the application's sends wait."""

    def __init__(self, w: World, key: str, last: str = "", query: str = "", method: str = "GET") -> None:
        self.sent: asyncio.Queue[bytes | None] = asyncio.Queue()
        self._left = asyncio.Event()
        self._begun = False
        self.status = 0
        self.headers: dict[str, str] = {}
        self.raw = b""
        self.cut = False
        self.unstuck = asyncio.Event()
        self.unstuck.set()
        self.reads_again: bytes | None = None
        """What is in a message at which it is no longer stuck."""
        headers = [(b"authorization", b"Bearer " + key.encode())] if key else []
        if last:
            headers.append((b"last-event-id", last.encode()))
        scope = {
            "type": "http", "method": method, "path": "/v/events", "raw_path": b"/v/events", "root_path": "",
            "query_string": query.encode(), "headers": headers, "client": ("127.0.0.1", 1), "server": ("velocity", 80),
            "scheme": "http", "http_version": "1.1", "asgi": {"version": "3.0", "spec_version": "2.3"},
            "extensions": {"velocity.cut": {"abort": self._abort}},
        }  # fmt: skip
        self.task: asyncio.Task[None] = asyncio.create_task(self._run(w, scope))

    async def _run(self, w: World, scope: dict[str, Any]) -> None:
        await w.server.asgi(scope, self._receive, self._send)

    def _abort(self) -> None:
        self.cut = True
        self._left.set()

    async def _receive(self) -> dict[str, Any]:
        if not self._begun:
            self._begun = True
            return {"type": "http.request", "body": b"", "more_body": False}
        await self._left.wait()
        return {"type": "http.disconnect"}

    async def _send(self, message: Any) -> None:
        if self.reads_again is not None and self.reads_again in message.get("body", b""):
            self.unstuck.set()
        await self.unstuck.wait()
        if message["type"] == "http.response.start":
            self.status = message["status"]
            self.headers = {name.decode(): value.decode() for name, value in message["headers"]}
            return
        self.sent.put_nowait(message.get("body", b""))
        if not message.get("more_body", False):
            self.sent.put_nowait(None)

    async def block(self, seconds: float = PATIENCE) -> bytes | None:
        """The next block of lines, whole; None: the stream has ended."""
        while b"\n\n" not in self.raw:
            piece = await asyncio.wait_for(self.sent.get(), seconds)
            if piece is None:
                return None
            self.raw += piece
        block, _, self.raw = self.raw.partition(b"\n\n")
        return block

    async def next(self, seconds: float = PATIENCE) -> Told | None:
        """The next event; None: the stream has ended."""
        while (block := await self.block(seconds)) is not None:
            if (event := told(block)) is not None:
                return event
        return None

    async def at_hand(self) -> Told | None:
        """The next event, if it comes within some steps of the loop: how long these take is the machine's affair."""
        for _ in range(STEPS):
            while not self.sent.empty():
                self.raw += self.sent.get_nowait() or b""
            while b"\n\n" in self.raw:
                block, _, self.raw = self.raw.partition(b"\n\n")
                if (event := told(block)) is not None:
                    return event
            await asyncio.sleep(0)
        return None

    async def nothing(self, seconds: float = 0.05) -> bool:
        """Whether nothing comes."""
        try:
            await self.next(seconds)
        except TimeoutError:
            return True
        return False

    async def leave(self) -> None:
        self._left.set()
        await self.task


class Page:
    """What was told, applied."""

    def __init__(self) -> None:
        self.last = ""
        self.snapshots = 0
        self.told: list[Told] = []
        self.objects: dict[str, dict[Any, Any]] = {kind: {} for kind in ID}
        self.rest: dict[str, Any] = {}

    def apply(self, event: Told) -> None:
        name, self.last, data = event[0], event[1] or self.last, event[2]
        self.told.append(event)
        if name == "snapshot":
            self.snapshots += 1
            self.objects = {kind: {one[ID[kind]]: one for one in data.get(LISTS[kind], [])} for kind in ID}
            self.rest = {"me": data["me"], "pools": data["pools"]}
        elif name == "set":
            self.objects[data["kind"]][data["object"][ID[data["kind"]]]] = data["object"]
        elif name == "gone":
            self.objects[data["kind"]].pop(data["id"], None)

    async def until(self, stream: Stream, fits: Callable[[Told], bool]) -> Told:
        """Read on until an event fits."""
        while True:
            event = await stream.next()
            assert event is not None, "the stream has ended"
            self.apply(event)
            if fits(event):
                return event


async def opened(w: World, key: str) -> tuple[Stream, Page]:
    """A stream whose snapshot was read."""
    stream, page = Stream(w, key), Page()
    await page.until(stream, lambda event: event[0] == "snapshot")
    return stream, page


def is_set(kind: str, **fields: Any) -> Callable[[Told], bool]:
    """An event that sets such an object."""

    def fits(event: Told) -> bool:
        name, _, data = event
        return name == "set" and data["kind"] == kind and all(data["object"].get(k) == v for k, v in fields.items())

    return fits


def is_gone(kind: str, which: Any) -> Callable[[Told], bool]:
    return lambda event: event[0] == "gone" and event[2] == {"kind": kind, "id": which}


def is_changed(kind: str, gid: int | None = None) -> Callable[[Told], bool]:
    said = {"kind": kind} if gid is None else {"kind": kind, "gid": gid}
    return lambda event: event[0] == "changed" and event[2] == said
