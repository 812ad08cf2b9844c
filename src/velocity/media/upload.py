"""An upload that becomes a medium: receives bytes, checks the end, describes the content."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import time
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import replace
from typing import Any
from uuid import UUID

from msgspec import UNSET

from velocity.access.lasting import Check
from velocity.contract.media import UploadMedium
from velocity.contract.problems import Problem, Refused
from velocity.media import form
from velocity.media.form import Form
from velocity.media.reservations import Reservation
from velocity.media.rules import LIVE, Medium, described
from velocity.storage.port import Incoming
from velocity.uninterrupted import whole

ENDING = 10.0
"""Seconds that an upload has to end when somebody else ends it."""


class Upload:
    """One upload under way, from `Creation`. `keep` commits the medium and shows it.

    `size`: the bytes received before it continued; `digest` computes the checksum of what is in the pool. Implements
    `velocity.media.under_way.UnderWay` for an upload in a single request.
    """

    def __init__(
        self,
        uid: int,
        medium: Medium,
        incoming: Incoming,
        request: UploadMedium,
        reservation: Reservation,
        keep: Callable[..., Coroutine[Any, Any, None]],
        digest: Callable[[Medium], Awaitable[str]],
        size: int = 0,
    ) -> None:
        self.uid = uid
        self.request = request
        self.begun = int(time.time())
        self.heard = time.time()
        self.end_request: Callable[[Refused], None] = lambda refused: None
        """Ends the request that sends it."""
        self.gone = asyncio.Event()
        self._keep = keep
        self._digest = digest
        self._medium = medium
        self._incoming = incoming
        self._reservation = reservation
        self._size = size
        self._sum = hashlib.sha256() if request.sha256 is not UNSET and not size else None
        self._file_sum = hashlib.sha256() if self._sum else None
        self.lasts = False
        """Whether its end can be requested again if the store does not respond."""
        self.made: Medium | None = None
        """The medium, durable but not committed yet."""
        self._opening: bytes | None = None if size else b""
        self._form: Form | None = None

    @property
    def mid(self) -> UUID:
        """The id of the medium that it becomes."""
        return self._medium.mid

    @property
    def size(self) -> int:
        """The bytes that have arrived."""
        return self._size

    @property
    def kept_size(self) -> int | None:
        """The bytes with which another server could continue; None for a form, which cannot be continued."""
        return None if self._form else 0 if self._opening is not None else self._size

    @property
    def unwrapped(self) -> bool:
        """Whether it is the file of a form."""
        return self._form is not None

    @property
    def is_live(self) -> bool:
        return abs(time.time() - self.heard) < LIVE

    is_used = False
    expires = None

    async def write(self, piece: bytes) -> None:
        """Raises `Refused(MORE_THAN_PROMISED)`, and `Refused(POOL_QUOTA)` if the disk is full."""
        promised = self.request.length
        if self._size + len(piece) > promised:
            raise Refused(Problem.MORE_THAN_PROMISED, f"the body is longer than the announced {promised} bytes")
        if self._sum is not None:
            self._sum.update(piece)
        self._size += len(piece)
        self.heard = time.time()
        if self._opening is not None:
            self._opening += piece
            if form.is_undecided(self._opening) and self._size < promised:
                return
            piece, self._opening = self._opening, None
            self._recognize(piece)
        if self._form is None:
            await self._incoming.write(piece)
            return
        for content in self._form.read(piece):
            if self._file_sum is not None:
                self._file_sum.update(content)
            await self._incoming.write(content)

    def _recognize(self, opening: bytes) -> None:
        self._form = form.recognize(opening)
        if self._form is not None:  # the quota counts the file
            self._reservation.fit(max(0, self.request.length - self._form.wrapping))
        elif self._size == self.request.length:
            form.check_not_empty(opening)

    async def flush(self) -> None:
        """Write what has arrived. Raises `Refused(POOL_QUOTA)` if the disk is full."""
        await self._incoming.flush()

    async def sync(self) -> None:
        """Make durable what has arrived."""
        await self._incoming.sync()

    async def leave(self) -> None:
        """Close it, and keep what has arrived."""
        await self._incoming.leave()

    async def complete(self) -> Medium:
        """All has arrived: the medium that it would become, durable but not committed yet.

        Raises `Refused(NO_LENGTH)` if bytes are missing, `Refused(WRONG_CHECKSUM)`, `Refused(MALFORMED)`.
        """
        if self._size != self.request.length:
            raise Refused(
                Problem.NO_LENGTH,
                f"only {self._size} of {self.request.length} bytes were received: send the file again",
            )
        medium = self._medium
        if self._form is not None:
            self._form.finish()
            medium = replace(medium, size=self._form.size)
            self._reservation.take(max(0, medium.size - self._reservation.size))
        if self.request.sha256 is not UNSET:
            await self._check_sum(str(self.request.sha256).lower())
        content = await self._incoming.finish()
        self._reservation.fit(medium.size)
        return described(medium, content)

    async def _check_sum(self, wanted: str) -> None:
        """For a form, the checksum may be that of the body or of the file in it."""
        if self._sum is None:
            await self.flush()
        found = await self._digest(self._medium) if self._sum is None else self._sum.hexdigest()
        of_file = self._file_sum.hexdigest() if self._form and self._file_sum else found
        if wanted not in (found, of_file):
            raise Refused(
                Problem.WRONG_CHECKSUM,
                f"the SHA-256 of the bytes received is {of_file}, not the one sent with them: send the file again",
            )

    async def finish(self, settle: Check) -> Medium:
        """The medium, committed; `settle` checks the permission a last time. Raises as `complete` does."""
        medium = self.made = self.made or await self.complete()  # from here on, the database decides
        await whole(self._keep(medium, settle, again=self.lasts))
        self.made = None
        return medium

    async def end(self, why: str) -> None:
        """By request, or for a newer one of that name: returns when nothing of it is left."""
        self.end_request(Refused(Problem.UPLOAD_ENDED, why))
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(ENDING):
                await self.gone.wait()
