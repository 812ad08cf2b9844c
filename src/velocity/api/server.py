"""uvicorn as we run it: streams are told of its end, and a connection that nobody reads from can be cut."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Callable, Iterator

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

CUT = "velocity.cut"
"""An extension in the scope: ends the connection at once, without what waits in its buffer."""


class Protocol(HttpToolsProtocol):
    """One connection."""

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self.scope["extensions"] = {CUT: {"abort": self.transport.abort}}


class Server(uvicorn.Server):
    """Ends at `end` without raising the signal again: what the end means is ours to tell.

    `ending` is called before it waits for what is under way: streams end by themselves then.
    """

    def __init__(self, config: uvicorn.Config, ending: Callable[[], None]) -> None:
        super().__init__(config)
        self._ending = ending

    def end(self) -> None:
        self.should_exit = True

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._ending()
        await super().shutdown(sockets)

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield
