"""The response to an operation: JSON, ready to be sent."""

from __future__ import annotations

from starlette.responses import Response
from starlette.types import Receive, Scope, Send


class Json(Response):
    """Starlette's Response without its work on headers: JSON needs just two."""

    def __init__(self, body: bytes) -> None:
        self.status_code = 200
        self.body = body
        self.background = None
        self.raw_headers = [(b"content-length", b"%d" % len(body)), (b"content-type", b"application/json")]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        await send({"type": "http.response.body", "body": self.body})
