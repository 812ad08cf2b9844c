"""The floor of a read and of an event: Starlette and msgspec alone, under uvicorn, set as `velocity serve` sets it.

No authkey, no permission, no history, no metrics, no headers but those of the answer. A process of its own:
`python -m bench.peers.bare PORT`.
"""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from types import TracebackType

import msgspec
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from bench.server import Client, Wrong, free_port


class Asked(msgspec.Struct):
    vmid: int


class State(msgspec.Struct):
    vmid: int
    state: str


class Summary(msgspec.Struct):
    vmid: int
    name: str
    cpus: int
    memory_mib: int
    state: str


class Summaries(msgspec.Struct):
    vms: list[Summary]


class Bare:
    """The peer's process. `keep` gives it the bytes of a list; POST /state, /ready and /encoded answer.

    Who reads GET /events is told what is sent to POST /tell.
    """

    def __init__(self) -> None:
        self.port = free_port()
        self.process = subprocess.Popen([sys.executable, "-m", "bench.peers.bare", str(self.port)])

    def __enter__(self) -> Bare:
        end = time.monotonic() + 30
        while True:
            try:
                Client(self.port).call("POST", "/state", vmid=1)
                return self
            except ConnectionError:
                if self.process.poll() is not None or time.monotonic() > end:
                    raise Wrong("the bare endpoint does not start") from None
                time.sleep(0.01)

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.process.terminate()
        self.process.wait(20)

    @property
    def pid(self) -> int:
        return self.process.pid

    def keep(self, answer: object) -> None:
        Client(self.port).call("PUT", "/ready", answer=answer)


def application() -> Starlette:
    asked = msgspec.json.Decoder(Asked)
    summaries = msgspec.json.Decoder(Summaries)
    encode = msgspec.json.Encoder().encode
    kept = {"ready": b"", "list": Summaries([])}

    async def state(request: Request) -> Response:
        wanted = asked.decode(await request.body())
        return Response(encode(State(wanted.vmid, "STOPPED")), media_type="application/json")

    async def keep(request: Request) -> Response:
        answer = msgspec.json.decode(await request.body(), type=dict[str, msgspec.Raw])["answer"]
        kept["list"] = summaries.decode(answer)
        kept["ready"] = encode(kept["list"])
        return Response(b"{}", media_type="application/json")

    async def ready(request: Request) -> Response:
        await request.body()
        return Response(kept["ready"], media_type="application/json")

    async def encoded(request: Request) -> Response:
        await request.body()
        return Response(encode(kept["list"]), media_type="application/json")

    readers: set[asyncio.Queue[bytes]] = set()

    async def frames() -> AsyncIterator[bytes]:
        told: asyncio.Queue[bytes] = asyncio.Queue()
        readers.add(told)
        try:
            yield b"event: snapshot\ndata: {}\nid: 0\n\n"
            while True:
                yield await told.get()
        finally:
            readers.remove(told)

    async def events(request: Request) -> Response:
        return StreamingResponse(frames(), media_type="text/event-stream")

    async def tell(request: Request) -> Response:
        event = b"event: set\ndata: %s\nid: 1\n\n" % await request.body()
        for told in readers:
            told.put_nowait(event)
        return Response(b"{}", media_type="application/json")

    return Starlette(
        routes=[
            Route("/state", state, methods=["POST"]),
            Route("/ready", keep, methods=["PUT"]),
            Route("/ready", ready, methods=["POST"]),
            Route("/encoded", encoded, methods=["POST"]),
            Route("/events", events, methods=["GET"]),
            Route("/tell", tell, methods=["POST"]),
        ]
    )


def main() -> None:
    uvicorn.run(
        application(),
        host="127.0.0.1",
        port=int(sys.argv[1]),
        lifespan="off",
        log_level="warning",
        access_log=False,
        server_header=False,
        loop="uvloop",
        http="httptools",
    )


if __name__ == "__main__":
    main()
