"""A request to an application, without sockets; a client's library would take ten times as long as the application."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterable, Mapping
from urllib.parse import quote, unquote

from starlette.types import ASGIApp, Message

AGENT = "tests"
BODIED = ("POST", "PUT", "PATCH")
"""Their requests say how long the body is, also where it is empty. RFC 9110 8.6"""


async def ask(
    asgi: ASGIApp,
    method: str,
    target: str,
    content: str | bytes | AsyncIterable[bytes],
    headers: Mapping[str, str | bytes],
) -> tuple[int, bytes]:
    """Status and body of the answer. Content that comes in chunks has no length beforehand."""
    answered = asyncio.Event()
    status, said, is_sent = 0, bytearray(), False
    body = content.encode() if isinstance(content, str) else content
    chunks = None if isinstance(body, bytes) else aiter(body)

    async def receive() -> Message:
        nonlocal is_sent
        if is_sent:
            await answered.wait()
            return {"type": "http.disconnect"}
        chunk = body if chunks is None else await anext(chunks, b"")
        is_sent = chunks is None or not chunk
        return {"type": "http.request", "body": chunk, "more_body": not is_sent}

    async def send(message: Message) -> None:
        nonlocal status
        if message["type"] == "http.response.start":
            assert status == 0
            status = message["status"]
        elif message["type"] == "http.response.body":
            assert not answered.is_set()
            said.extend(message.get("body", b""))
            if not message.get("more_body", False):
                answered.set()

    path, _, query = target.partition("?")
    raw_path = quote(path, safe="/%:@!$&'()*+,;=~")
    scope = {
        "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": method, "scheme": "http",
        "path": unquote(raw_path), "raw_path": raw_path.encode(), "query_string": query.encode(), "root_path": "",
        "headers": _fields(method, body, headers), "server": ("velocity", None), "client": ("127.0.0.1", 123),
    }  # fmt: skip
    await asgi(scope, receive, send)
    assert status and answered.is_set(), "the application has not answered"
    return status, bytes(said)


def _fields(
    method: str, body: bytes | AsyncIterable[bytes], headers: Mapping[str, str | bytes]
) -> list[tuple[bytes, bytes]]:
    fields: dict[str, str | bytes] = {"host": "velocity", "accept": "*/*", "user-agent": AGENT}
    fields |= {name.lower(): value for name, value in headers.items()}
    if not {"content-length", "transfer-encoding"} & fields.keys():
        if not isinstance(body, bytes):
            fields["transfer-encoding"] = "chunked"
        elif body or method in BODIED:
            fields["content-length"] = str(len(body))
    return [
        (name.encode("ascii"), value if isinstance(value, bytes) else value.encode("ascii"))
        for name, value in fields.items()
    ]
