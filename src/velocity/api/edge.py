"""The ASGI application: tolerates sloppy paths, has the table of operations, and routes everything else."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Sequence
from functools import partial
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route, WebSocketRoute
from starlette.types import ASGIApp, Receive, Scope, Send
from starlette.websockets import WebSocket

from velocity.api import errors, health
from velocity.api.browser import SecurityHeaders
from velocity.api.console import console
from velocity.api.dispatch import Dispatch
from velocity.api.download import Download
from velocity.api.events import Watch
from velocity.api.forwarded import Network, Proxies
from velocity.api.handlers.base import Services
from velocity.api.handlers.consoles import CONSOLE_PATH
from velocity.api.openmetrics import OpenMetrics
from velocity.api.page import ASKED, Page
from velocity.api.request import TURN, sender
from velocity.api.resumable import Tus
from velocity.api.screen import Screen
from velocity.api.upload import Upload
from velocity.contract import media
from velocity.contract.openapi import document
from velocity.contract.problems import Problem, Refused
from velocity.contract.registry import OPERATIONS

log = logging.getLogger(__name__)


class Edge:
    """Finds the operation of a request with two dictionary look-ups; everything else goes to Starlette."""

    def __init__(self, services: Services, proxies: Proxies, *, body_limit: int, rest: ASGIApp) -> None:
        self._rest = rest
        self._proxies = proxies
        self._counts = services.counts
        self._services = services
        self.table: dict[str, dict[str, tuple[str, ASGIApp]]] = {}
        """Path -> method -> the name under which it is counted ("": not counted), and who serves it."""
        for operation in OPERATIONS:
            served: ASGIApp = Upload(services) if operation.streams else Dispatch(operation, services, body_limit)
            self.table.setdefault(operation.path, {})[operation.method.name] = operation.name, served
        for endpoint in (Screen(services), Watch(services), OpenMetrics(services)):
            methods = self.table.setdefault(endpoint.operation.path, {})
            methods["GET"] = methods["HEAD"] = "", endpoint

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self._rest(scope, receive, send)
            return
        passed = self._proxies.passed(scope)
        if passed is None:
            await self._serve(scope, receive, send)
        else:
            await self._serve_passed(passed, receive, send)

    async def _serve_passed(self, scope: Scope, receive: Receive, send: Send) -> None:
        """A request that came through a trusted reverse proxy; limits how many each client may have under way."""
        address, proxies = scope["client"][0], self._proxies
        if not proxies.under_way.enter(address):
            many = f"{proxies.most} requests from {address} are under way, as many as one address may have"
            response = errors.refusal(Refused(Problem.TOO_MANY_ATTEMPTS, f"{many}: wait for some of them"))
            await response(scope, receive, SecurityHeaders(scope, send))
            return
        try:
            await self._serve(scope, receive, send)
        finally:
            proxies.under_way.leave(address)

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = scope["path"]
        if path.endswith("/") or not path.startswith("/") or path.startswith("//"):
            path = tidy(path)
            scope = {**scope, ASKED: scope["path"], "path": path, "raw_path": path.encode()}
        if scope["type"] == "websocket":
            await self._rest(scope, receive, send)
            return
        careful = SecurityHeaders(scope, send)
        methods = self.table.get(path)
        if methods is None:
            name, served = "", self._rest
        else:
            name, served = methods.get(scope["method"]) or ("", errors.not_allowed(path, methods, scope["method"]))
        begun = time.perf_counter()
        try:
            if not isinstance(served, Dispatch):  # Dispatch takes its turn after reading the body
                who = sender(scope, self._services.access.sessions.find)
                if scope.get(TURN) != who:
                    await self._services.turns.take(who)
            await served(scope, receive, careful)
        except Exception:  # what an error response needs is missing too, such as memory or threads
            log.exception("a request failed")
            if careful.status is None:
                await errors.internal()(scope, receive, careful)
        finally:
            if name:
                self._counts.count_request(name, careful.status, time.perf_counter() - begun)


def tidy(path: str) -> str:
    """The path without a trailing slash or a doubled leading one: existing clients send both."""
    stripped = path.strip("/")
    return f"/{stripped}" if stripped else "/"


def application(
    services: Services,
    *,
    body_limit: int,
    cors_origins: Sequence[str],
    proxies: Sequence[Network] = (),
    page: Page | None = None,
    **starlette: Any,
) -> ASGIApp:
    """The ASGI application over these services; `page` replaces the built page."""
    page = page or Page()

    async def openapi(_request: Request) -> Response:
        return Response(await asyncio.to_thread(document), media_type="application/json")

    async def not_found(request: Request, _error: Exception) -> Response:
        found = await page.find(request)
        return found or errors.refusal(Refused(Problem.NO_SUCH_ROUTE, f"there is no route {request.url.path}"))

    async def method(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        assert error.headers
        return errors.not_allowed(request.scope["path"], sorted(error.headers["Allow"].split(", ")), request.method)

    async def failed(_request: Request, _error: Exception) -> Response:
        return errors.internal()

    async def open_console(websocket: WebSocket) -> None:
        await console(websocket, services, cors_origins)

    async def no_upgrade(_request: Request) -> Response:
        return errors.upgrade_required(
            "a console is a websocket, and this request has no `Upgrade: websocket`: a reverse proxy on the way must "
            "speak HTTP/1.1 to the server and pass on Upgrade and Connection (docs/tls-and-proxies.md)"
        )

    rest = Starlette(
        routes=[
            Route("/openapi.json", openapi, methods=["GET"]),
            Route(health.PATH, health.serving(services.leads, lambda: services.outcome.unknown), methods=["GET"]),
            Route(media.DOWNLOAD.path + "/{mid}", Download(services), methods=["GET"]),
            *Tus(services).routes(),
            WebSocketRoute(CONSOLE_PATH + "{ticket}", open_console),
            Route(CONSOLE_PATH + "{ticket}", no_upgrade, methods=["GET"]),
        ],
        exception_handlers={404: not_found, 405: method, Exception: failed},
        **starlette,
    )
    edge: ASGIApp = Edge(services, Proxies(proxies), body_limit=body_limit, rest=rest)
    if cors_origins:  # without credentials: pages of other origins may not use the cookie
        cors = partial(CORSMiddleware, allow_methods=["GET", "POST", "PUT", "DELETE", "PATCH"], allow_headers=["*"])
        edge = cors(edge, allow_origins=list(cors_origins))
    return edge
