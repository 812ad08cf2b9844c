"""Requests of browsers: the cookie with the authkey, and the proof that a request comes from our own page.

A browser adds the cookie by itself, whoever made it send the request. So the cookie counts only if `Origin`, where
there is one, is our own, and if a request that may change something bears the csrf, which a foreign page cannot know.
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
"""Characters of the name of a program that are kept."""
EVER = [
    (b"x-content-type-options", b"nosniff"),
    (b"cache-control", b"no-store"),
    (b"cross-origin-resource-policy", b"same-origin"),
]
HSTS = (b"strict-transport-security", b"max-age=31536000")
"""RFC 6797"""


def csrf(authkey: str) -> str:
    """What a request with this authkey in the cookie must bear. The authkey cannot be told from it."""
    return hmac.digest(authkey.encode("utf-8", "surrogateescape"), b"velocity csrf", "sha256").hex()


def from_cookie(connection: HTTPConnection, cookie: Cookie = Cookie.GUARDED) -> str | None:
    """The authkey in the cookie. Raises `Refused(FOREIGN_PAGE)` when the request is not our own page's.

    A websocket's handshake cannot bear the csrf: for it, the Origin decides.
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
    """Whether a browser says that a page of another origin sent this. What is no browser sends no origin. RFC 6454"""
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
    """As what a browser may know us: by Host, or by what a reverse proxy that is believed says of it."""
    return list(connection.scope.get(HOSTS, ())) or [connection.headers.get("host", "")]


def why_foreign(connection: HTTPConnection) -> str:
    """Both sides, and what to mend where it is our own page, behind a reverse proxy that says too little."""
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
    """Where it is the scheme's own: browsers leave it out, and some proxies do not."""
    return host.removesuffix(":443" if scheme == "https" else ":80")


def is_secure(connection: HTTPConnection) -> bool:
    return connection.scope.get("scheme") in ("https", "wss")


class SecurityHeaders:
    """Sends what every answer has to say to a browser, where the answer does not say otherwise itself.

    `status` is that of the answer; None before it has begun.
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
    """Who sent one request, and which cookie its answer sets."""

    def __init__(self, connection: HTTPConnection) -> None:
        self._connection = connection
        self._authkey: str | None = None
        self._max_age = 0
        self.changes = False

    @property
    def agent(self) -> str:
        """The program, as it calls itself."""
        named = self._connection.headers.get("user-agent", "")[:MOST_AGENT]
        return "".join(one if one.isprintable() else "\ufffd" for one in named)

    def check_origin(self) -> None:
        """Raises `Refused(FOREIGN_PAGE)`."""
        check_origin(self._connection)

    def set_authkey(self, authkey: str, expires: int) -> None:
        """Let the browser send this authkey from now on, until then (unix seconds)."""
        self.changes, self._authkey, self._max_age = True, authkey, max(0, expires - int(time.time()))

    def clear_authkey(self) -> None:
        """Let the browser send none any more."""
        self.changes, self._authkey, self._max_age = True, None, 0

    def set_cookie_on(self, response: Response) -> None:
        """Put the cookie into the answer. No script can read it, and no other site's page makes it be sent."""
        response.set_cookie(
            COOKIE,
            self._authkey or "",
            max_age=self._max_age,
            path="/",
            secure=is_secure(self._connection),
            httponly=True,
            samesite="strict",
        )
