"""The client for asyncio: the same methods as coroutines."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from pathlib import Path
from types import TracebackType
from typing import TypeVar

import httpx
import msgspec

from velocity.client import events as following
from velocity.client.async_methods import AsyncMethods
from velocity.client.client import AGENT, LOCAL, TIMEOUT
from velocity.client.errors import ApiError, ClientError, api_error, decoded, no_answer
from velocity.client.trust import Verify, trusted
from velocity.contract.events import WATCH, Event
from velocity.contract.operation import Operation, Wire
from velocity.contract.plan import Plan

Request = TypeVar("Request", bound=Wire)
Response = TypeVar("Response", bound=Wire)


class AsyncClient(AsyncMethods):
    """A connection to a server, for any number of asyncio tasks.

    Methods raise `ApiError` if the server refuses, `Unreachable` if it does not respond, and `Untrusted` if TLS fails.
    `verify` and `uds`: see `Client`.
    """

    def __init__(
        self,
        server: str,
        authkey: str | None = None,
        *,
        verify: Verify = True,
        uds: Path | None = None,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self.server = server.rstrip("/")
        self.authkey = authkey
        trust = trusted(LOCAL if uds else server, verify)
        if uds is not None:
            transport = httpx.AsyncHTTPTransport(verify=trust, uds=str(uds))
        self._http = httpx.AsyncClient(
            base_url=LOCAL if uds else self.server,
            headers={"user-agent": AGENT},
            timeout=TIMEOUT,
            verify=trust,
            transport=transport,
            trust_env=False,
        )

    async def __aenter__(self) -> AsyncClient:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        await self._http.aclose()

    async def call(
        self, operation: Operation[Request, Response], request: Request, *, idempotency_key: str | None = None
    ) -> Response:
        """Call any operation. With an idempotency key, repeating a change is safe."""
        headers = {} if idempotency_key is None else {"idempotency-key": idempotency_key}
        answer = await self._send(operation, msgspec.json.encode(request), headers)
        return decoded(answer, operation.response)

    async def pages(self, operation: Operation[Request, Response], request: Request) -> AsyncIterator[Response]:
        """All of a list, page by page, as `Client.pages`."""
        wanted: Request | None = operation.first_page(request)
        while wanted is not None:
            answer = await self.call(operation, wanted)
            yield answer
            wanted = operation.next_page(wanted, answer)

    async def plan(self, operation: Operation[Request, Response], request: Request) -> Plan:
        """What a change would do and use; nothing is changed. Raises `ApiError` as the change would."""
        content = msgspec.json.encode(msgspec.structs.replace(request, plan=True))
        return decoded(await self._send(operation, content, {}), Plan)

    async def events(self, *, patience: float = 60.0) -> AsyncGenerator[Event, None]:
        """What the caller may see, then each change, endlessly: see docs/events.md.

        Reconnects without losing or repeating events, until the server has not responded for `patience` seconds. Raises
        `ApiError` when the session ends.
        """
        stream = following.Following(patience)
        while True:
            error: ClientError | None = None
            try:
                async with self._http.stream(
                    "GET", WATCH.path, headers=stream.headers(self.authkey), timeout=following.TIMEOUT
                ) as response:
                    if not response.is_success:
                        await response.aread()
                        raise api_error(response)
                    async for piece in response.aiter_bytes():
                        for event in stream.feed(piece):
                            yield event
            except (httpx.HTTPError, httpx.InvalidURL) as broken:
                error = following.broken(self.server, broken)
            except ApiError as refused:
                error = refused
            await asyncio.sleep(stream.broke(error))

    async def _send(self, operation: Operation[Request, Response], content: bytes, headers: dict[str, str]) -> bytes:
        headers = {"content-type": "application/json", **headers}
        if self.authkey is not None:
            headers["authorization"] = f"Bearer {self.authkey}"
        try:
            response = await self._http.request(operation.method.name, operation.path, content=content, headers=headers)
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            told = f"no answer from {self.server}: {error or type(error).__name__}"
            raise no_answer(self.server, error, told) from None
        if not response.is_success:
            raise api_error(response)
        return response.content
