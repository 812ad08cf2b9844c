"""Counts requests by operation, with their statuses and durations."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, field

CUT_OFF = "none"
"""The status of a request whose client went away before the answer."""


@dataclass
class RequestCounts:
    """Since the start of the server. `ended` is by (operation, status), `seconds` by operation."""

    ended: Counter[tuple[str, str]] = field(default_factory=Counter)
    seconds: defaultdict[str, float] = field(default_factory=lambda: defaultdict(float))

    def count_request(self, operation: str, status: int | None, seconds: float) -> None:
        """`status` None: the client left before the response."""
        self.ended[operation, CUT_OFF if status is None else str(status)] += 1
        self.seconds[operation] += seconds
