"""uvicorn, adapted: responses are sent whole, streams learn of a shutdown, connections that nobody reads can be cut.

Unknown users get little: heads are limited, and so are bodies without an authkey in a header.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import ssl
from collections.abc import Callable, Iterator
from typing import Any

import uvicorn
from httptools import HttpParserError, HttpParserUpgrade, HttpRequestParser
from starlette.types import Receive, Scope
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle

from velocity.api import errors
from velocity.api.bounds import Refusal, RequestLimits, State
from velocity.api.browser import EVER
from velocity.api.cycle import Cycle
from velocity.api.request import STRANGER, Find, has_body, is_known
from velocity.api.senders import Sender
from velocity.api.transport import CoalescingTransport
from velocity.api.turns import Turns
from velocity.api.websocket import WebSocketProtocol
from velocity.contract.problems import Problem, Refused

log = logging.getLogger(__name__)
log.setLevel(logging.ERROR)  # otherwise every invalid request would write a line
CUT = "velocity.cut"
"""Key of the scope's extension that ends a connection at once, dropping its buffer."""
LAST_WORDS, SENT = 1.0, 0.1
"""Seconds at the end of the server: for the responses to the requests that it cancels, and until they are sent."""


async def left(receive: Receive) -> None:
    """Returns when the client has left."""
    while (await receive())["type"] != "http.disconnect":
        pass


async def cut(scope: Scope, receive: Receive) -> None:
    """End the connection at once, dropping its buffer."""
    abort = scope.get("extensions", {}).get(CUT, {}).get("abort")
    if abort is not None:
        abort()
        await left(receive)


class TooManyLines(Exception):
    """Makes the parser stop in the middle of a head."""


