"""GET /health: whether this server leads, for load balancers and supervisors. No sign-in, no queries."""

from __future__ import annotations

import enum
from collections.abc import Awaitable, Callable

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from velocity.api import errors
from velocity.contract.operation import COMMON
from velocity.contract.problems import Problem

PATH = "/health"
FAILURE = next(one for one in COMMON if one.problem is Problem.UNAVAILABLE)


class Health(enum.Enum):
    """The server's states, as they are sent. Only a leading server should get requests."""

    LEADING = "leading"
    STANDBY = "standby"
    NOT_READY = "not ready"


WORDS = {
    Health.STANDBY: "this server stands by, and another one leads",
    Health.NOT_READY: "this server no longer leads, or its database does not respond",
}


def answer(now: Health) -> Response:
    """200 if it leads; otherwise 503."""
    if now is Health.LEADING:
        return Response(msgspec.json.encode({"status": now.value, "error": False}), media_type="application/json")
    return errors.answer(FAILURE, WORDS[now], status=now.value)


def serving(leads: Callable[[], bool], doubtful: Callable[[], bool]) -> Callable[[Request], Awaitable[Response]]:
    """The handler of a server that serves. `doubtful`: whether the outcome of its last commit is unknown."""

    async def told(_request: Request) -> Response:
        return answer(Health.LEADING if leads() and not doubtful() else Health.NOT_READY)

    return told
