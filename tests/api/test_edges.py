"""What all edges have in common, whatever their body is: an operation, an upload, a download, a picture, a stream."""

from __future__ import annotations

import asyncio
import itertools
import json
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import httpx
import pytest

from tests.api.test_bounds import answered
from tests.api.test_transfers import TUS, metadata
from tests.api.world import World
from tests.listening import Listening, listening
from tests.patience import PATIENCE

pytestmark = pytest.mark.anyio

NO_MEDIUM = "00000000-0000-4000-8000-000000000000"
FILE = {
    "x-velocity-mpid": "1",
    "x-velocity-gid": "0",
    "x-velocity-name": "a",
    "x-velocity-type": "ISO",
    "x-velocity-readonly": "false",
}


@dataclass(frozen=True)
class Edge:
    """A request to one edge: of these nobody but root may make one, and what it is called in the history."""

    method: str
    path: str
    name: str
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)

    async def ask(self, w: World, key: str | None, address: str = "127.0.0.1", **more: str) -> httpx.Response:
        headers = {**self.headers, **more} | ({} if key is None else {"authorization": f"Bearer {key}"})
        async with httpx.AsyncClient(transport=httpx.ASGITransport(w.server.asgi, client=(address, 1))) as http:
            return await http.request(self.method, f"http://velocity{self.path}", content=self.body, headers=headers)


EDGES = {
    "read": Edge("POST", "/u/user/list", "list_users"),
    "change": Edge("PUT", "/u/group", "create_group", b'{"name": "a", "parent_gid": 0}'),
    "upload": Edge("PUT", "/m/media/upload", "upload_medium", b"x", FILE),
    "resumable": Edge(
        "POST",
        TUS,
        "upload_resumable",
        headers={"tus-resumable": "1.0.0", "upload-length": "1", "upload-metadata": metadata()},
    ),
    "download": Edge("GET", f"/m/media/content/{NO_MEDIUM}", "download_medium"),
    "screen": Edge("GET", "/v/vm/screen?vmid=1", "show_screen"),
    "events": Edge("HEAD", "/v/events", "watch_events"),
    "metrics": Edge("GET", "/metrics", "openmetrics"),
}
EVERYBODY = ("watch_events", "openmetrics")
"""What every user may use."""


async def last(w: World) -> dict[str, object]:
    """The last entry of the history."""
    return dict((await w.ok("POST", "/t/history", limit=1))["entries"][0])


@pytest.mark.holds("API-5")
async def test_who_is_not_known_is_told_so_and_it_is_history(w: World) -> None:
    for number, (edge, key) in enumerate(itertools.product(EDGES.values(), (None, "wrong"))):
        address = f"192.0.2.{number}"  # of one address, what follows within a minute is counted
        response = await edge.ask(w, key, address)
        missing = edge.name.startswith("upload") and key is None
        assert response.status_code == (400 if missing else 401), edge
        if edge.method != "HEAD":
            assert response.json()["code"] == (9211 if missing else 100)
        if missing:
            continue
        assert response.headers["www-authenticate"] == "Bearer"
        entry = await last(w)
        assert (entry["operation"], entry["status"], entry["code"]) == (edge.name, 401, 100), edge
        assert entry["request"] == response.headers["x-request-id"]
        assert (entry["name"], entry["address"]) == ("", address)


@pytest.mark.holds("API-5")
async def test_who_lacks_the_right_is_told_so_and_it_is_history(w: World) -> None:
    viewer, nobody = await w.user("viewer", (0, "vm.view")), await w.user("nobody")
    for edge in (one for one in EDGES.values() if one.name not in EVERYBODY):
        name, key = ("viewer", viewer) if edge.name == "show_screen" else ("nobody", nobody)
        assert (response := await edge.ask(w, key)).status_code == 403, edge
        entry = await last(w)
        assert (entry["operation"], entry["status"], entry["name"]) == (edge.name, 403, name)
        assert entry["request"] == response.headers["x-request-id"]


@pytest.mark.holds("API-5")
async def test_every_answer_bears_the_id_of_its_request(w: World) -> None:
    for edge in EDGES.values():
        response = await edge.ask(w, w.key)
        assert response.status_code in (200, 201, 404)
        assert len(response.headers["x-request-id"]) == 16
        assert (await edge.ask(w, w.key)).headers["x-request-id"] != response.headers["x-request-id"]


