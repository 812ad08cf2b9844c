"""What the reads that are asked most often take: counted, because a count is the same on every machine."""

from __future__ import annotations

import sys
from types import FrameType
from typing import Any

from starlette.types import ASGIApp, Message

from tests.api.world import World


async def calls(app: ASGIApp, path: str, body: bytes, key: str) -> tuple[int, bytes]:
    """How many functions (of Python) one request calls, once all is warm, and its answer."""
    counted = 0
    answer = b""

    def count(_frame: FrameType, event: str, _argument: Any) -> None:
        nonlocal counted
        counted += event == "call"

    async def receive() -> Message:
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message: Message) -> None:
        nonlocal answer
        assert message.get("status", 200) == 200
        answer += message.get("body", b"")

    for _ in range(2):
        counted, answer = 0, b""
        scope = {
            "type": "http", "scheme": "http", "method": "POST", "path": path, "raw_path": path.encode(),
            "query_string": b"", "client": ("127.0.0.1", 1), "headers": [
                (b"host", b"velocity"), (b"content-type", b"application/json"),
                (b"content-length", b"%d" % len(body)), (b"authorization", b"Bearer " + key.encode()),
            ],
        }  # fmt: skip
        sys.setprofile(count)
        try:
            await app(scope, receive, send)
        finally:
            sys.setprofile(None)
    return counted, answer


async def test_a_state_read_calls_few_functions(w: World) -> None:
    vmid = await w.vm()
    taken, answer = await calls(w.server.asgi, "/v/vm/state", b'{"vmid":%d}' % vmid, w.key)
    assert answer == b'{"vmid":%d,"state":"STOPPED"}' % vmid
    assert taken <= 60, "the bench says what a call costs: `make bench-state`"
