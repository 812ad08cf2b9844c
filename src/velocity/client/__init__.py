"""The Python client: `Client` has a method for every operation of the API."""

from velocity.client.client import Client, Console
from velocity.client.errors import ApiError, ClientError, Unreachable

__all__ = ["ApiError", "Client", "ClientError", "Console", "Unreachable"]