class Protocol(HttpToolsProtocol):
    """One connection, until it becomes a websocket.

    Counts the bytes that the parser has taken without completing a head, a trailer or a chunk header, as it copies them
    again with every piece that arrives. `server_state` is a `State`.
    """

    def __init__(self, config: uvicorn.Config, server_state: State, *more: Any, **named: Any) -> None:
        super().__init__(config, server_state, *more, **named)
        self.logger = log
        self._shared = server_state
        self._bounds = server_state.bounds
        self._addresses = server_state.addresses
        self._find = server_state.find
        self._sender = Sender(server_state.turns, server_state.find)
        self._strangers = server_state.strangers
        self._lingering = server_state.lingering
        self._counted: str | None = None
        self.in_head = True
        """Whether the next bytes belong to a head, as opposed to a body."""
        self._unfinished = 0
        self._since = 0.0
        """The start of waiting for what must arrive within `RequestLimits.seconds`, in the loop's time; 0: nothing."""
        self._looked = False
        """Whether the sender of the present body was looked up; not needed for one that arrives together with its head.
        """
        self._known = False
        """Whether a known user has sent a request on it, or its peer is a process of this account."""
        self._refused = False
        self._passes_over = False
        """The replaced parser has not ended its message yet."""
        self._answering: RequestResponseCycle | None = None
        """The request that is being answered, even if others have been read since."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self.plain = transport
        self.transport = CoalescingTransport(transport, self._close)  # type: ignore[assignment]
        self._since = self.loop.time()
        self._known = self.client is None
        self.address = address = self.client[0] if self.client else ""
        if self._addresses.enter(address):
            self._counted = address
        else:
            many = f"{self._bounds.connections} connections from {address} are open, the most allowed for one address"
            self._refuse(Problem.TOO_MANY_ATTEMPTS, f"{many}: close some of them")

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        if self._answering is not None and not self._answering.response_complete:
            self._answering.disconnected = True  # uvicorn informs only the last one, which may be waiting behind it
            self._answering.message_event.set()
        self._answering = None
        if isinstance(self.transport, CoalescingTransport):
            self.transport.drop_close()
        self._leave()
        self._unset_keepalive_if_required()  # a reset leaves this timer, which keeps a head of up to a megabyte alive

    def _leave(self) -> None:
        if self._counted is not None:
            self._addresses.leave(self._counted)
            self._counted = None

    def data_received(self, data: bytes) -> None:
        if not self._known:
            self._strangers.came(self, data)
        elif not self._sender.came(self, data):
            self._unset_keepalive_if_required()

    def take(self, data: bytes) -> bool:
        """Parse the data. False: the connection takes no more."""
        if self._refused or self not in self.connections:
            return False
        room = self._bounds.head - self._unfinished
        if not self.in_head or len(data) <= room:
            self._feed(data)
            return True
        self._feed(data[:room])
        if self.in_head and self._unfinished == self._bounds.head:
            self._too_large()
        elif not self.plain.is_closing():
            self.take(data[room:])
        return True

    def _feed(self, data: bytes) -> None:
        begins = not self._unfinished
        self._unfinished += len(data)
        self._parse(data)
        if self._unfinished > self._bounds.head:
            self._too_large()
        elif self.in_head:
            if not self._unfinished:
                self._since = 0.0
            elif begins:
                self._since = self.loop.time()
        elif not self._looked:
            self._looked = True
            if is_known(self.headers, self._find):
                self._since = 0.0
            else:
                self._since = self.loop.time()
                self.scope[STRANGER] = True  # type: ignore[literal-required]

    def _parse(self, data: bytes) -> None:
        """As uvicorn's, but continues with the new parser after `_pass_over_upgrade`."""
        self._unset_keepalive_if_required()
        rest = memoryview(data)
        while rest:  # a loop, as each request in it may have a parser of its own: recursion would be too deep
            parser = self.parser
            try:
                parser.feed_data(rest)
                return
            except HttpParserError:
                self.send_400_response("Invalid HTTP request received.")
                return
            except HttpParserUpgrade as upgrade:
                if self.parser is parser:
                    if self._should_upgrade():
                        self.handle_websocket_upgrade()
                    return
                rest = rest[upgrade.args[0] :]

    def _should_upgrade(self) -> bool:
        """Whether to become a websocket: only for a GET without a body, with no response under way. RFC 6455, 4.1

        With a body the handshake would wait forever, and a response would arrive among the websocket's frames.
        """
        alone = self.parser.get_method() == b"GET" and not has_body(self.headers) and self._is_answered()
        return alone and super()._should_upgrade()

    def _pass_over_upgrade(self) -> None:
        """Parse the head again without Upgrade, which we ignore (RFC 9110, 7.8). Java's client asks for h2c.

        The parser that has read it would treat what follows as another protocol, and drop it.
        """
        head = [b"%b %b HTTP/%b" % (self.parser.get_method(), self.url, self.parser.get_http_version().encode())]
        head += [b"%b: %b" % one for one in self.headers if one[0] != b"upgrade"]
        self.parser, self._passes_over = HttpRequestParser(self), True
        self.parser.set_dangerous_leniencies(lenient_data_after_close=True)  # as uvicorn does
        self.parser.feed_data(b"\r\n".join([*head, b"", b""]))

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self.scope["extensions"] = {CUT: {"abort": self.transport.abort}}

    def on_header(self, name: bytes, value: bytes) -> None:
        """As uvicorn's, but faster: it is called often."""
        name = name.lower()
        if name == b"expect" and value.lower() == b"100-continue":
            self.expect_100_continue = True
        self.headers.append((name, value))
        if len(self.headers) > self._bounds.lines:
            raise TooManyLines

    def on_headers_complete(self) -> None:
        if self.parser.should_upgrade() and self._get_upgrade() is not None and not self._should_upgrade():
            self._pass_over_upgrade()
            return
        if self._sender.note_head(self.headers, self.scope):  # type: ignore[arg-type]
            self._known = True
        super().on_headers_complete()
        self.in_head = self._looked = False
        self._unfinished = 0

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        self._answering = cycle
        cycle.__class__ = Cycle  # uvicorn makes it, and has no place to name the class
        assert isinstance(cycle, Cycle)
        cycle.shared = self._shared
        super()._start_asgi_task(cycle, app)

    def on_chunk_header(self) -> None:
        self._unfinished = 0

    def on_body(self, body: bytes) -> None:
        self._unfinished = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        if self._passes_over:
            self._passes_over = False  # this was the replaced parser's
            return
        self.in_head = True
        self._unfinished = 0
        super().on_message_complete()

    def on_response_complete(self) -> None:
        self.transport.flush()  # type: ignore[attr-defined]
        if self._sends_on():
            self._linger()
        if not self._refused:
            super().on_response_complete()

    def _close(self) -> None:
        if self._sends_on():
            self._linger()
        elif not self._refused:
            self.plain.close()

    def _sends_on(self) -> bool:
        """Whether more of an unknown user's body would arrive, which nobody reads."""
        return not (self.in_head or self._refused or self.plain.is_closing()) and STRANGER in self.scope

    def handle_websocket_upgrade(self) -> None:
        self.transport.drop_close()  # type: ignore[attr-defined]
        self.transport = self.plain
        super().handle_websocket_upgrade()
        opened = self.plain.get_protocol()
        if isinstance(opened, WebSocketProtocol):
            opened.leave = self._leave
        else:
            self._leave()

    def sweep(self, now: float) -> None:
        """End the connection if what it awaits is overdue. Called about once a second."""
        late = now - self._since
        if not self._since or self._refused:
            return
        if self.pipeline or (self.in_head and not self._is_answered()):
            self._since = now  # the response goes first; until then, nothing more need arrive
        elif late < self._bounds.seconds:
            return
        elif self.in_head or not self.cycle.response_started:
            what = "the headers of a request" if self.in_head else "a body without an authkey in a header"
            self._refuse(Problem.TOO_SLOW, f"{what} must arrive completely within {self._bounds.seconds:g} seconds")
        elif self.cycle.response_complete:
            self.plain.close()

    def _is_answered(self) -> bool:
        return self.cycle is None or self.cycle.response_complete

    def _too_large(self) -> None:
        most = f"{self._bounds.head} bytes in {self._bounds.lines} lines"
        self._refuse(Problem.HEAD_TOO_LARGE, f"the headers of a request can have at most {most}")

    def send_400_response(self, msg: str) -> None:
        """uvicorn's is not JSON."""
        if self.headers is not None and len(self.headers) > self._bounds.lines:
            self._too_large()
            return
        self._refuse(Problem.MALFORMED, f"this is not a valid HTTP request ({msg.rstrip('.')}): send it again")

    def _refuse(self, problem: Problem, message: str) -> None:
        """Respond and end the connection; without a response if another one is under way."""
        if self.plain.is_closing() or self._refused:
            return
        if self.pipeline or not (self._is_answered() if self.in_head else not self.cycle.response_started):
            self.plain.abort()
            return
        if not self._is_answered():
            self.cycle.disconnected = True
            self.cycle.message_event.set()
        response = errors.refusal(Refused(problem, message))
        headers = [*self.server_state.default_headers, *response.raw_headers, *EVER, (b"connection", b"close")]
        lines = b"".join(b"%s: %s\r\n" % header for header in headers)
        self.plain.write(STATUS_LINE[response.status_code] + lines + b"\r\n" + bytes(response.body))
        if problem is Problem.HEAD_TOO_LARGE:
            self._linger()
        else:
            self._refused = True
            self._unset_keepalive_if_required()
            self.plain.close()

    def _linger(self) -> None:
        self._refused = True
        self.plain.set_protocol(Refusal(self._addresses, self._counted))
        self.flow.pause_reading()
        self._counted = None
        self._lingering.add(self.plain)
        self.connection_lost(ConnectionAbortedError())  # for this protocol, it is over


