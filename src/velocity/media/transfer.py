"""Receives a file from another server into a pool: continues after interruptions, and claims quotas first."""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import Callable
from contextlib import aclosing
from dataclasses import dataclass

from velocity import sizes
from velocity.access.lasting import Check
from velocity.contract.media import Content
from velocity.contract.problems import Problem, Refused
from velocity.fetching.port import Answer, Broken, Changed, NotServed, Permitted, Rest, Source
from velocity.fetching.urls import Url
from velocity.media.checksums import Checksum
from velocity.media.reservations import Reservation
from velocity.media.room import Room
from velocity.media.rules import CALL_DEADLINE, Medium
from velocity.storage.port import Blobs, Incoming
from velocity.tasks.service import TaskProgress

STEP = 256 << 20
"""Bytes of the quota that are reserved at a time if the length is unknown; fewer near its end."""
TRIES, ANEW = 100, 5
"""How often a file may be interrupted, and started over."""
LONGEST_PAUSE = 30.0
"""Seconds between two attempts, at most."""
TOLD = 0.2
"""Seconds between updates of the progress."""


@dataclass
class _Speed:
    """The speed of the transfer."""

    floor: int
    window: float
    seconds: float = 0.0
    bytes: int = 0

    def note(self, seconds: float, bytes_: int) -> None:
        """Raises `Refused` if it was too slow during the whole window."""
        self.seconds += seconds
        self.bytes += bytes_
        if self.seconds >= self.window:
            if self.bytes < self.floor * self.window:
                raise Refused(
                    Problem.UNAVAILABLE,
                    f"the server sends less than {sizes.size(self.floor)} a second: try again later, or another URL",
                    field="url",
                )
            self.seconds, self.bytes = 0.0, 0


