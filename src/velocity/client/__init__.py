"""The Python client: `Client`, and `AsyncClient` for asyncio, have a method for every operation of the API."""

from velocity.client.asynchronous import AsyncClient
from velocity.client.client import Client
from velocity.client.console import Console
from velocity.client.errors import ApiError, ClientError, PlanOnly, Unreachable, Untrusted

__all__ = ["ApiError", "AsyncClient", "Client", "ClientError", "Console", "PlanOnly", "Unreachable", "Untrusted"]