class Server(uvicorn.Server):
    """Shuts down at `end`, without raising the signal again.

    `ending` is called before it waits for requests under way, so that streams can end. `find` finds the session of a
    valid authkey. `tls` is for all sockets except Unix sockets.
    """

    def __init__(
        self,
        config: uvicorn.Config,
        ending: Callable[[], None],
        find: Find,
        turns: Turns,
        bounds: RequestLimits | None = None,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        config.proxy_headers = False  # uvicorn trusts any local process; `forwarded` has our own list
        super().__init__(config)
        self._ending = ending
        self._tls = tls
        self.server_state: State = State(bounds or RequestLimits(), find, turns)

    def end(self) -> None:
        self.should_exit = True

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """As uvicorn's, with a time limit for TLS handshakes, before which there is no `Protocol` to be swept."""
        config, loop = self.config, asyncio.get_running_loop()
        self.servers: list[asyncio.base_events.Server] = []

        def connection() -> asyncio.Protocol:
            kind = config.http_protocol_class
            return kind(config=config, server_state=self.server_state, app_state={})  # type: ignore[call-arg]

        seconds = self.server_state.bounds.seconds if self._tls else None
        for one in sockets or []:
            if one.family == socket.AF_UNIX:
                opened = await loop.create_unix_server(connection, sock=one, backlog=config.backlog)
            else:
                opened = await loop.create_server(
                    connection, sock=one, ssl=self._tls, ssl_handshake_timeout=seconds, backlog=config.backlog
                )
            self.servers.append(opened)
        self.started = True

    async def on_tick(self, counter: int) -> bool:
        if counter % 10 == 0:
            now = asyncio.get_running_loop().time()
            for one in tuple(self.server_state.connections):
                if isinstance(one, Protocol):
                    one.sweep(now)
        return await super().on_tick(counter)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self.server_state.ending = True
        self._ending()
        self.server_state.lingering.end()
        await super().shutdown(sockets)
        if cancelled := set(self.server_state.tasks):  # each tells its client, if it can
            await asyncio.wait(cancelled, timeout=LAST_WORDS)
            await asyncio.sleep(SENT)
            self.server_state.lingering.end()
        for one in tuple(self.server_state.connections):  # uvicorn leaves open what did not end in time
            one.transport.abort()
        await asyncio.sleep(0)

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield
