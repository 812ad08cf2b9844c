"""Fetches a file over HTTP/1.1: connections use checked addresses only, also after redirects.

Nothing is decoded: the bytes are stored as they arrive.
"""

from __future__ import annotations

import asyncio
import logging
import re
import ssl
from collections.abc import AsyncGenerator, AsyncIterator, Iterable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from typing import Any

import httpcore

from velocity import __version__
from velocity.contract.problems import Problem, Refused
from velocity.fetching import urls
from velocity.fetching.connections import Connections
from velocity.fetching.port import Answer, Broken, Changed, NotServed, Permitted, Rest
from velocity.fetching.urls import Url

REDIRECTS = 5
ADDRESSES = 4
"""Addresses of a host that are tried."""
READ, HEAD = 16 << 10, 256 << 10
"""Bytes that are read at once, and before the body."""
YIELD, CRUMBS, SMALLEST = 64, 10_000, 128
"""Pieces after which others are served; so many pieces must have this average size, as each costs the same time."""
_RANGE = re.compile(r"bytes (\d{1,19})-(\d{1,19})/(\d{1,19}|\*)\Z")
_LATER = {408, 425, 429, 500, 502, 503, 504}
_MOVED = {301, 302, 303, 307, 308}

logging.getLogger("httpcore").setLevel(logging.INFO)  # it would log complete URLs


class BoundedStream(httpcore.AsyncNetworkStream):
    """Reads little at a time, as data is parsed without interruption, and no more than `HEAD` until `head_ended`: a
    server may send interim responses endlessly.
    """

    def __init__(self, inner: httpcore.AsyncNetworkStream) -> None:
        self._inner = inner
        self._head: int | None = HEAD

    def head_ended(self) -> None:
        self._head = None

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:  # noqa: ASYNC109 - the library's
        piece = await self._inner.read(min(max_bytes, READ), timeout)
        if self._head is not None:
            self._head -= len(piece)
            if self._head < 0:
                raise httpcore.RemoteProtocolError("the head is too long")
        return piece

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:  # noqa: ASYNC109 - the library's
        await self._inner.write(buffer, timeout)

    async def aclose(self) -> None:
        await self._inner.aclose()

    async def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,  # noqa: ASYNC109 - the library's
    ) -> httpcore.AsyncNetworkStream:
        self._inner = await self._inner.start_tls(ssl_context, server_hostname, timeout)
        return self

    def get_extra_info(self, info: str) -> Any:
        return self._inner.get_extra_info(info)


class CheckedBackend(httpcore.AsyncNetworkBackend):
    """Connects to checked addresses, never to names: a name is resolved once for each connection."""

    def __init__(self, connections: Connections, url: Url, permitted: Permitted) -> None:
        self._connections = connections
        self._url = url
        self._permitted = permitted
        self._inner = httpcore.AnyIOBackend()
        self.is_public = True
        self.stream: BoundedStream | None = None

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109 - the library's
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        failed: Exception | None = None
        for address in (await self._connections.addresses(self._url, self._permitted))[:ADDRESSES]:
            try:
                stream = await self._inner.connect_tcp(address, port, timeout)
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                failed = error
            else:
                self.is_public = self._connections.is_public(address)
                self.stream = BoundedStream(stream)
                return self.stream
        raise failed or httpcore.ConnectError("no address")


@asynccontextmanager
async def ask(connections: Connections, url: Url, permitted: Permitted, rest: Rest | None) -> AsyncIterator[Answer]:
    """See `velocity.fetching.port.Source.open`."""
    for _ in range(REDIRECTS + 1):
        async with AsyncExitStack() as held:
            backend = CheckedBackend(connections, url, permitted)
            response = await _get(connections, backend, url, rest, held)
            headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in response.headers}
            if response.status not in _MOVED:
                offset, size = _part(url, response.status, headers)
                pieces = _pieces(response, url)
                yield Answer(url, offset, size, _validator(headers), backend.is_public, pieces)
                return
            url = _follow(url, headers.get("location"), permitted)
    raise NotServed(f"the URL redirects more than {REDIRECTS} times: name the one that it leads to")


