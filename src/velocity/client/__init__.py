"""The Python client: `Client` and, for asyncio, `AsyncClient`, with a method for every operation of the API."""

from __future__ import annotations

from typing import TYPE_CHECKING

from velocity.client.client import Client
from velocity.client.errors import ApiError, ClientError, PlanOnly, Unreachable, Untrusted
from velocity.client.renewal import HeldSession

if TYPE_CHECKING:
    from velocity.client.asynchronous import AsyncClient
    from velocity.client.console import Console

__all__ = [
    "ApiError", "AsyncClient", "Client", "ClientError", "Console", "HeldSession", "PlanOnly", "Unreachable",
    "Untrusted",
]  # fmt: skip


def __getattr__(name: str) -> object:
    """Imports on demand: asyncio takes a third of the import time, and most programs need one client and no console."""
    if name == "AsyncClient":
        from velocity.client.asynchronous import AsyncClient

        return AsyncClient
    if name == "Console":
        from velocity.client.console import Console

        return Console
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
