"""What it is worth to send the head of an answer with its body (`api.transport`): with that and without, in turn.

`python -m bench.heads [ROUNDS]`. It judges a choice in the code, and is no part of docs/performance.md.
"""

from __future__ import annotations

import asyncio
import importlib
import statistics
import sys

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from bench.load import Load, load
from bench.server import Velocity
from velocity.__main__ import main as serve
from velocity.api.server import Protocol

ROUNDS = 31
CONNECTIONS = (1, 16)


class Apart(Velocity):
    """A server that sends both as uvicorn does."""

    def __init__(self) -> None:
        super().__init__(fake=True)
        self.module = "bench.heads"


def apart() -> None:
    made = Protocol.connection_made

    def connection_made(self: Protocol, transport: asyncio.Transport) -> None:
        made(self, transport)
        self.transport = transport

    setattr(Protocol, "connection_made", connection_made)  # noqa: B010 - to assign to a method is what mypy refuses
    setattr(Protocol, "on_response_complete", HttpToolsProtocol.on_response_complete)  # noqa: B010


def main(rounds: int = ROUNDS) -> None:
    with Velocity(fake=True) as together, Apart() as plain:
        vmids = {server: server.reference_vm(server.client(), "one", disk=False) for server in (together, plain)}
        for connections in CONNECTIONS:
            found: dict[Velocity, list[Load]] = {together: [], plain: []}
            for number in range(rounds):
                for server in (together, plain) if number % 2 else (plain, together):
                    found[server].append(
                        load(
                            server.port, server.pid, "/v/vm/state",
                            connections=connections, seconds=1, key=server.key, vmid=vmids[server],
                        )
                    )  # fmt: skip
            pairs = list(zip(found[together], found[plain], strict=True))
            for what in ("cpu", "rate", "p50"):
                ratio = statistics.median(getattr(one, what) / getattr(other, what) for one, other in pairs)
                sys.stdout.write(f"{connections} connections: {what} x {ratio:.3f}\n")


if __name__ == "__main__":
    if sys.argv[1:] == ["serve"]:
        apart()
        importlib.import_module("bench.faked")
        serve()
    else:
        main(*map(int, sys.argv[1:]))
