"""An open console of a VM: a websocket."""

from __future__ import annotations

import contextlib
import queue
import ssl
import time
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError
from pathlib import Path

import msgspec

from velocity.client.errors import ClientError, no_answer, refusal
from velocity.contract.consoles import SUBPROTOCOL, KeyboardMove, KeyboardStatus, Move


class Console:
    """A console. Serial: raw bytes; display: RFB (RFC 6143). One thread may receive while another one sends.

    With `control` (serial only), `receive` calls `hear` with who types. `trust` is for TLS, `uds` a Unix socket to
    connect through.

    The connection belongs to a thread of its own, with an event loop: OpenSSL does not allow two threads to use a TLS
    connection at once, not even one to read and one to write. `SSL_read(3)`, `openssl-threads(7)`
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
        from anyio.from_thread import start_blocking_portal  # takes a fifth of a second
        from websockets.asyncio.client import connect, unix_connect
        from websockets.exceptions import InvalidHandshake, InvalidStatus
        from websockets.typing import Subprotocol

        class Direct(connect):
            def process_redirect(self, exc: Exception) -> Exception | str:
                return exc  # so that the message names the address, as for other requests

        url = "ws" + server.removeprefix("http") + path
        secure = trust if url.startswith("wss:") else None
        offered = [Subprotocol(SUBPROTOCOL)] if control else None
        self.hear: Callable[[KeyboardStatus], None] = lambda told: None
        self._closed = False
        self._reads = False
        self._came: queue.SimpleQueue[bytes | str | Exception] = queue.SimpleQueue()
        """At most one message, or how the connection ended."""
        try:
            with contextlib.ExitStack() as opening:
                self._loop = opening.enter_context(start_blocking_portal())
                opened = (
                    Direct(url, subprotocols=offered, max_size=None, proxy=None, compression=None, ssl=secure)
                    if uds is None
                    else unix_connect(
                        str(uds), f"ws://localhost{path}", subprotocols=offered, max_size=None, compression=None
                    )
                )
                self._socket = opening.enter_context(self._loop.wrap_async_context_manager(opened))
                self._open = opening.pop_all()
        except InvalidStatus as error:
            answer = error.response
            told = refusal(answer.status_code, bytes(answer.body or b""), answer.headers.get("location"))
            raise ClientError(f"the console cannot be opened: {told.message}") from None
        except (OSError, InvalidHandshake) as error:
            raise no_answer(server, error, f"the console cannot be opened: {error}") from None
        self.controlled = self._socket.subprotocol is not None
        self.why = ""
        """Why the server has closed it, in words."""

    def receive(self, timeout: float | None = None) -> bytes | None:
        """The next bytes; empty when the console has ended, None after `timeout` seconds without any."""
        end = None if timeout is None else time.monotonic() + timeout
        while True:
            try:
                message = self._next(None if end is None else max(0.0, end - time.monotonic()))
            except queue.Empty:
                return None
            except EOFError:
                return b""
            if isinstance(message, bytes):
                return message
            if not self.controlled:
                return message.encode()
            self.hear(msgspec.json.decode(message, type=KeyboardStatus))

    def send(self, data: bytes) -> None:
        """Raises `ClientError` when the console has ended."""
        self._send(data)

    def move(self, move: Move) -> None:
        """Request the keyboard, take a free one, hand it over, keep or release it. Raises `ClientError`."""
        if self.controlled:
            self._send(msgspec.json.encode(KeyboardMove(keyboard=move)).decode())

    def close(self) -> None:
        self._closed = True
        try:
            self._open.close()
        finally:
            self._came.put(CancelledError())  # however it ends, a thread that waits does not wait for ever

    def _next(self, seconds: float | None) -> bytes | str:
        """Raises `EOFError` when the console has ended; `queue.Empty` after so many seconds."""
        with self._ending():
            self._loop.start_task_soon(self._read)
            came = self._came.get(timeout=seconds)
            if isinstance(came, Exception):
                raise came
            return came

    async def _read(self) -> None:
        """Receive one message, unless that is under way: a wait that a signal broke off leaves it to the next one."""
        if self._reads or not self._came.empty():
            return
        self._reads = True
        try:
            self._came.put(await self._socket.recv())
        except Exception as error:
            self._came.put(error)
        finally:
            self._reads = False

    def _send(self, message: bytes | str) -> None:
        try:
            with self._ending():
                self._loop.start_task_soon(self._socket.send, message).result()
        except EOFError:
            raise ClientError("the console has ended") from None

    @contextlib.contextmanager
    def _ending(self) -> Iterator[None]:
        """Raises `EOFError` when the console ends within, or has ended."""
        from websockets.exceptions import ConnectionClosed

        try:
            yield
        except ConnectionClosed as closed:
            if closed.rcvd is not None and closed.rcvd_then_sent:
                self.why = closed.rcvd.reason
            elif closed.sent is None:
                self.why = "the connection was lost"
            raise EOFError from None
        except (RuntimeError, CancelledError):
            if not self._closed:
                raise
            raise EOFError from None  # another thread has closed it, and its loop with it
