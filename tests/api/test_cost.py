"""What the reads that are asked most often take: counted, because a count is the same on every machine."""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from types import CodeType, FrameType
from typing import Any

from starlette.types import ASGIApp, Message

from tests.api.world import World
from velocity.events import views


@contextmanager
def calls() -> Iterator[Counter[CodeType]]:
    """The functions (of Python) that are called inside."""
    counted: Counter[CodeType] = Counter()

    def count(frame: FrameType, event: str, _argument: Any) -> None:
        if event == "call":
            counted[frame.f_code] += 1

    sys.setprofile(count)
    try:
        yield counted
    finally:
        sys.setprofile(None)


async def asked(app: ASGIApp, path: str, body: bytes, key: str) -> tuple[int, Any]:
    """How many calls one request takes, the second of its kind, and its answer."""
    answer = b""

    async def receive() -> Message:
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message: Message) -> None:
        nonlocal answer
        assert message.get("status", 200) == 200
        answer += message.get("body", b"")

    for _ in range(2):
        answer = b""
        scope = {
            "type": "http", "scheme": "http", "method": "POST", "path": path, "raw_path": path.encode(),
            "query_string": b"", "client": ("127.0.0.1", 1), "headers": [
                (b"host", b"velocity"), (b"content-type", b"application/json"),
                (b"content-length", b"%d" % len(body)), (b"authorization", b"Bearer " + key.encode()),
            ],
        }  # fmt: skip
        with calls() as counted:
            await app(scope, receive, send)
    return counted.total(), json.loads(answer)


async def test_a_state_read_calls_few_functions(w: World) -> None:
    vmid = await w.vm()
    taken, answer = await asked(w.server.asgi, "/v/vm/state", b'{"vmid":%d}' % vmid, w.key)
    assert answer == {"vmid": vmid, "state": "STOPPED"}
    assert taken <= 60, "what it costs, the bench says: `make bench-state`"


async def test_a_list_makes_nothing_anew_that_has_not_changed(w: World) -> None:
    async def listed(gid: int) -> tuple[int, list[dict[str, Any]]]:
        taken, answer = await asked(w.server.asgi, "/v/vm/list", b'{"gid":%d}' % gid, w.key)
        return taken, answer["vms"]

    few, many = await w.group("few"), await w.group("many")
    await w.vm("one", few)
    vmids = [await w.vm(f"vm{number}", many) for number in range(30)]
    least, _ = await listed(few)
    taken, vms = await listed(many)
    assert taken == least
    assert vms == [
        {"vmid": vmid, "name": f"vm{number}", "cpus": 1, "memory_mib": 64, "state": "STOPPED"}
        for number, vmid in enumerate(vmids)
    ]
    await w.ok("PUT", "/v/vm/state", vmid=vmids[7], state="RUNNING")
    _, vms = await listed(many)
    assert [one["vmid"] for one in vms if one["state"] == "RUNNING"] == [vmids[7]]


async def test_a_snapshot_makes_nothing_anew_that_has_not_changed(w: World) -> None:
    def snapshot() -> tuple[int, dict[str, Any]]:
        with calls() as counted:
            event, _ = w.server.services.events.snapshot(0)
        made = counted[views.vm.__code__] + counted[views.medium.__code__]
        return made, json.loads(event.partition(b"data: ")[2].partition(b"\n")[0])

    mids = [await w.medium(name) for name in ("used", "spare")]
    vmids = [await w.vm("one", media=[{"mid": mids[0], "mode": "BLOCK"}]), await w.vm("other")]
    made, first = snapshot()
    assert made == 4
    assert snapshot() == (0, first)
    await w.ok("PUT", "/v/vm/state", vmid=vmids[0], state="RUNNING")
    made, now = snapshot()
    assert made == 2, "the VM that runs now, and the medium that it writes to"
    assert [one["state"] for one in now["vms"]] == ["RUNNING", "STOPPED"]
    assert [one["used_by"] for one in now["media"]] == [[{"vmid": vmids[0], "name": "one", "writing": True}], []]
