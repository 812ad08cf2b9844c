"""What a connection may take before it is known whose it is, and how many an address may have."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

from uvicorn.server import ServerState

from velocity.access.guesses import network


@dataclass(frozen=True)
class Bounds:
    """Of a request's head, and of a body that comes without an authkey in a header (its size: `request.read`)."""

    head: int = 64 << 10
    """Bytes."""
    seconds: float = 10
    """From the first byte, or from the opening of a new connection, to the end of the head; as many for the body."""
    connections: int = 256
    """Of one address. Loopback is exempt."""


class Addresses:
    """How many connections each address (of IPv6: its /64) has open.

    Loopback is not counted, nor is a unix socket, which has no address.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._open: Counter[str] = Counter()

    def enter(self, address: str) -> bool:
        """Whether there is room for one more; it is counted then, until `leave`."""
        if is_local(address):
            return True
        one = network(address)
        if self._open[one] >= self._most:
            return False
        self._open[one] += 1
        return True

    def leave(self, address: str) -> None:
        if is_local(address):
            return
        one = network(address)
        self._open[one] -= 1
        if not self._open[one]:
            del self._open[one]


def is_local(address: str) -> bool:
    """Whether it is this host's loopback, also as IPv6 writes it, or none at all."""
    return not address or address == "::1" or address.removeprefix("::ffff:").startswith("127.")


class State(ServerState):
    """uvicorn's, with what the connections share of ours."""

    def __init__(self, bounds: Bounds, knows: Callable[[str], bool]) -> None:
        super().__init__()
        self.bounds = bounds
        self.knows = knows
        self.addresses = Addresses(bounds.connections)
