"""Error responses: `{"code", "message", "reason", "error": true}`, and `field` if a field is at fault."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any
from urllib.parse import quote

import msgspec
from starlette.responses import Response

from velocity.contract.operation import COMMON, INTERNAL, Failure, Operation
from velocity.contract.problems import OutcomeUnknown, Problem, Refused

_encode = msgspec.json.Encoder().encode
_COMMON = {failure.problem: failure for failure in COMMON}


class Undeclared(Exception):
    """An operation met a problem that it does not declare: a bug of ours, which clients never see."""


def refusal(refused: Refused, operation: Operation[Any, Any] | None = None) -> Response:
    """The response to a refused request. Raises `Undeclared`."""
    failures = _COMMON if operation is None else operation.by_problem
    failure = failures.get(refused.problem)
    if failure is None:
        name = operation.name if operation else "no operation"
        raise Undeclared(f"{name} does not declare {refused.problem}: {refused.message}") from refused
    return answer(failure, refused.message, refused.field)


def code(refused: Refused, operation: Operation[Any, Any]) -> int:
    """The error number by which the operation declares this refusal."""
    return operation.by_problem[refused.problem].code


def unknown(error: OutcomeUnknown) -> Response:
    """The response to a change whose outcome is not known yet."""
    return answer(_COMMON[Problem.UNAVAILABLE], str(error), outcome="unknown")


def answer(failure: Failure, message: str, field: str | None = None, **more: str) -> Response:
    body: dict[str, Any] = {"code": failure.code, "message": message, "reason": message, "error": True, **more}
    if field is not None:
        body["field"] = field
    headers = {}
    if failure.problem is Problem.UNAUTHENTICATED:
        headers["www-authenticate"] = "Bearer"
    if failure.problem in (Problem.TOO_MANY_ATTEMPTS, Problem.UNAVAILABLE):
        headers["retry-after"] = "5"
    return Response(_encode(body), failure.status, headers, media_type="application/json")


def not_allowed(path: str, allowed: Iterable[str], method: str) -> Response:
    """The response to a method that the path does not support. RFC 9110, 15.5.6"""
    known = ", ".join(allowed)
    response = refusal(Refused(Problem.METHOD_NOT_ALLOWED, f"{path} supports {known}, not {method}"))
    response.headers["allow"] = known
    return response


def tell_in_headers(response: Response) -> None:
    """Put code and message into headers, for HEAD, whose responses have no body."""
    told = msgspec.json.decode(response.body) if response.body else {}
    if isinstance(told, dict) and "message" in told:
        response.headers["x-velocity-code"] = str(told["code"])
        response.headers["x-velocity-message"] = quote(told["message"])


def plain(status: int, message: str) -> Response:
    """An error that no operation declares: its code is the status."""
    body = {"code": status, "message": message, "reason": message, "error": True}
    return Response(_encode(body), status, media_type="application/json")


def upgrade_required(message: str) -> Response:
    """RFC 9110, 15.5.22"""
    response = plain(426, message)
    response.headers.update({"upgrade": "websocket", "connection": "upgrade"})
    return response


def internal() -> Response:
    """A bug of ours. Details go to the log only."""
    return plain(INTERNAL, "an internal error: see the server's log")
