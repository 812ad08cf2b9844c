"""Limits password guesses by address and by name.

Strangers must not lock a user out: an address from which a name has signed in before has a limit of its own for that
name, which guesses from elsewhere do not use up.
"""

from __future__ import annotations

import ipaddress
import time
from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterable, Iterator
from contextlib import contextmanager

from msgspec import Struct

from velocity.contract.problems import Problem, Refused

MOST = 20_000
"""Counters, and names with known addresses, that are kept; the least recently used go first."""
OWN = 64
"""Known addresses that are kept for one name; the least recently used go first."""


class RateLimit(Struct, frozen=True):
    """`burst` guesses at once, then one every `seconds`."""

    burst: int
    seconds: float


PAIR = RateLimit(10, 10.0)
"""One name from one address."""
ADDRESS = RateLimit(50, 2.0)
"""All names from one address."""
NAME = RateLimit(100, 2.0)
"""One name from all addresses that never signed in with it."""


class PasswordThrottle:
    """Counts wrong passwords; right ones are free."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.clock = clock
        self._levels: OrderedDict[Hashable, tuple[float, float]] = OrderedDict()
        self._good: OrderedDict[str, OrderedDict[str, None]] = OrderedDict()
        """The addresses from which each name has signed in, the latest last."""

    def __len__(self) -> int:
        """How many counters are kept."""
        return len(self._levels)

    def remember(self, pairs: Iterable[tuple[str, str]]) -> None:
        """Load (name, address) pairs of past sign-ins, the latest last."""
        for name, address in pairs:
            self._remember(name, network(address))

    def _remember(self, name: str, address: str) -> None:
        good = self._good.setdefault(name, OrderedDict())
        good[address] = None
        good.move_to_end(address)
        if len(good) > OWN:
            good.popitem(last=False)
        self._good.move_to_end(name)
        if len(self._good) > MOST:
            self._good.popitem(last=False)

    @contextmanager
    def attempt(self, name: str | None, address: str) -> Iterator[Callable[[], None]]:
        """Counts one guess, and takes it back if the yielded function is called: the password was right.

        `name` None: a secret without a name, too long to guess; it has no limit of its own that others could use up.
        Raises `Refused(TOO_MANY_ATTEMPTS)` before any work.
        """
        address = network(address)
        measures: list[tuple[Hashable, RateLimit]] = [(("address", address), ADDRESS)]
        if name is not None:
            measures.insert(0, (("pair", (name, address)), PAIR))
            if address not in self._good.get(name, ()):
                measures.append((("name", name), NAME))
        for key, measure in measures:
            wait = self._wait(key, measure)
            if wait > 0:
                raise Refused(
                    Problem.TOO_MANY_ATTEMPTS,
                    f"too many wrong passwords: try again in {wait:.0f} seconds",
                )
        for key, measure in measures:
            self._change(key, measure, 1)

        def right() -> None:
            for key, measure in measures:
                self._change(key, measure, -1)
            if name is not None:
                self._remember(name, address)

        yield right

    def _level(self, key: Hashable, measure: RateLimit) -> float:
        level, then = self._levels.get(key, (0.0, 0.0))
        return max(0.0, level - (self.clock() - then) / measure.seconds)

    def _wait(self, key: Hashable, measure: RateLimit) -> float:
        """Seconds until one more guess is allowed."""
        over = self._level(key, measure) + 1 - measure.burst
        return max(0.0, over * measure.seconds)

    def _change(self, key: Hashable, measure: RateLimit, by: int) -> None:
        self._levels[key] = (max(0.0, self._level(key, measure) + by), self.clock())
        self._levels.move_to_end(key)
        if len(self._levels) > MOST:
            self._levels.popitem(last=False)


def network(address: str) -> str:
    """The unit that is counted: an IPv4 address, or the /64 of an IPv6 address, which one household or host has."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return address
    if parsed.version == 4:
        return address
    if parsed.ipv4_mapped is not None:  # how a dual-stack listener reports IPv4 addresses
        return str(parsed.ipv4_mapped)
    return str(ipaddress.ip_network((int(parsed), 64), strict=False))
