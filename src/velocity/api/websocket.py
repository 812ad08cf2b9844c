"""uvicorn's websockets, adapted."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.http11 import Request

GONE = "gone"
"""In a connection's state: an event that is set with its end, also where nobody waits for what it receives."""


class WebSocketProtocol(WebSocketsSansIOProtocol):
    """One websocket. Clients' mistakes are not logged: refused handshakes, or invalid text."""

    leave: Callable[[], None] | None = None
    """To be called at its end."""

    def handle_connect(self, event: Request) -> None:
        self._gone = asyncio.Event()
        super().handle_connect(event)
        if self.response.status_code == 101:
            self.scope["state"][GONE] = self._gone

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        if self.handshake_initiated:
            self._gone.set()
        if self.leave is not None:
            self.leave()

    async def send(self, message: Any) -> None:
        await super().send(message)
        if message["type"] == "websocket.http.response.body" and not message.get("more_body", False):
            self.handshake_complete = True

    def send_receive_event_to_app(self) -> None:
        """As uvicorn's, but text that is not UTF-8 ends the connection. RFC 6455, 8.1"""
        if self.curr_msg_data_type == "text":
            try:
                b"".join(self.frames).decode()
            except UnicodeDecodeError:
                self.frames = []
                self.conn.send_close(1007)
                self.handle_parser_exception()
                return
        super().send_receive_event_to_app()
