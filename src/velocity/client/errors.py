"""What a client can meet."""

from __future__ import annotations

from typing import Any

import httpx


class ClientError(Exception):
    """Every error of this package."""


class Unreachable(ClientError):
    """No server answers there; the message has the cure."""


class PlanOnly(Exception):
    """The client only plans, and what follows would need the answer of a change that was not done."""


class ApiError(ClientError):
    """The server refused. `code` is the contract's number, `field` the field at fault where there is one."""

    def __init__(self, status: int, code: int, message: str, field: str | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.field = field


def api_error(response: httpx.Response) -> ApiError:
    """What an answer that is no success says."""
    try:
        body: dict[str, Any] = response.json()
        return ApiError(response.status_code, int(body["code"]), str(body["message"]), body.get("field"))
    except (ValueError, KeyError, TypeError):
        return ApiError(
            response.status_code,
            response.status_code,
            f"the response is not from a Velocity server: {response.text[:200]}",
        )
