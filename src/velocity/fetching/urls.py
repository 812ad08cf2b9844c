"""URLs that may be fetched, and which parts of them are shown. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from ipaddress import IPv6Address
from urllib.parse import quote, urljoin, urlsplit

from velocity.contract.problems import Problem, Refused

PORTS = {"http": 80, "https": 443}
_HOST = re.compile(r"[a-z0-9_](?:[a-z0-9._-]{0,252}[a-z0-9_.])?\Z")
_KEPT = "/%:=&?~+!$,;'@()*[]-._"
"""Characters, beside letters and digits, that are kept in a path and query."""


@dataclass(frozen=True)
class Url:
    """`host` is an ASCII name, or an address without brackets. Path and query may hold a secret, and are not shown."""

    scheme: str
    host: str
    port: int
    target: str = field(repr=False)

    @property
    def authority(self) -> str:
        """The host and port, as in a Host header."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == PORTS[self.scheme] else f"{host}:{self.port}"

    @property
    def whole(self) -> str:
        """The complete URL, with the parts that are not shown."""
        return f"{self.scheme}://{self.authority}{self.target}"


def parse(text: str, base: Url | None = None) -> Url:
    """Raises `Refused`. `base`: the URL of a redirect, to which the text may be relative."""
    if re.search(r"[\x00-\x20\x7f\\]", text):
        raise _refused("has a space, a backslash or a control character in it: write it as %20, %5C and so on")
    try:
        parts = urlsplit(urljoin(base.whole, text) if base else text)
        port = parts.port
    except ValueError:
        raise _refused("cannot be read: write https://HOST/PATH") from None
    if parts.scheme not in PORTS:
        raise _refused("is neither https:// nor http://, which alone are fetched")
    if "@" in parts.netloc:
        raise _refused("has a user or a password in it, which are not used: use a URL that needs none, or upload it")
    path, query = quote(parts.path or "/", safe=_KEPT), quote(parts.query, safe=_KEPT)
    target = f"{path}?{query}" if parts.query else path
    return Url(parts.scheme, _host(parts.hostname or ""), PORTS[parts.scheme] if port is None else port, target)


def _host(text: str) -> str:
    if ":" in text:
        try:
            address = IPv6Address(text)
        except ValueError:
            address = None
        if address is None or address.scope_id is not None:
            raise _refused("has no address between its brackets, or one of a single link")
        return str(address)
    try:
        host = text.encode("idna").decode().lower()
    except UnicodeError:
        host = ""
    if not _HOST.match(host):
        raise _refused("has no name of a host in it: write https://HOST/PATH")
    return host


def _refused(words: str) -> Refused:
    return Refused(Problem.MALFORMED, f"the URL {words}", field="url")
