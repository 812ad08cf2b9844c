"""Requests of browsers: the cookie with the authkey, and the proof that a request comes from our own page.

A browser sends the cookie with every request, whichever page caused it. So the cookie counts only if `Origin`, where
present, is our own, and if a request that may change something has the CSRF token, which a foreign page cannot know.
"""

from __future__ import annotations

import hmac
import time

from starlette.requests import HTTPConnection
from starlette.responses import Response
from starlette.types import Message, Scope, Send

from velocity.api.forwarded import HOSTS
from velocity.contract.operation import Cookie
from velocity.contract.problems import Problem, Refused

COOKIE = "velocity"
CSRF = "x-velocity-csrf"
SAFE = ("GET", "HEAD")
MOST_AGENT = 200
"""Characters of a User-Agent that are kept."""
EVER = [
    (b"x-content-type-options", b"nosniff"),
    (b"cache-control", b"no-store"),
    (b"cross-origin-resource-policy", b"same-origin"),
]
HSTS = (b"strict-transport-security", b"max-age=31536000")
"""RFC 6797"""


def csrf(authkey: str) -> str:
    """The CSRF token that goes with this authkey. The authkey cannot be derived from it."""
    return hmac.digest(authkey.encode("utf-8", "surrogateescape"), b"velocity csrf", "sha256").hex()


def from_cookie(connection: HTTPConnection, cookie: Cookie = Cookie.GUARDED) -> str | None:
    """The authkey in the cookie. Raises `Refused(FOREIGN_PAGE)` if the request does not come from our own page.

    A websocket's handshake cannot have a CSRF token: for it, only the Origin is checked.
    """
    if cookie is Cookie.IGNORED or not (authkey := connection.cookies.get(COOKIE)):
        return None
    check_origin(connection)
    guarded = cookie is Cookie.GUARDED and connection.scope.get("method", "GET") not in SAFE
    sent = connection.headers.get(CSRF, "")
    if guarded and not hmac.compare_digest(csrf(authkey).encode(), sent.encode("utf-8", "surrogateescape")):
        raise Refused(
            Problem.FOREIGN_PAGE,
            f"the request does not come from the web page of this server: send {CSRF} with the `csrf` value that "
            "POST /u/session returns",
        )
    return authkey


def is_foreign(connection: HTTPConnection) -> bool:
    """Whether the request comes from a page of another origin. Clients that are no browsers send no Origin. RFC 6454"""
    origin = connection.headers.get("origin")
    if origin is None:
        return False
    scheme = _scheme(connection)
    theirs, _, host = origin.lower().partition("://")
    return theirs != scheme or _port_left_out(scheme, host) not in {
        _port_left_out(scheme, own.lower()) for own in own_hosts(connection)
    }


def check_origin(connection: HTTPConnection) -> None:
    """Raises `Refused(FOREIGN_PAGE)`."""
    if is_foreign(connection):
        raise Refused(Problem.FOREIGN_PAGE, why_foreign(connection))


def own_hosts(connection: HTTPConnection) -> list[str]:
    """The hosts by which a browser may reach us: Host, and what a trusted reverse proxy reports."""
    return list(connection.scope.get(HOSTS, ())) or [connection.headers.get("host", "")]


def why_foreign(connection: HTTPConnection) -> str:
    """Names both origins, and what to change if the page is ours, behind a reverse proxy that reports too little."""
    origin, host = (connection.headers.get(name, "")[:MOST_AGENT] for name in ("origin", "host"))
    scheme = _scheme(connection)
    theirs, _, their_host = origin.lower().partition("://")
    peer = connection.client.host if connection.client else "this machine"
    if HOSTS not in connection.scope and any(name.startswith("x-forwarded-") for name in connection.headers):
        cure = f"{peer} sends X-Forwarded headers: if it is your reverse proxy, add it to `trusted_proxies`"
    elif theirs == "https" and scheme == "http":
        cure = "a reverse proxy with TLS must send `X-Forwarded-Proto: https`, and be named in `trusted_proxies`"
    elif their_host.rpartition(":")[0] == host.lower():
        cure = (
            "a reverse proxy must pass on Host with its port (nginx: proxy_set_header Host $http_host), or send "
            "X-Forwarded-Host or X-Forwarded-Port and be named in `trusted_proxies`"
        )
    else:
        cure = "a reverse proxy must pass on Host as the browser sent it (nginx: proxy_set_header Host $http_host)"
    return (
        f"the request comes from the page of another origin: {origin} by its Origin, while this server was asked as "
        f"{scheme}://{host}; {cure}"
    )


def _scheme(connection: HTTPConnection) -> str:
    return "https" if is_secure(connection) else "http"


def _port_left_out(scheme: str, host: str) -> str:
    """The host without the scheme's default port, which browsers omit and some proxies do not."""
    return host.removesuffix(":443" if scheme == "https" else ":80")


def is_secure(connection: HTTPConnection) -> bool:
    return connection.scope.get("scheme") in ("https", "wss")


class SecurityHeaders:
    """Adds the security headers to a response, except those that it has already.

    `status` is the response's; None until it has begun.
    """

    __slots__ = ("_ever", "_send", "status")

    def __init__(self, scope: Scope, send: Send) -> None:
        self._send = send
        self._ever = [*EVER, HSTS] if scope.get("scheme") == "https" else EVER
        self.status: int | None = None

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            said = dict(message["headers"])
            headers = list(message["headers"])
            for one in self._ever:
                if one[0] not in said:
                    headers.append(one)
            message["headers"] = headers
        await self._send(message)


class Browser:
    """What a request says about the browser that sent it, and the cookie that the response sets."""

    def __init__(self, connection: HTTPConnection) -> None:
        self._connection = connection
        self._authkey: str | None = None
        self._max_age = 0
        self.changes = False

    @property
    def agent(self) -> str:
        """The User-Agent."""
        named = self._connection.headers.get("user-agent", "")[:MOST_AGENT]
        return "".join(one if one.isprintable() else "\ufffd" for one in named)

    def check_origin(self) -> None:
        """Raises `Refused(FOREIGN_PAGE)`."""
        check_origin(self._connection)

    def set_authkey(self, authkey: str, expires: int) -> None:
        """Have the browser send this authkey until `expires` (Unix seconds)."""
        self.changes, self._authkey, self._max_age = True, authkey, max(0, expires - int(time.time()))

    def clear_authkey(self) -> None:
        """Have the browser forget the authkey."""
        self.changes, self._authkey, self._max_age = True, None, 0

    def set_cookie_on(self, response: Response) -> None:
        """Add the cookie to the response: hidden from scripts, and not sent with requests of other sites' pages."""
        response.set_cookie(
            COOKIE,
            self._authkey or "",
            max_age=self._max_age,
            path="/",
            secure=is_secure(self._connection),
            httponly=True,
            samesite="strict",
        )
