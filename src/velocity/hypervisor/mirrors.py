"""The part of the port that copies disks while their machines run."""

from __future__ import annotations

from typing import Protocol

from velocity.hypervisor.incarnation import Incarnation
from velocity.storage.port import MediaRef, Value


class MirrorProgress(Value, frozen=True):
    """Of `total` bytes, `done` are copied. `ready`: both are identical, and each write goes to both."""

    done: int
    total: int
    ready: bool


class Mirrors(Protocol):
    """Copies of disks of running machines, made while their guests write: see decision 38.

    A mirror is identified by its medium. Calls for one run come one at a time, as those of `Machines`; `progress` at
    any moment.
    """

    async def begin(
        self, who: Incarnation, source: MediaRef, target: MediaRef, *, compact: bool, deadline: float
    ) -> None:
        """Copy a writable disk into an object of the same size, which exists and is not in its place yet.

        `compact`: zeros take no space there; the two may have the same name.
        """

    async def progress(self, who: Incarnation, source: MediaRef, *, deadline: float) -> MirrorProgress:
        """Raises `HypervisorError`: there is no mirror, or it has failed, and its machine continues with the source."""

    async def hold(self, who: Incarnation, source: MediaRef, *, deadline: float) -> None:
        """For a ready mirror: both objects are identical and durable, and the guest's writes wait until `settle`."""

    async def settle(self, who: Incarnation, media: MediaRef, *, deadline: float) -> bool:
        """Continue with the object that has this name now, and end the mirror. Idempotent.

        Returns whether that is the copy; without `hold` before, it never is.
        """
