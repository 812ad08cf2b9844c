"""One open console of a machine, as a websocket."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable

import msgspec

from velocity.client.errors import ClientError
from velocity.contract.consoles import SUBPROTOCOL, KeyboardMove, KeyboardStatus, Move


class Console:
    """Serial: raw bytes; display: RFB (RFC 6143). One thread may receive while another sends.

    With `control` (serial only) the server tells who types: `hear` is called with it, out of `receive`.
    """

    def __init__(self, server: str, path: str, *, control: bool = False) -> None:
        from websockets.exceptions import InvalidHandshake  # a tenth of a second that only consoles have to pay
        from websockets.sync.client import connect
        from websockets.typing import Subprotocol

        url = "ws" + server.removeprefix("http") + path
        offered = [Subprotocol(SUBPROTOCOL)] if control else None
        self.hear: Callable[[KeyboardStatus], None] = lambda told: None
        try:
            self._open = contextlib.ExitStack()
            self._socket = self._open.enter_context(
                connect(url, subprotocols=offered, max_size=None, proxy=None, compression=None)
            )
        except (OSError, InvalidHandshake) as error:
            raise ClientError(f"the console cannot be opened: {error}") from None
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
