"""What a connection may use before its user is known, and how many connections an address may have."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network, ip_address

from uvicorn.server import ServerState

from velocity.access.rules import Session
from velocity.access.throttle import network
from velocity.api.strangers import Lingering, Strangers
from velocity.api.turns import Turns


@dataclass(frozen=True)
class RequestLimits:
    """Limits of a request's head, and of a body without an authkey in a header (its size: `request.read`)."""

    head: int = 64 << 10
    """Bytes."""
    lines: int = 256
    """Lines in a head or a trailer: one line costs the parser as much time as thousands of bytes."""
    seconds: float = 10
    """Time for the head, from its first byte or from the opening of a new connection; then again for the body."""
    connections: int = 256
    """Per address. Loopback is exempt."""
    trusted: tuple[IPv4Network | IPv6Network, ...] = ()
    """Reverse proxies, which are exempt too."""


class Addresses:
    """Counts what each address has open (IPv6: each /64): connections, or requests behind a proxy.

    Loopback and trusted proxies are not counted; Unix sockets have no address.
    """

    def __init__(self, most: int, trusted: Sequence[IPv4Network | IPv6Network] = ()) -> None:
        self._most = most
        self._trusted = trusted
        self._open: Counter[str] = Counter()

    def enter(self, address: str) -> bool:
        """Whether one more is allowed; if so, it is counted until `leave`."""
        if self._is_exempt(address):
            return True
        one = network(address)
        if self._open[one] >= self._most:
            return False
        self._open[one] += 1
        return True

    def leave(self, address: str) -> None:
        if self._is_exempt(address):
            return
        one = network(address)
        self._open[one] -= 1
        if not self._open[one]:
            del self._open[one]

    def _is_exempt(self, address: str) -> bool:
        return is_local(address) or is_among(address, self._trusted)


class Refusal(asyncio.Protocol):
    """A refused connection that is still open; its address counts it until it closes. Small, as there can be many."""

    __slots__ = ("_address", "_addresses")

    def __init__(self, addresses: Addresses, address: str | None) -> None:
        self._addresses = addresses
        self._address = address

    def connection_lost(self, exc: Exception | None) -> None:
        if self._address is not None:
            self._addresses.leave(self._address)


def is_among(address: str, networks: Sequence[IPv4Network | IPv6Network]) -> bool:
    """Whether an address is in one of the networks. An IPv4-mapped IPv6 address counts as its IPv4 address."""
    if not networks:
        return False
    try:
        parsed = ip_address(address)
    except ValueError:
        return False
    one = getattr(parsed, "ipv4_mapped", None) or parsed
    return any(one in among for among in networks)


def is_local(address: str) -> bool:
    """Whether the address is loopback, in IPv4, IPv6 or IPv4-mapped form, or absent (a Unix socket)."""
    return not address or address == "::1" or address.removeprefix("::ffff:").startswith("127.")


class State(ServerState):
    """uvicorn's state, with what our connections share."""

    def __init__(self, bounds: RequestLimits, find: Callable[[str], Session | None], turns: Turns) -> None:
        super().__init__()
        self.bounds = bounds
        self.find = find
        self.turns = turns
        self.addresses = Addresses(bounds.connections, bounds.trusted)
        self.strangers = Strangers()
        self.lingering = Lingering()
        self.ending = False
        """The server shuts down."""
