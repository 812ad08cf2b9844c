"""The part of the port that copies disks while their machines run."""

from __future__ import annotations

from typing import Protocol

from velocity.hypervisor.incarnation import Incarnation
from velocity.storage.port import MediaRef, Value


class MirrorProgress(Value, frozen=True):
    """Of `total` bytes, `done` are copied. `ready`: both are the same, and each write goes to both."""

    done: int
    total: int
    ready: bool


class Mirrors(Protocol):
    """Disks of machines that run, made anew in other objects while their guests write to them: see decision 38.

    A mirror is told by its medium. Calls for one run come as those of `Machines` do, `progress` at any moment.
    """

    async def begin(
        self, who: Incarnation, source: MediaRef, target: MediaRef, *, compact: bool, deadline: float
    ) -> None:
        """Copy a disk that it writes to into an object of the same size, which was made and waits out of sight.

        `compact`: what is zero takes no space there; the two may be of one name.
        """

    async def progress(self, who: Incarnation, source: MediaRef, *, deadline: float) -> MirrorProgress:
        """Raises `HypervisorError`: there is none, or it has failed, and its machine goes on with the source."""

    async def hold(self, who: Incarnation, source: MediaRef, *, deadline: float) -> None:
        """Of one that is ready: both are the same, durable, and what the guest writes waits until `settle`."""

    async def settle(self, who: Incarnation, media: MediaRef, *, deadline: float) -> bool:
        """Go on with the object that has this name now, and end the mirror; done already is success.

        Whether that is the one that was copied to: without `hold` before, and where that is not it, it never is.
        """
