"""What the reads that are asked most often take: counted, because a count is the same on every machine."""

from __future__ import annotations

import asyncio
import gc
import itertools
import json
import queue
import socket
import sys
import threading
import tracemalloc
from base64 import b64encode
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

import pytest
import uvloop
from starlette.types import ASGIApp, Message

import velocity
from tests.api.world import World, world
from tests.listening import listening
from tests.patience import PATIENCE
from velocity.contract.events import VmView
from velocity.events import views
from velocity.events.limits import StreamLimits
from velocity.machines.run.keeper import Keeper

OURS = str(Path(velocity.__file__).parent)


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


@dataclass
class Asker:
    """Asks the application itself, without a client or a socket between."""

    app: ASGIApp
    path: str
    body: bytes
    key: str
    method: str = "POST"
    more: Sequence[tuple[bytes, bytes]] = ()
    """Further headers."""
    answer: bytes = b""
    pieces: int = 0

    async def ask(self) -> None:
        self.answer = b""
        scope = {
            "type": "http", "scheme": "http", "method": self.method, "path": self.path, "raw_path": self.path.encode(),
            "query_string": b"", "client": ("127.0.0.1", 1), "headers": [
                (b"host", b"velocity"), (b"content-type", b"application/json"),
                (b"content-length", b"%d" % len(self.body)), (b"authorization", b"Bearer " + self.key.encode()),
                *self.more,
            ],
        }  # fmt: skip
        await self.app(scope, self._receive, self._send)

    async def _receive(self) -> Message:
        if self.method == "GET":
            await asyncio.Event().wait()  # it has asked, and stays to read
        return {"type": "http.request", "body": self.body, "more_body": False}

    async def _send(self, message: Message) -> None:
        assert message.get("status", 200) == 200
        self.answer += message.get("body", b"")
        self.pieces += bool(message.get("body"))


async def asked(w: World, path: str, *bodies: bytes, method: str = "POST") -> tuple[Counter[CodeType], Any]:
    """The calls that one request takes, the last of its kind, and its answer.

    It waits for no turn, however long the first one has taken.
    """
    w.server.services.turns.clock = itertools.repeat(0.0).__next__  # no function of Python
    for body in bodies:
        asker = Asker(w.server.asgi, path, body, w.key, method)
        await asyncio.sleep(0)
        with calls() as counted:
            await asker.ask()
    return counted, json.loads(asker.answer)


async def test_a_state_read_calls_few_functions(w: World) -> None:
    vmid = await w.vm()
    taken, answer = await asked(w, "/v/vm/state", *[b'{"vmid":%d}' % vmid] * 2)
    assert answer == {"vmid": vmid, "state": "STOPPED"}
    assert taken.total() <= 50, "what it costs, the bench says: `make bench-state`"


async def test_a_creation_calls_few_functions(w: World) -> None:
    """On the loop; what the database's thread does is counted in statements.

    The least of several: what the server does by itself while a commit is waited for is counted, too.
    """
    body = b'{"name":"%d","gid":0,"cpus":1,"memory_mib":256,"nics":[{"type":"NAT"}]}'
    ours = []
    for number in range(1, 6):
        taken, answer = await asked(w, "/v/vm/efi", body % number, method="PUT")
        assert answer["vmid"] == number
        ours.append(sum(times for code, times in taken.items() if code.co_filename.startswith(OURS)))
    assert min(ours[2:]) <= 230, "what it costs, the bench says: `make bench-create`"


METADATA = b",".join(
    b"%b %b" % (name, b64encode(value))
    for name, value in {b"mpid": b"1", b"gid": b"99", b"type": b"DISK", b"readonly": b"false", b"name": b"a"}.items()
)


