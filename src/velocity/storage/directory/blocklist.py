"""Who may not write to a pool any more: a directory cannot tell who does."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from velocity.contract.problems import Problem, Refused


class Blocklist:
    """One pool's; its calls are those of `velocity.storage.port.Pools`, to be made in a thread."""

    def __init__(self, name: str) -> None:
        """`name` is the pool's."""
        self._name = name

    def add(self, addresses: Collection[str], names: Sequence[str]) -> tuple[str, ...]:
        """Raises `Refused`."""
        raise Refused(Problem.POOL_AWAY, f"pool {self._name!r} is a directory, which has no blocklist")

    def lift(self, addresses: Collection[str]) -> None:
        """Nobody is kept from it."""

    def give_up(self) -> None:
        """What was written is the host's to write back, as it is of any file."""
