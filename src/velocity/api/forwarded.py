"""The client behind a reverse proxy: X-Forwarded-For, -Proto, -Host and -Port.

Anybody can send these headers, so they count only if they come from one of the setting `trusted_proxies`.
"""

from __future__ import annotations

import ipaddress
import logging
from collections.abc import Sequence
from ipaddress import IPv4Network, IPv6Network

from starlette.types import Scope

from velocity.api.bounds import Addresses, RequestLimits, is_among

log = logging.getLogger(__name__)

Network = IPv4Network | IPv6Network
HOSTS = "velocity.hosts"
"""Key in the scope of a request from a trusted proxy: the hosts by which its browser may reach us, beside Host."""


class Proxies:
    """The trusted reverse proxies, and how many requests each address behind them has under way."""

    def __init__(self, trusted: Sequence[Network], most: int = RequestLimits.connections) -> None:
        self._trusted = trusted
        self._warned = False
        self.most = most
        self.under_way = Addresses(most)
        """Connections of proxies are not limited, so the requests of each of their clients are."""

    def passed(self, scope: Scope) -> Scope | None:
        """The request with its client's address and scheme; None if no trusted proxy sent it."""
        told: list[tuple[bytes, bytes]] = []
        for name, value in scope["headers"]:
            if name.startswith(b"x-forwarded-"):
                told.append((name, value))
        peer = scope["client"][0] if scope.get("client") else ""
        if not told:
            return None
        if not is_among(peer, self._trusted):
            self._warn(peer)
            return None
        address = self._client(peer, [str(value, "latin-1") for name, value in told if name == b"x-forwarded-for"])
        schemes = [str(value, "latin-1").strip() for name, value in told if name == b"x-forwarded-proto"]
        return {**scope, "client": (address, 0), "scheme": _scheme(scope, schemes), HOSTS: _hosts(scope, told)}

    def _client(self, peer: str, headers: Sequence[str]) -> str:
        """The last address that is not a trusted proxy's: each proxy appends the address that it was contacted from.

        Entries before that one, or before an entry that is not an address, may be forged.
        """
        found = peer
        for entry in reversed(",".join(headers).split(",")):
            try:
                found = str(ipaddress.ip_address(_without_port(entry.strip())))
            except ValueError:
                break
            if not is_among(found, self._trusted):
                break
        return found

    def _warn(self, peer: str) -> None:
        if not self._warned:
            self._warned = True
            log.warning(
                "%s sends X-Forwarded headers and is not believed: if it is your reverse proxy, name it in "
                "`trusted_proxies`",
                peer or "a client",
            )


def _without_port(entry: str) -> str:
    """Some proxies add the port: 192.0.2.1:80, [2001:db8::1]:80."""
    if entry.startswith("["):
        return entry[1:].partition("]")[0]
    host, _, _ = entry.partition(":")
    return host if entry.count(":") == 1 else entry


def _hosts(scope: Scope, told: Sequence[tuple[bytes, bytes]]) -> list[str]:
    """The hosts requested from the last proxy, also with the port it listens on, which many omit from Host."""
    named = [value for name, value in scope["headers"] if name == b"host"]
    named += [value.rpartition(b",")[2] for name, value in told if name == b"x-forwarded-host"]
    hosts = [str(value, "latin-1").strip() for value in named]
    ports = [str(value, "latin-1").rpartition(",")[2].strip() for name, value in told if name == b"x-forwarded-port"]
    return hosts + [f"{host}:{port}" for host in hosts for port in ports if port.isdecimal()]


def _scheme(scope: Scope, told: Sequence[str]) -> str:
    """The scheme that the last proxy reports; for websockets as ws or wss."""
    now = str(scope.get("scheme", "http"))
    if not told or told[-1] not in ("http", "https", "ws", "wss"):
        return now
    secure = told[-1] in ("https", "wss")
    if scope["type"] == "websocket":
        return "wss" if secure else "ws"
    return "https" if secure else "http"
