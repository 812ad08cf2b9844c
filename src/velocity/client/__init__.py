"""The Python client: `Client`, and `AsyncClient` for asyncio, have a method for every operation of the API."""

from velocity.client.asynchronous import AsyncClient
from velocity.client.client import Client
from velocity.client.console import Console
from velocity.client.errors import ApiError, ClientError, PlanOnly, Unreachable, Untrusted
from velocity.client.renewal import HeldSession

__all__ = [
    "ApiError", "AsyncClient", "Client", "ClientError", "Console", "HeldSession", "PlanOnly", "Unreachable",
    "Untrusted",
]  # fmt: skip
