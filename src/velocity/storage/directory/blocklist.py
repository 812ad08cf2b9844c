"""Refuses to blocklist clients: a directory cannot tell which host writes."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from velocity.contract.problems import Problem, Refused


class Blocklist:
    """A pool's blocklist, with the methods of `velocity.storage.port.Pools`. They block, and are called in threads."""

    def __init__(self, name: str) -> None:
        """`name` is the pool's."""
        self._name = name

    def add(self, addresses: Collection[str], names: Sequence[str]) -> tuple[str, ...]:
        """Raises `Refused`."""
        raise Refused(Problem.POOL_AWAY, f"pool {self._name!r} is a directory, which has no blocklist")

    def lift(self, addresses: Collection[str]) -> None:
        """Nothing to lift."""

    def give_up(self) -> None:
        """Nothing to drop: the host writes its files back itself."""