class Transfer:
    """`medium` is what the bytes become, or where they wait. `check` raises `Refused` when the permission is lost."""

    def __init__(
        self,
        source: Source,
        blobs: Blobs,
        room: Room,
        url: Url,
        permitted: Permitted,
        medium: Medium,
        reservation: Reservation,
        progress: TaskProgress,
        check: Check,
        wanted: Checksum | None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._source = source
        self._blobs = blobs
        self._room = room
        self._url = self._at = url
        self._permitted = permitted
        self._medium = medium
        self._reservation = reservation
        self._progress = progress
        self._check = check
        self._wanted_sum = wanted
        self._clock = clock
        self._incoming: Incoming | None = None
        self._sum = self._new_sum()
        self._done = self._most = self._begun = 0
        """Bytes that have arrived; the most so far; how often it was started over."""
        self._size: int | None = None
        self._validator: str | None = None
        self._speed = _Speed(source.limits.floor, source.limits.window)
        self._told = 0.0

    @property
    def size(self) -> int:
        """The bytes that have arrived."""
        return self._done

    async def run(self) -> Content:
        """Receive all of it, durably; returns what it contains. Raises `Refused`."""
        limits = self._source.limits
        pause, heard = limits.pause, self._clock()
        for left in reversed(range(TRIES)):
            before = self._most
            try:
                await self._try()
                return await self._finish()
            except NotServed:
                if self._at == self._url or not left:
                    raise
                self._at = self._url  # redirects may be temporary
            except Broken as broken:
                if not self._most:
                    raise
                if self._most > before:
                    pause, heard = limits.pause, self._clock()
                if not left or self._clock() - heard >= limits.patience:
                    raise _does_not_go_on(self._most, broken) from None
                if isinstance(broken, Changed):
                    self._validator = None
                await asyncio.sleep(pause)
                pause = min(2 * pause, LONGEST_PAUSE)
        raise AssertionError("the last try ends it")

    def _new_sum(self) -> hashlib._Hash:
        return hashlib.new("sha256" if self._wanted_sum is None else self._wanted_sum.algorithm)

    async def close(self) -> None:
        """If `run` has not succeeded, nothing is left."""
        if self._incoming is not None:
            incoming, self._incoming = self._incoming, None
            await incoming.close()

    async def _try(self) -> None:
        if self._done and self._done == self._size:
            return
        rest = Rest(self._done, self._validator) if self._done and self._validator else None
        async with self._source.open(self._at, self._permitted, rest) as answer:
            if rest is None or answer.offset != self._done or answer.validator not in (None, self._validator):
                await self._begin(answer)
            if answer.size is not None:
                await self._expect(answer.size)
            self._at = answer.url
            async with aclosing(answer.pieces) as pieces:
                asked = self._clock()
                async for piece in pieces:
                    self._speed.note(self._clock() - asked, len(piece))
                    self._check_right(answer)
                    await self._write(piece)
                    asked = self._clock()
        if self._size is not None and self._done < self._size:
            raise Broken(f"{self._at.host} has sent {sizes.size(self._done)} of {sizes.size(self._size)}")

    async def _begin(self, answer: Answer) -> None:
        """Start over: what has arrived is of another version, or the server has no ranges."""
        if answer.offset:
            raise Changed(f"{answer.url.host} has sent another part of the file than was asked for")
        self._begun += 1
        if self._begun > ANEW:
            raise Refused(
                Problem.UNAVAILABLE,
                f"the connection broke {ANEW} times, and {answer.url.host} cannot resume, or the file has changed each "
                "time: try again later, or use another URL",
                field="url",
            )
        await self.close()
        self._incoming = await self._blobs.put(self._medium.ref, deadline=CALL_DEADLINE)
        self._sum, self._done, self._size = self._new_sum(), 0, None
        self._validator = answer.validator

    async def _expect(self, size: int) -> None:
        """The length is known. Raises `Refused(POOL_QUOTA)`."""
        if self._size is None:
            if size > self._reservation.size:
                self._reservation.take(size - self._reservation.size)
            await self._room.find(self._medium.gid, self._medium.mpid, size)
            self._size = self._progress.total = size
        elif size != self._size:
            raise Changed(f"{self._at.host} has changed the file meanwhile")

    def _check_right(self, answer: Answer) -> None:
        self._check()
        if not answer.is_public and not self._permitted.private():
            raise Refused(
                Problem.NO_PERMISSION,
                f"{answer.url.host} has no public address, and the permission to fetch from it has ended",
            )

    async def _write(self, piece: bytes) -> None:
        assert self._incoming is not None, "it has begun"
        size = self._done + len(piece)
        if self._size is not None and size > self._size:
            raise Refused(
                Problem.MORE_THAN_PROMISED, f"{self._at.host} sends more than the {self._size} bytes it announced"
            )
        if size > self._reservation.size:
            await self._take(size)
        await self._incoming.write(piece)
        self._sum.update(piece)
        self._done = size
        self._most = max(self._most, size)
        if self._clock() - self._told >= TOLD:
            self._told = self._clock()
            self._progress.done = size

    async def _take(self, size: int) -> None:
        """Reserve more of the quota, and make room in the pool. Raises `Refused(POOL_QUOTA)`."""
        had = self._reservation.size
        try:
            self._reservation.take(size + STEP - had)
        except Refused:
            self._reservation.take(size - had)
        await self._room.find(self._medium.gid, self._medium.mpid, self._reservation.size - self._done)

    async def _finish(self) -> Content:
        if not self._done or self._incoming is None:
            raise Refused(Problem.UNAVAILABLE, f"the file at {self._at.host} is empty: check the URL", field="url")
        self._progress.total = self._progress.done = self._done
        wanted, found = self._wanted_sum, self._sum.hexdigest()
        if wanted is not None and wanted.digits != found:
            called = wanted.algorithm.upper().replace("SHA", "SHA-")
            raise Refused(
                Problem.WRONG_CHECKSUM,
                f"the {called} of the file at {self._at.host} is {found}, not the one in {wanted.where}: check both",
                field="sha256",
            )
        self._reservation.fit(self._done)
        return await self._incoming.finish()


def _does_not_go_on(size: int, why: Refused) -> Refused:
    return Refused(
        Problem.UNAVAILABLE, f"it was cut after {sizes.size(size)}, and cannot continue: {why.message}", field="url"
    )
