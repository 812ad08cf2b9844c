"""An open console and its threads: over TLS, closed beside a wait, after a wait that a signal broke off."""

from __future__ import annotations

import contextlib
import signal
import ssl
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import Future
from http import HTTPStatus
from pathlib import Path
from typing import Any

import pytest
from anyio.from_thread import start_blocking_portal
from websockets.asyncio.client import ClientConnection
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response

from tests.certificates import certificate
from tests.patience import PATIENCE, at_last
from velocity.client import ClientError, Unreachable
from velocity.client.console import Console

Refuse = Callable[[ServerConnection, Request], Response | None]


async def echo(connection: ServerConnection) -> None:
    with contextlib.suppress(ConnectionClosed):
        async for message in connection:
            await connection.send(message)


@contextlib.contextmanager
def serving(secure: ssl.SSLContext | None = None, refuse: Refuse | None = None) -> Iterator[int]:
    """The port of a websocket server that echoes, in a thread of its own."""

    @contextlib.asynccontextmanager
    async def served() -> AsyncIterator[int]:
        async with serve(echo, "localhost", 0, ssl=secure, process_request=refuse) as server:
            yield next(iter(server.sockets)).getsockname()[1]

    with start_blocking_portal() as portal, portal.wrap_async_context_manager(served()) as port:
        yield port


@pytest.fixture
def pair(tmp_path: Path) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """The server's, and that of a client who trusts it."""
    lab = certificate("lab CA", authority=True)
    (tmp_path / "ca.pem").write_bytes(lab.pem)
    server = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    server.load_cert_chain(*certificate("localhost", by=lab).write(tmp_path, lab))
    return server, ssl.create_default_context(cafile=tmp_path / "ca.pem")


@pytest.mark.holds("TLS-8")
def test_one_thread_alone_uses_a_tls_connection(pair: tuple[ssl.SSLContext, ssl.SSLContext]) -> None:
    """Two at once, and now and then what one writes is never sent: the console waits for ever."""
    used: set[int] = set()

    class WatchedObject(ssl.SSLObject):
        def read(self, *given: Any) -> Any:
            used.add(threading.get_ident())
            return super().read(*given)

        def write(self, data: Any) -> int:
            used.add(threading.get_ident())
            return super().write(data)

    class WatchedSocket(ssl.SSLSocket):
        def recv(self, *given: Any) -> bytes:
            used.add(threading.get_ident())
            return super().recv(*given)

        def send(self, *given: Any) -> int:
            used.add(threading.get_ident())
            return super().send(*given)

    server, trust = pair
    trust.sslobject_class, trust.sslsocket_class = WatchedObject, WatchedSocket
    with serving(secure=server) as port:
        console = Console(f"https://localhost:{port}", "/", trust=trust)
        console.send(b"echo")
        assert console.receive(timeout=PATIENCE) == b"echo"
        console.close()
    assert len(used) == 1


@pytest.mark.holds("TLS-8")
def test_many_consoles_are_opened_over_tls_at_once(pair: tuple[ssl.SSLContext, ssl.SSLContext]) -> None:
    """The chance that is in the other test's words."""
    server, trust = pair
    spoken: list[bytes | None] = []

    def speak(port: int) -> None:
        for _ in range(50):
            console = Console(f"https://localhost:{port}", "/", trust=trust)
            console.send(b"echo")
            spoken.append(console.receive(timeout=PATIENCE))
            console.close()

    with serving(secure=server) as port:
        threads = [threading.Thread(target=speak, args=[port], daemon=True) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(PATIENCE)
    assert spoken == [b"echo"] * 200


def test_it_is_closed_beside_a_thread_that_waits() -> None:
    with serving() as port:
        console = Console(f"http://localhost:{port}", "/")
        heard: list[bytes | None] = []
        waiting = threading.Thread(target=lambda: heard.append(console.receive()), daemon=True)
        waiting.start()
        console.close()
        waiting.join(PATIENCE)
        assert heard == [b""]
        assert console.receive() == b"", "it has ended, and goes on having ended"
        with pytest.raises(ClientError, match="the console has ended"):
            console.send(b"more")
        console.close()


@pytest.mark.parametrize("error", [KeyboardInterrupt, OSError])
def test_a_thread_that_waits_ends_though_closing_fails(
    monkeypatch: pytest.MonkeyPatch, error: type[BaseException]
) -> None:
    def fail(self: contextlib.ExitStack) -> None:
        raise error

    with serving() as port:
        console = Console(f"http://localhost:{port}", "/")
        heard: list[bytes | None] = []
        waiting = threading.Thread(target=lambda: heard.append(console.receive(timeout=PATIENCE)), daemon=True)
        waiting.start()
        with monkeypatch.context() as failing:
            failing.setattr(contextlib.ExitStack, "close", fail)
            with pytest.raises(error):
                console.close()
        waiting.join(2 * PATIENCE)
        assert heard == [b""]
        console.close()


def test_an_error_of_the_connection_that_nobody_foresaw_ends_the_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    async def fail(self: ClientConnection) -> bytes:
        raise OSError("nobody foresaw")

    with serving() as port:
        console = Console(f"http://localhost:{port}", "/")
        monkeypatch.setattr(ClientConnection, "recv", fail)
        with pytest.raises(OSError, match="nobody foresaw"):
            console.receive(timeout=PATIENCE)
        console.close()


def interrupt_now() -> None:
    signal.raise_signal(signal.SIGINT)


def interrupt_soon() -> None:
    threading.Thread(target=signal.pthread_kill, args=(threading.get_ident(), signal.SIGINT)).start()


@pytest.mark.parametrize("interrupt", [interrupt_now, interrupt_soon], ids=["now", "soon"])
def test_a_wait_that_a_signal_breaks_off_takes_nothing_away(
    monkeypatch: pytest.MonkeyPatch, interrupt: Callable[[], None]
) -> None:
    """As it begins in the console's thread, and from then on."""
    main, result = threading.get_ident(), Future.result

    def begun(future: Future[Any], timeout: float | None = None) -> Any:
        done = result(future, timeout)
        if threading.get_ident() == main:
            interrupt()
        return done

    with serving() as port:
        console = Console(f"http://localhost:{port}", "/")
        with monkeypatch.context() as held:
            held.setattr(Future, "result", begun)
            with pytest.raises(KeyboardInterrupt):
                console.receive(timeout=PATIENCE)
        console.send(b"echo")
        assert console.receive(timeout=PATIENCE) == b"echo"
        console.close()


def test_what_cannot_be_opened_leaves_no_thread() -> None:
    before = set(threading.enumerate())

    def elsewhere(connection: ServerConnection, request: Request) -> Response:
        answer = connection.respond(HTTPStatus.FOUND, "")
        answer.headers["Location"] = "https://velocity.example/"
        return answer

    with serving(refuse=elsewhere) as port, pytest.raises(ClientError, match="but a redirection to https://velocity"):
        Console(f"http://localhost:{port}", "/")
    with pytest.raises(Unreachable, match="the console cannot be opened"):
        Console("http://localhost:9", "/")
    at_last(lambda: set(threading.enumerate()) <= before, "the end of all threads")
