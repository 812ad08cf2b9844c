"""What a connection may take before its user is known, and how many connections an address may have."""

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
    """Of a request's head, and of a body that comes without an authkey in a header (its size: `request.read`)."""

    head: int = 64 << 10
    """Bytes."""
    lines: int = 256
    """Of the head and a trailer: each line takes the parser as long as thousands of bytes."""
    seconds: float = 10
    """From the first byte, or from the opening of a new connection, to the end of the head; as many for the body."""
    connections: int = 256
    """Of one address. Loopback is exempt."""
    trusted: tuple[IPv4Network | IPv6Network, ...] = ()
    """Reverse proxies, which are exempt too."""


class Addresses:
    """How much each address (of IPv6: its /64) has open: connections, or requests behind a proxy.

    Loopback is not counted, nor is a proxy, nor a unix socket, which has no address.
    """

    def __init__(self, most: int, trusted: Sequence[IPv4Network | IPv6Network] = ()) -> None:
        self._most = most
        self._trusted = trusted
        self._open: Counter[str] = Counter()

    def enter(self, address: str) -> bool:
        """Whether there is room for one more; it is counted then, until `leave`."""
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
    """A connection that lingers; its address counts it to the end. There are many: it is little to keep and to scan."""

    __slots__ = ("_address", "_addresses")

    def __init__(self, addresses: Addresses, address: str | None) -> None:
        self._addresses = addresses
        self._address = address

    def connection_lost(self, exc: Exception | None) -> None:
        if self._address is not None:
            self._addresses.leave(self._address)


def is_among(address: str, networks: Sequence[IPv4Network | IPv6Network]) -> bool:
    """An address of IPv4 counts as such, also as a listener for both versions writes it."""
    if not networks:
        return False
    try:
        parsed = ip_address(address)
    except ValueError:
        return False
    one = getattr(parsed, "ipv4_mapped", None) or parsed
    return any(one in among for among in networks)


def is_local(address: str) -> bool:
    """Whether it is this host's loopback, also as IPv6 writes it, or none at all."""
    return not address or address == "::1" or address.removeprefix("::ffff:").startswith("127.")


class State(ServerState):
    """uvicorn's, with what the connections share of ours."""

    def __init__(self, bounds: RequestLimits, find: Callable[[str], Session | None], turns: Turns) -> None:
        super().__init__()
        self.bounds = bounds
        self.find = find
        self.turns = turns
        self.addresses = Addresses(bounds.connections, bounds.trusted)
        self.strangers = Strangers()
        self.lingering = Lingering()
