"""The responses of a standby server: that it stands by, and who leads."""

from __future__ import annotations

from collections.abc import Callable

from starlette.types import ASGIApp, Receive, Scope, Send

from velocity.api import errors, health
from velocity.api.browser import SecurityHeaders
from velocity.contract.operation import COMMON
from velocity.contract.problems import Problem

FAILURE = next(one for one in COMMON if one.problem is Problem.UNAVAILABLE)


def standing_by(leader: Callable[[], str]) -> ASGIApp:
    """`leader` returns the name of the host whose server leads; empty if that is not known."""

    async def answer(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":
            await receive()
            await send({"type": "websocket.close", "code": 1013})  # try again later
            return
        if scope["path"].rstrip("/") == health.PATH:
            await health.answer(health.Health.STANDBY)(scope, receive, SecurityHeaders(scope, send))
            return
        name = leader()
        who = f"the one of the host {name} leads" if name else "another one leads"
        words = f"this server stands by, and {who}: ask that one; this one takes over by itself if it ends"
        response = errors.answer(FAILURE, words, standby="true", **({"leader": name} if name else {}))
        await response(scope, receive, SecurityHeaders(scope, send))

    return answer
