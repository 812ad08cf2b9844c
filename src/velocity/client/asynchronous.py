"""The client for asyncio: the same methods, awaited."""

from __future__ import annotations

import ssl
from types import TracebackType
from typing import TypeVar

import httpx
import msgspec

from velocity.client.async_methods import AsyncMethods
from velocity.client.client import TIMEOUT
from velocity.client.errors import Unreachable, api_error
from velocity.contract.operation import Operation, Wire

Request = TypeVar("Request", bound=Wire)
Response = TypeVar("Response", bound=Wire)


class AsyncClient(AsyncMethods):
    """A server, and who one is there. Any number of tasks may use it at once.

    Every method raises `ApiError` when the server refuses and `Unreachable` when none answers.
    """

    def __init__(
        self,
        server: str,
        authkey: str | None = None,
        *,
        verify: bool | ssl.SSLContext = True,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self.server = server.rstrip("/")
        self.authkey = authkey
        self._http = httpx.AsyncClient(
            base_url=self.server, timeout=TIMEOUT, verify=verify, transport=transport, trust_env=False
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
        """Any operation of the contract; with a key, a change is safe to repeat."""
        headers = {"content-type": "application/json"}
        if self.authkey is not None:
            headers["authorization"] = f"Bearer {self.authkey}"
        if idempotency_key is not None:
            headers["idempotency-key"] = idempotency_key
        try:
            response = await self._http.request(
                operation.method.name, operation.path, content=msgspec.json.encode(request), headers=headers
            )
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise Unreachable(f"no answer from {self.server}: {error or type(error).__name__}") from None
        if not response.is_success:
            raise api_error(response)
        return msgspec.json.decode(response.content, type=operation.response)
