"""The answer to one request, as uvicorn's, where the application does not end as it should."""

from __future__ import annotations

import asyncio
from typing import Any

from starlette.responses import Response
from uvicorn.protocols.http.httptools_impl import RequestResponseCycle

from velocity.api import errors
from velocity.api.bounds import State
from velocity.contract.problems import OutcomeUnknown

_FAILED = errors.internal()
"""Made now: there may be no memory for it when it is needed."""
_ENDING = errors.unknown(
    OutcomeUnknown(
        "the server is shutting down, so it is not known yet whether the request was carried out: check the object, or "
        "repeat the request with the same Idempotency-Key"
    )
)


class Cycle(RequestResponseCycle):
    """Answers in JSON also where the application itself has failed, as for want of memory, or the server ends."""

    shared: State

    async def run_asgi(self, app: Any) -> None:
        async def ending(scope: Any, receive: Any, send: Any) -> None:
            try:
                await app(scope, receive, send)
            except asyncio.CancelledError:
                if not self.shared.ending:
                    raise
                if not self.response_started:
                    await self._answer(_ENDING)
                elif not self.response_complete:
                    self.disconnected = True  # `Server.shutdown` ends the connection

        await super().run_asgi(ending)

    async def send_500_response(self) -> None:
        await self._answer(_FAILED)

    async def _answer(self, response: Response) -> None:
        headers = [*response.raw_headers, (b"connection", b"close")]
        await self.send({"type": "http.response.start", "status": response.status_code, "headers": headers})
        await self.send({"type": "http.response.body", "body": bytes(response.body), "more_body": False})
