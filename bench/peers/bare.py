"""The floor of a read: Starlette and msgspec alone, under uvicorn with the settings of `velocity serve`.

No authkey, no permission, no history, no metrics, no headers but those of the answer. A process of its own:
`python -m bench.peers.bare PORT`.
"""

from __future__ import annotations

import subprocess
import sys
import time
from types import TracebackType

import msgspec
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
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
    """The peer's process. `keep` gives it the bytes of a list; POST /state, /ready and /encoded answer."""

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

    return Starlette(
        routes=[
            Route("/state", state, methods=["POST"]),
            Route("/ready", keep, methods=["PUT"]),
            Route("/ready", ready, methods=["POST"]),
            Route("/encoded", encoded, methods=["POST"]),
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
