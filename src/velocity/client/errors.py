"""What a client can meet."""

from __future__ import annotations


class ClientError(Exception):
    """Every error of this package."""


class Unreachable(ClientError):
    """No server answers there; the message has the cure."""


class ApiError(ClientError):
    """The server refused. `code` is the contract's number, `field` the field at fault where there is one."""

    def __init__(self, status: int, code: int, message: str, field: str | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.field = field