@pytest.mark.holds("API-5")
async def test_what_nobody_foresaw_is_told_in_the_same_words_with_its_id(
    w: World, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fails(_authkey: str | None) -> None:
        raise MemoryError

    monkeypatch.setattr(w.server.services.access.sessions, "caller", fails)
    for edge in EDGES.values():
        with caplog.at_level(logging.ERROR):
            response = await edge.ask(w, w.key)
        assert response.status_code == 500
        if edge.method != "HEAD":
            assert (response.json()["code"], response.json()["error"]) == (500, True)
        assert edge.name in caplog.text and response.headers["x-request-id"] in caplog.text


async def test_another_method_is_told_which_there_are(w: World) -> None:
    for edge in EDGES.values():
        response = await w.http.request("PURGE", f"http://velocity{edge.path}", headers=edge.headers)
        assert (response.status_code, response.json()["code"]) == (405, 405)
        known = response.headers["allow"].split(", ")
        assert edge.method in known
        assert ("GET" in known) == ("HEAD" in known) or edge.path == TUS
        path = edge.path.partition("?")[0]
        assert response.json()["message"] == f"{path} supports {', '.join(known)}, not PURGE"


async def test_where_there_is_a_get_there_is_a_head(w: World) -> None:
    vmid = await w.vm(displays=[{"name": "a", "width": 320, "height": 200}])
    await w.ok("PUT", "/v/vm/state", vmid=vmid, state="RUNNING")
    mid = (await w.upload(b"x" * 1000))["mid"]
    for path in (f"/v/vm/screen?vmid={vmid}", f"/m/media/content/{mid}", "/metrics"):
        headers = {"authorization": f"Bearer {w.key}"}
        asked = await w.http.get(f"http://velocity{path}", headers=headers)
        response = await w.http.head(f"http://velocity{path}", headers=headers)
        assert (response.status_code, asked.status_code) == (200, 200), path
        assert response.headers["content-type"] == asked.headers["content-type"]


async def test_the_cookie_counts_only_for_our_own_page(w: World) -> None:
    for edge in (EDGES["screen"], EDGES["metrics"], EDGES["events"]):
        own = {"cookie": f"velocity={w.key}", "host": "velocity", "origin": "http://velocity"}
        assert (await edge.ask(w, None, **own)).status_code in (200, 404)
        response = await edge.ask(w, None, **{**own, "origin": "http://elsewhere"})
        assert response.status_code == 403
        assert (await last(w))["code"] == 101


# A body that does not come


@asynccontextmanager
async def half(server: Listening, edge: Edge, *headers: str) -> AsyncIterator[asyncio.StreamReader]:
    """The request, and the first of its announced thousand bytes."""
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    lines = [f"{edge.method} {edge.path} HTTP/1.1", "host: x", "content-length: 1000", *headers]
    lines += [f"{name}: {value}" for name, value in edge.headers.items()]
    writer.write("\r\n".join([*lines, "", "{"]).encode())
    try:
        yield reader
    finally:
        writer.close()


WRONG = "authorization: Bearer wrong"


@pytest.mark.holds("BOUND-15")
async def test_half_a_body_with_a_wrong_authkey_is_answered_and_its_connection_ends(w: World) -> None:
    """A key that nobody has makes no one known: what is to come is not waited for."""

    async def ask(server: Listening, edge: Edge) -> None:
        async with half(server, edge, WRONG) as reader:
            status, body, head = await answered(reader)
            assert (status, body["code"], b"connection: close" in head) == (401, 100, True), edge
            async with asyncio.timeout(PATIENCE):
                assert await reader.read() == b""

    async with listening(w) as server:
        await asyncio.gather(*(ask(server, edge) for edge in EDGES.values() if edge.method != "HEAD"))


async def test_a_body_that_comes_in_pieces_is_read_before_the_authkey_is_judged(w: World) -> None:
    """The order of failures is the contract's also where head and body are two packets."""
    async with listening(w) as server:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(f"POST /v/vm/list HTTP/1.1\r\nhost: x\r\n{WRONG}\r\ncontent-length: 4\r\n\r\n".encode())
        await asyncio.sleep(0.1)
        writer.write(b"nope")
        status, body, _ = await answered(reader)
        assert (status, body["code"]) == (400, 400)
        writer.write(f"POST /v/vm/list HTTP/1.1\r\nhost: x\r\n{WRONG}\r\ncontent-length: 10\r\n\r\n".encode())
        await asyncio.sleep(0.1)
        writer.write(json.dumps({"gid": 0}).encode())
        assert (await answered(reader))[0] == 401
        writer.close()


async def test_a_refusal_of_a_whole_request_leaves_the_connection_open(w: World) -> None:
    async with listening(w) as server:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        for edge in EDGES.values():
            if edge.method == "HEAD" or edge.name == "upload_medium":  # whose file is not taken for that
                continue
            lines = [f"{edge.method} {edge.path} HTTP/1.1", "host: x", f"content-length: {len(edge.body)}", WRONG]
            lines += [f"{name}: {value}" for name, value in edge.headers.items()]
            writer.write("\r\n".join([*lines, "", ""]).encode() + edge.body)
            status, _, head = await answered(reader)
            assert (status, b"connection: close" in head) == (401, False), edge.name
        writer.close()