@pytest.mark.holds("BOUND-39")
@pytest.mark.parametrize(
    ("status", "method", "path", "body", "more"),
    [
        (404, "PUT", "/v/vm/efi", b'{"name":"a","gid":99,"cpus":1,"memory_mib":64}', {}),
        (404, "PUT", "/v/vm/state", b'{"vmid":99,"state":"RUNNING"}', {}),
        (404, "POST", "/v/vm/state", b'{"vmid":99}', {}),
        (400, "DELETE", "/m/media", b"{}", {}),
        (404, "POST", "/m/media/tus", b"", {"tus-resumable": b"1.0.0", "upload-metadata": METADATA}),
        (400, "PUT", "/m/media/upload", b"", {}),
        (200, "PUT", "/v/vm/efi", b'{"name":"a@","gid":0,"cpus":1,"memory_mib":64}', {}),
        (200, "PUT", "/m/media/upload", b"x" * 2000, {"name": b"a@", "mpid": b"1", "gid": b"0", "type": b"ISO"}),
    ],
)
async def test_a_request_leaves_nothing_for_the_collector(
    w: World, status: int, method: str, path: str, body: bytes, more: dict[str, bytes]
) -> None:
    """Of a user's thousands each collection would hold the loop for others.

    Counted again if it is more, as what the server does by itself meanwhile leaves something, too.
    """
    found: Counter[int] = Counter()

    class One(Asker):
        async def _send(self, message: Message) -> None:
            if "status" in message:
                found[message["status"]] += 1

    async def ask(times: int) -> None:
        for _ in range(times):
            number = b"%d" % found.total()
            headers = {"upload-length": b"1", "readonly": b"false", **more}
            named = [
                ((b"" if "-" in name else b"x-velocity-") + name.encode(), value.replace(b"@", number))
                for name, value in headers.items()
            ]
            await One(w.server.asgi, path, body.replace(b"@", number), w.key, method, named).ask()

    async def leaves() -> int:
        await w.settle()
        gc.collect()
        gc.disable()
        try:
            await ask(50)
            await w.settle()
            return gc.collect()
        finally:
            gc.enable()

    await ask(5)
    left = [await leaves()]
    while left[-1] > 50 and len(left) < 3:
        left.append(await leaves())
    assert left[-1] <= 50, left
    assert set(found) == {status}


async def test_a_state_read_leaves_nothing_in_memory(w: World) -> None:
    """Made of Python's memory blocks: those that stay, those that only the collector finds, and bytes held at once.

    Nothing else is under way, such as the history of the VM that is made here; and none waits for its turn.
    """
    asker = Asker(w.server.asgi, "/v/vm/state", b'{"vmid":%d}' % await w.vm(), w.key)
    w.server.services.turns.clock = itertools.repeat(0.0).__next__
    await w.settle()

    async def ask(times: int) -> None:
        for _ in range(times):
            await asker.ask()

    await ask(10)
    gc.collect()
    gc.disable()
    try:
        before = sys.getallocatedblocks()
        await ask(1000)
        stays = sys.getallocatedblocks() - before
        cycles = gc.collect()
    finally:
        gc.enable()
    tracemalloc.start()
    try:
        await ask(2)
        before, _ = tracemalloc.get_traced_memory()
        tracemalloc.reset_peak()
        await ask(1)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert stays < 500, "not an object for each of a thousand reads"
    assert cycles == 0
    assert peak - before < 6 << 10


def test_a_state_read_is_one_receive_and_one_send(tmp_path: Path) -> None:
    """Made of read(2) and write(2) in the thread of the loop: uvloop's, as in `velocity serve`. proc_pid_io(5)

    The least of several, as another thread's word to the loop is read, too.
    """
    served: queue.Queue[tuple[int, bytes, Callable[[], object]]] = queue.Queue()

    async def serve() -> None:
        async with world(tmp_path / "data") as w, listening(w) as server:
            body = b'{"vmid":%d}' % await w.vm()
            request = (
                b"POST /v/vm/state HTTP/1.1\r\nhost: velocity\r\nauthorization: Bearer %b\r\n"
                b"content-type: application/json\r\ncontent-length: %d\r\n\r\n%b" % (w.key.encode(), len(body), body)
            )
            await w.written()
            done = asyncio.Event()
            loop = asyncio.get_running_loop()
            served.put((server.port, request, partial(loop.call_soon_threadsafe, done.set)))
            await done.wait()

    thread = threading.Thread(target=lambda: uvloop.run(serve()))
    thread.start()
    port, request, end = served.get(timeout=PATIENCE)
    calls = Path(f"/proc/self/task/{thread.native_id}/io")
    with socket.create_connection(("127.0.0.1", port), 30) as client:

        def ask(times: int) -> None:
            for _ in range(times):
                client.sendall(request)
                assert client.recv(65536).endswith(b'"state":"STOPPED"}')

        def counted() -> Counter[str]:
            found = (line.split() for line in calls.read_text().splitlines())
            return Counter({name: int(value) for name, value in found})

        ask(10)
        taken = []
        for _ in range(5):
            before = counted()
            ask(100)
            taken.append(counted() - before)
    end()
    thread.join()
    for kind in ("syscr:", "syscw:"):
        assert min(one[kind] for one in taken) == 100, taken


async def test_a_list_makes_nothing_anew_that_has_not_changed(w: World) -> None:
    async def listed(gid: int) -> tuple[int, list[dict[str, Any]]]:
        taken, answer = await asked(w, "/v/vm/list", *[b'{"gid":%d}' % gid] * 2)
        return taken.total(), answer["vms"]

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