async def _get(
    connections: Connections, backend: CheckedBackend, url: Url, rest: Rest | None, held: AsyncExitStack
) -> httpcore.Response:
    limits = connections.limits
    headers = {
        "Host": url.authority,
        "User-Agent": f"velocity/{__version__}",
        "Accept": "*/*",
        "Accept-Encoding": "identity",
        "Connection": "close",
    }
    if rest is not None:
        headers |= {"Range": f"bytes={rest.offset}-", "If-Range": rest.validator}
    context = await connections.context() if url.scheme == "https" else None
    pool = httpcore.AsyncConnectionPool(ssl_context=context, max_connections=1, network_backend=backend)
    await held.enter_async_context(pool)
    timeouts = {"connect": limits.connect, "read": limits.silence, "write": limits.silence, "pool": limits.connect}
    request = pool.stream(
        "GET",
        httpcore.URL(scheme=url.scheme, host=url.host, port=url.port, target=url.target),
        headers=[(name, value.encode("latin-1")) for name, value in headers.items()],
        extensions={"timeout": timeouts},
    )
    with _as_refusals(url):
        async with asyncio.timeout(limits.lookup + ADDRESSES * limits.connect + limits.silence):
            response = await held.enter_async_context(request)
    assert backend.stream is not None, "it was connected"
    backend.stream.head_ended()
    return response


def _follow(url: Url, location: str | None, permitted: Permitted) -> Url:
    if location is None:
        raise NotServed(f"{url.host} redirects without saying where: check the URL")
    try:
        to = urls.parse(location, url)
    except Refused as refused:
        raise Refused(refused.problem, f"{url.host} redirects elsewhere, and {refused.message}", field="url") from None
    if url.scheme == "https" and to.scheme == "http" and not permitted.plain:
        raise NotServed(
            f"{url.host} redirects from https to http, where nobody knows whose bytes come: give their `sha256`"
        )
    return to


def _part(url: Url, status: int, headers: dict[str, str]) -> tuple[int, int | None]:
    """The offset of the body, and the file's length. Raises `Refused` if the body is not the file."""
    if status == 200:
        length = "" if "transfer-encoding" in headers else headers.get("content-length", "")
        return 0, int(length) if re.fullmatch("[0-9]{1,19}", length) else None
    if status == 206 and (found := _RANGE.match(headers.get("content-range", ""))):
        return int(found[1]), None if found[3] == "*" else int(found[3])
    if status == 416:
        raise Changed(f"{url.host} has less of the file than before")
    if status in _LATER:
        raise Broken(f"{url.host} cannot serve the file now (status {status}): try again later")
    words = {401: "wants a sign-in for it", 403: "does not give it to everybody", 404: "has no such file"}
    why = words.get(status, "does not answer with the file")
    raise NotServed(f"{url.host} {why} (status {status}): check the URL")


def _validator(headers: dict[str, str]) -> str | None:
    """What identifies this version of the file: RFC 9110, 13.1.5."""
    etag = headers.get("etag")
    return etag if etag and etag.startswith('"') else headers.get("last-modified")


async def _pieces(response: httpcore.Response, url: Url) -> AsyncGenerator[bytes, None]:
    count = size = 0
    with _as_refusals(url):
        async for piece in response.aiter_stream():
            yield piece
            count, size = count + 1, size + len(piece)
            if not count % YIELD:
                await asyncio.sleep(0)
            if count == CRUMBS:
                if size < CRUMBS * SMALLEST:
                    raise NotServed(f"{url.authority} sends its bytes nearly one by one: use another URL")
                count = size = 0


@contextmanager
def _as_refusals(url: Url) -> Iterator[None]:
    try:
        yield
    except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
        if (certificate := _certificate_error(error)) is not None:
            raise Refused(
                Problem.UNAVAILABLE,
                f"{url.host} does not prove who it is ({certificate}): check the URL; an authority of your own is "
                "named by the setting fetch_ca",
                field="url",
            ) from None
        raise Broken(f"{url.authority} cannot be reached: check the URL, and whether the server is up") from None
    except (TimeoutError, httpcore.TimeoutException):
        raise Broken(f"{url.authority} has stopped sending") from None
    except (httpcore.NetworkError, httpcore.ProtocolError):
        raise Broken(f"{url.authority} broke off") from None


def _certificate_error(error: BaseException | None) -> str | None:
    while error is not None:
        if isinstance(error, ssl.SSLCertVerificationError):
            return error.verify_message
        error = error.__cause__ or error.__context__
    return None
