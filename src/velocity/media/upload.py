"""One upload on its way to a medium: bytes come in, the end is checked, and what came is described."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Coroutine
from typing import Any

from msgspec import UNSET

from velocity.access.lasting import Check
from velocity.contract.media import UploadMedium
from velocity.contract.problems import Problem, Refused
from velocity.media.rules import Medium, described
from velocity.storage.port import Incoming
from velocity.uninterrupted import whole


class Upload:
    """One upload under way, as `Creation.receive` gives it. `keep` commits the medium and shows it."""

    def __init__(
        self,
        medium: Medium,
        incoming: Incoming,
        request: UploadMedium,
        keep: Callable[[Medium, Check], Coroutine[Any, Any, None]],
    ) -> None:
        self._keep = keep
        self._medium = medium
        self._incoming = incoming
        self._promised = request.length
        self._wanted = request.sha256
        self._size = 0
        self._sum = hashlib.sha256() if self._wanted is not UNSET else None

    @property
    def size(self) -> int:
        """The bytes that have come."""
        return self._size

    async def write(self, piece: bytes) -> None:
        """Raises `Refused(MORE_THAN_PROMISED)`, and `Refused(POOL_QUOTA)` when the disk is full."""
        if self._size + len(piece) > self._promised:
            raise Refused(Problem.MORE_THAN_PROMISED, f"the body is longer than the announced {self._promised} bytes")
        if self._sum is not None:
            self._sum.update(piece)
        self._size += len(piece)
        await self._incoming.write(piece)

    async def flush(self) -> None:
        """Write what has come. Raises `Refused(POOL_QUOTA)` when the disk is full."""
        await self._incoming.flush()

    async def finish(self, settle: Check) -> Medium:
        """The medium, durable; `settle` looks at the right to it a last time.

        Raises `Refused(NO_LENGTH)` when bytes are missing, `Refused(WRONG_CHECKSUM)`.
        """
        if self._size != self._promised:
            raise Refused(
                Problem.NO_LENGTH,
                f"only {self._size} of {self._promised} bytes were received: send the file again",
            )
        if self._sum is not None and self._sum.hexdigest() != str(self._wanted).lower():
            raise Refused(
                Problem.WRONG_CHECKSUM,
                f"the SHA-256 of the bytes received is {self._sum.hexdigest()}, not the one sent with them: send "
                "the file again",
            )
        medium = described(self._medium, await self._incoming.finish())  # from here on the database decides
        await whole(self._keep(medium, settle))
        return medium
