"""How much each group and user may create, so that the rest of the host stays available to others."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from velocity.contract.problems import Problem, Refused


@dataclass(frozen=True)
class Bounds:
    """The settings of these names. What exceeds a lowered bound stays, and can be changed and deleted."""

    group_depth: int = 32
    group_subgroups: int = 1000
    group_vms: int = 10_000
    group_media: int = 10_000
    group_users: int = 10_000
    user_sessions: int = 1000
    user_uploads: int = 16
    user_tickets: int = 64
    user_consoles: int = 1000
    user_keys: int = 1000
    user_tasks: int = 32
    user_pictures: int = 8
    user_guest_requests: int = 32


BOUNDS = Bounds()


def check_own(count: int, most: int, what: str, setting: str, cure: str) -> None:
    """Refuses one more short-lived object of a user at the limit. Raises `Refused(TOO_MANY_ATTEMPTS)`."""
    if count >= most:
        raise Refused(Problem.TOO_MANY_ATTEMPTS, f"you have {most} {what}, and no more are allowed ({setting}): {cure}")


class Waiting:
    """Limits how many requests of one user may wait for a shared resource, or use it, at a time."""

    def __init__(self, most: int, what: str, setting: str, cure: str = "wait until one is there") -> None:
        self._most = most
        self._cure = cure
        self._words = (what, setting)
        self._counts: Counter[int] = Counter()

    @contextmanager
    def of(self, uid: int) -> Iterator[None]:
        """Within, one more request of the user counts. Raises `Refused(TOO_MANY_ATTEMPTS)`."""
        check_own(self._counts[uid], self._most, *self._words, self._cure)
        self._counts[uid] += 1
        try:
            yield
        finally:
            self._counts[uid] -= 1
            if not self._counts[uid]:
                del self._counts[uid]
