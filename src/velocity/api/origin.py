"""Which pages may open our websockets: our own, and those that the administrator named. RFC 6455, 10.2"""

from __future__ import annotations

from collections.abc import Collection

from starlette.requests import HTTPConnection

SCHEMES = {"ws": "http", "wss": "https"}


def is_foreign(connection: HTTPConnection, others: Collection[str]) -> bool:
    """Whether a browser says that a page of another site asks. What is no browser sends no origin."""
    origin = connection.headers.get("origin")
    if origin is None:
        return False
    scheme = connection.scope["scheme"]
    own = f"{SCHEMES.get(scheme, scheme)}://{connection.headers.get('host', '')}"
    return origin.lower() != own.lower() and origin not in others
