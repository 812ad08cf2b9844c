"""The names of media in use, and how many media each group has."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from velocity.contract.problems import Problem, Refused

Key = tuple[int, int, str]
"""Group, pool and name."""


class TakenNames:
    """A set that counts by group. A group may have `most`."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._keys: set[Key] = set()
        self._counts: Counter[int] = Counter()

    def __contains__(self, key: Key) -> bool:
        return key in self._keys

    def __iter__(self) -> Iterator[Key]:
        return iter(self._keys)

    def add(self, key: Key) -> None:
        if key not in self._keys:
            self._keys.add(key)
            self._counts[key[0]] += 1

    def discard(self, key: Key) -> None:
        if key in self._keys:
            self._keys.discard(key)
            self._counts[key[0]] -= 1
            if not self._counts[key[0]]:
                del self._counts[key[0]]

    def check_room(self, gid: int) -> None:
        """Raises `Refused(POOL_QUOTA)` if a group has as many as it may."""
        if self._counts[gid] >= self._most:
            raise Refused(
                Problem.POOL_QUOTA,
                f"the group has {self._most} media, and no more are allowed (group_media): delete some",
            )