async def test_a_first_snapshot_is_rendered_in_parts(
    tmp_path: Path, anyio_backend: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Counted from one step of the loop to the next; what changes between two is in it, and is told to who reads."""
    async with world(tmp_path / "data", limits=StreamLimits(rendered=5)) as w:
        vmids = [await w.vm(f"vm{number}") for number in range(30)]
        events, view, rendered = w.server.services.events, views.vm, 0

        def rendering(keeper: Keeper, *more: Any) -> VmView:
            nonlocal rendered
            rendered += 1
            return view(keeper, *more)

        monkeypatch.setattr(views, "vm", rendering)
        uid, name = await w.uid("root"), "late"
        preparing = asyncio.create_task(events.initial_states.ready(uid))
        most, before, steps = 0, 0, 0
        later: list[asyncio.Task[Any]] = []
        async with asyncio.timeout(PATIENCE):
            while not preparing.done():
                await asyncio.sleep(0)
                most, before, steps = max(most, rendered - before), rendered, steps + 1
                if steps == 2:
                    later.append(asyncio.create_task(w.ok("PUT", "/v/vm/state", vmid=vmids[0], state="RUNNING")))
                    later.append(asyncio.create_task(w.vm(name)))
        assert 0 < most <= 5 + 5, "a part, and as many that have changed"
        await asyncio.gather(*later)
        await asyncio.sleep(0)
        with calls() as counted:
            event, cursor = events.initial_states.take(uid)
        assert counted[view.__code__] == 0
        shown = json.loads(event.partition(b"data: ")[2].partition(b"\n")[0])["vms"]
        assert {one["name"]: one["state"] for one in shown} == {
            "vm0": "RUNNING", **{f"vm{number}": "STOPPED" for number in range(1, 30)}, name: "STOPPED",
        }  # fmt: skip
        ring = events.ring.since(0, 500)
        assert ring is not None
        told = b"".join(one.body.frame({0: -1}) for one in ring if one.body)
        assert told.count(b'"name":"late"') == 1, "whoever had a snapshot before hears of what is new"
        assert cursor == len(ring)


async def test_many_changes_are_told_in_parts(tmp_path: Path, anyio_backend: str) -> None:
    async with world(tmp_path / "data", limits=StreamLimits(rendered=5)) as w:
        await asyncio.gather(*(w.vm(f"vm{number}") for number in range(30)))
        fleet, events = w.server.services.fleet, w.server.services.events
        await w.written()
        events.initial_states.take(0)
        for keeper in fleet.all():
            keeper.host_lost()
        heads = [events.ring.head]
        async with asyncio.timeout(PATIENCE):
            while events.writer.is_due:
                await asyncio.sleep(0)
                heads.append(events.ring.head)
        assert heads[-1] - heads[0] == 30
        assert max(after - before for before, after in pairwise(heads)) == 5


async def test_a_snapshot_makes_nothing_anew_that_has_not_changed(w: World) -> None:
    """What has changed is made once, be it for the stream of events, right after the change, or for the snapshot."""

    def made(counted: Counter[CodeType]) -> int:
        return counted[views.vm.__code__] + counted[views.medium.__code__]

    def snapshot() -> dict[str, Any]:
        event, _ = w.server.services.events.initial_states.take(0)
        return dict(json.loads(event.partition(b"data: ")[2].partition(b"\n")[0]))

    mids = [await w.medium(name) for name in ("used", "spare")]
    vmids = [await w.vm("one", media=[{"mid": mids[0], "mode": "BLOCK"}]), await w.vm("other")]
    with calls() as counted:
        first = snapshot()
    assert made(counted) == 4
    with calls() as counted:
        assert snapshot() == first
    assert made(counted) == 0
    with calls() as counted:
        await w.ok("PUT", "/v/vm/state", vmid=vmids[0], state="RUNNING")
        now = snapshot()
    assert made(counted) == 4, "the VM that starts and then runs, and the medium that it writes to, and no other"
    assert [one["state"] for one in now["vms"]] == ["RUNNING", "STOPPED"]
    assert [one["used_by"] for one in now["media"]] == [[{"vmid": vmids[0], "name": "one", "writing": True}], []]


async def test_a_download_is_sent_in_large_pieces(w: World) -> None:
    """Made of what the application sends; each piece was read in a thread."""
    data = bytes(range(256)) * (4 << 12)
    mid = (await w.upload(data))["mid"]
    asker = Asker(w.server.asgi, f"/m/media/content/{mid}", b"", w.key, "GET")
    await asker.ask()
    assert asker.answer == data
    assert asker.pieces <= 4, f"of {len(data)} bytes"
