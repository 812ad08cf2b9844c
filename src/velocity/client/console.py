"""An open console of a VM, as a websocket."""

from __future__ import annotations

import contextlib
import ssl
import time
from collections.abc import Callable
from pathlib import Path

import msgspec

from velocity.client.errors import ClientError, no_answer, refusal
from velocity.contract.consoles import SUBPROTOCOL, KeyboardMove, KeyboardStatus, Move


class Console:
    """Serial: raw bytes; display: RFB (RFC 6143). One thread may receive while another sends.

    With `control` (serial only) the server tells who types: `hear` is called with it, out of `receive`. `trust` is for
    a server with TLS, `uds` a socket of this machine by which it is reached instead.
    """

    def __init__(
        self,
        server: str,
        path: str,
        *,
        control: bool = False,
        trust: ssl.SSLContext | None = None,
        uds: Path | None = None,
    ) -> None:
        from websockets.exceptions import (
            InvalidHandshake,  # a tenth of a second that only consoles have to pay
            InvalidStatus,
        )
        from websockets.sync.client import connect, unix_connect
        from websockets.typing import Subprotocol

        url = "ws" + server.removeprefix("http") + path
        secure = trust if url.startswith("wss:") else None
        offered = [Subprotocol(SUBPROTOCOL)] if control else None
        self.hear: Callable[[KeyboardStatus], None] = lambda told: None
        try:
            self._open = contextlib.ExitStack()
            opened = (
                connect(url, subprotocols=offered, max_size=None, proxy=None, compression=None, ssl=secure)
                if uds is None
                else unix_connect(uds, f"ws://localhost{path}", subprotocols=offered, max_size=None, compression=None)
            )
            self._socket = self._open.enter_context(opened)
        except InvalidStatus as error:
            answer = error.response
            told = refusal(answer.status_code, bytes(answer.body or b""), answer.headers.get("location"))
            raise ClientError(f"the console cannot be opened: {told.message}") from None
        except (OSError, InvalidHandshake) as error:
            raise no_answer(server, error, f"the console cannot be opened: {error}") from None
        self.controlled = self._socket.subprotocol is not None

    def receive(self, timeout: float | None = None) -> bytes | None:
        """The next bytes; empty when the console has ended, None when `timeout` seconds passed without any."""
        from websockets.exceptions import ConnectionClosed

        end = None if timeout is None else time.monotonic() + timeout
        while True:
            try:
                message = self._socket.recv(None if end is None else max(0.0, end - time.monotonic()))
            except TimeoutError:
                return None
            except ConnectionClosed:
                return b""
            if isinstance(message, bytes):
                return message
            if not self.controlled:
                return message.encode()
            self.hear(msgspec.json.decode(message, type=KeyboardStatus))

    def send(self, data: bytes) -> None:
        """Raises `ClientError` when it has ended."""
        self._send(data)

    def move(self, move: Move) -> None:
        """Ask for the keyboard, take a free one, give it, keep it, let go of it. Raises `ClientError`."""
        if self.controlled:
            self._send(msgspec.json.encode(KeyboardMove(keyboard=move)).decode())

    def _send(self, message: bytes | str) -> None:
        from websockets.exceptions import ConnectionClosed

        try:
            self._socket.send(message)
        except ConnectionClosed:
            raise ClientError("the console has ended") from None

    def close(self) -> None:
        self._open.close()
