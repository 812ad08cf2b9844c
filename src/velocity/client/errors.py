"""The exceptions of the client."""

from __future__ import annotations

import re
import ssl
from typing import Any, TypeVar
from urllib.parse import unquote

import httpx
import msgspec

Response = TypeVar("Response")

FOREIGN = "the response is not from a Velocity server"
NAMES = frozenset({62, 64})
"""OpenSSL's codes for a certificate of another host. X509_STORE_CTX_get_error(3)"""
TIMES = {9: "is not valid yet: check the clocks of both machines", 10: "has expired: renew it on the server"}
PROXIES = {
    401: "but from a reverse proxy that asks for a sign-in of its own: let it pass on requests with an authkey",
    413: "but from a reverse proxy that takes no body of this size: raise its limit (nginx: client_max_body_size 0)",
    502: "but from a reverse proxy that does not reach it: start the server, or correct the address in the proxy",
    503: "but from a reverse proxy that does not reach it: start the server, or correct the address in the proxy",
    504: "but from a reverse proxy that gave up waiting for it: raise its timeout (nginx: proxy_read_timeout)",
}
"""Statuses that proxies send, and the cure."""
TITLE = re.compile(r"<(?:title|h1)>(.*?)</", re.S | re.I)
TAG = re.compile(r"<[^>]*>")


class ClientError(Exception):
    """The base of all exceptions of this package."""


class Unreachable(ClientError):
    """No server responds; the message has the cure."""


class Untrusted(ClientError):
    """TLS failed: the server's identity is not proven, or it does not speak TLS; the message has the cure."""


class PlanOnly(Exception):
    """The client only plans, and the caller needs the result of a change that was not made."""


class ApiError(ClientError):
    """The server refused. `code` is the contract's number; `field` is the field at fault, if there is one."""

    def __init__(self, status: int, code: int, message: str, field: str | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.field = field

    def __reduce__(self) -> tuple[object, ...]:
        """Pickles all fields, for process pools."""
        return type(self), (self.status, self.code, self.message, self.field), vars(self)


def api_error(response: httpx.Response) -> ApiError:
    """The error in an unsuccessful response: in its body or, for HEAD, in its headers."""
    headers = response.headers
    if "x-velocity-message" in headers:
        code = int(headers["x-velocity-code"])
        return ApiError(response.status_code, code, unquote(headers["x-velocity-message"]))
    return refusal(response.status_code, response.content, headers.get("location"))


def refusal(status: int, content: bytes, location: str | None = None) -> ApiError:
    """The error of our server, or of a proxy, whose body may be HTML, plain text or empty."""
    try:
        body: dict[str, Any] = msgspec.json.decode(content)
        return ApiError(status, int(body["code"]), str(body["message"]), body.get("field"))
    except (ValueError, KeyError, TypeError):
        return ApiError(status, status, _foreign(status, content, location))


def _foreign(status: int, content: bytes, location: str | None) -> str:
    text = content.decode("utf-8", "replace")
    title = TITLE.search(text)
    said = " ".join(TAG.sub(" ", title[1] if title else text).split())[:200]
    if 300 <= status < 400 and location:
        return f"{FOREIGN}, but a redirection to {location}: use that address, as with --server"
    told = f"{status} {said}" if said and not said.startswith(str(status)) else said or f"status {status}"
    cure = PROXIES.get(status)
    return f"{FOREIGN}, {cure} ({told})" if cure else f"{FOREIGN}: {told}"


def decoded(content: bytes, kind: type[Response]) -> Response:
    """The response of an operation. Raises `ClientError` for a success that is not ours, such as a proxy's page."""
    try:
        return msgspec.json.decode(content, type=kind)
    except msgspec.DecodeError:
        raise ClientError(
            f"{_foreign(200, content, None)}; look at the address, its path included, and whether a proxy answers there"
        ) from None


def no_answer(server: str, error: Exception, otherwise: str) -> ClientError:
    """The error for a request without a response; `otherwise` is the message if TLS is not the reason."""
    if isinstance(error, httpx.LocalProtocolError) and "header" in str(error):  # it quotes the header: the authkey
        return ClientError("the authkey, or another header, contains a line break: remove it")
    reason: BaseException | None = error
    while reason is not None and not isinstance(reason, ssl.SSLError):
        reason = reason.__cause__ or reason.__context__
    if reason is None:
        lost = isinstance(error, httpx.RemoteProtocolError | httpx.ReadError) and server.startswith("http://")
        return Unreachable(otherwise + (" (if it serves TLS, its address begins with https://)" if lost else ""))
    return Untrusted(_tls(server, reason))


def _tls(server: str, error: ssl.SSLError) -> str:
    if not isinstance(error, ssl.SSLCertVerificationError):
        return (
            f"TLS with {server} fails ({error.reason or error}): if it serves without TLS, its address begins with "
            "http://"
        )
    if error.verify_code in NAMES:
        return (
            f"the certificate of {server} is for another name ({error.verify_message.rstrip('.')}): use a name that "
            "it contains, or have a certificate issued for this name"
        )
    if error.verify_code in TIMES:
        return f"the certificate of {server} {TIMES[error.verify_code]}"
    return (
        f"no authority that this machine trusts has signed the certificate of {server} ({error.verify_message}): name "
        "its authority, or the certificate itself, with --ca FILE or VELOCITY_CA (in Python: verify=Path(FILE))"
    )
