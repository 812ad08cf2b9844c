"""GET /health: whether this server leads, for load balancers and supervisors. It needs no user, and asks nobody."""

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
    """In words. Only who leads gets requests."""

    LEADING = "leading"
    STANDBY = "standby"
    NOT_READY = "not ready"


WORDS = {
    Health.STANDBY: "this server stands by, and another one leads",
    Health.NOT_READY: "this server leads no more, or its database does not respond",
}


def answer(now: Health) -> Response:
    """200 where it leads; else 503."""
    if now is Health.LEADING:
        return Response(msgspec.json.encode({"status": now.value, "error": False}), media_type="application/json")
    return errors.answer(FAILURE, WORDS[now], status=now.value)


def serving(leads: Callable[[], bool], doubtful: Callable[[], bool]) -> Callable[[Request], Awaitable[Response]]:
    """What a server answers that serves. `doubtful`: it is not known what became of its last commit."""

    async def told(_request: Request) -> Response:
        return answer(Health.LEADING if leads() and not doubtful() else Health.NOT_READY)

    return told
