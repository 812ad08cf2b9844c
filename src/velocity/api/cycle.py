"""The answer to one request, as uvicorn's, where the application does not end as it should."""

from __future__ import annotations

import asyncio
from typing import Any

from uvicorn.protocols.http.httptools_impl import RequestResponseCycle

from velocity.api import errors

_FAILED = errors.internal()
"""Made now: there may be no memory for it when it is needed."""


class Cycle(RequestResponseCycle):
    """Answers in JSON also where the application itself has failed, as for want of memory."""

    async def run_asgi(self, app: Any) -> None:
        async def cancelled_quietly(scope: Any, receive: Any, send: Any) -> None:
            try:
                await app(scope, receive, send)
            except asyncio.CancelledError:  # the server ends: it cannot say what the request has done
                self.disconnected = True

        await super().run_asgi(cancelled_quietly)

    async def send_500_response(self) -> None:
        headers = [*_FAILED.raw_headers, (b"connection", b"close")]
        await self.send({"type": "http.response.start", "status": _FAILED.status_code, "headers": headers})
        await self.send({"type": "http.response.body", "body": bytes(_FAILED.body), "more_body": False})
