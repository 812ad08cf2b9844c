"""Transfers to and from other hosts continue after interruptions: lost connections, and restarts of nodes.

When the connection is lost, an object that is being received stays on its host (`Blobs.resume`). What is not durable
there is kept here, and sent again.
"""

from __future__ import annotations

import contextlib
from collections.abc import Awaitable
from typing import TypeVar

from velocity.contract.media import Content
from velocity.contract.problems import Problem, Refused
from velocity.storage.patience import SECONDS, Patience
from velocity.storage.port import Belongs, Blobs, Incoming, MediaRef, Outgoing, Trash, Unknown

WINDOW = 8 << 20
"""Bytes after which received data is made durable on the host, and dropped here."""
T = TypeVar("T")


class ResumedIncoming:
    """Implements `velocity.storage.port.Incoming`. `write` and `finish` wait for the host, the others ask once."""

    def __init__(
        self, patience: Patience, blobs: Blobs, trash: Trash, ref: MediaRef, opened: Incoming, size: int = 0
    ) -> None:
        """`size`: the bytes that are durable. `trash` is told if nothing is to remain of it."""
        self._patience = patience
        self._blobs = blobs
        self._trash = trash
        self._ref = ref
        self._open: Incoming | None = opened
        self._durable = size
        self._pieces: list[bytes] = []
        """Data received since."""
        self._kept = 0
        self._stays = False

    async def write(self, piece: bytes) -> None:
        opened = self._open
        self._pieces.append(piece)
        self._kept += len(piece)
        if opened is None:
            await self._patience.reach(self._ref.pool, self._opened)
        else:
            with contextlib.suppress(Unknown):
                await self._told(opened, opened.write(piece))
        if self._kept >= WINDOW:
            await self._patience.reach(self._ref.pool, self.sync)

    async def flush(self) -> None:
        """Ask once: if the host does not respond, the data is sent again with the rest."""
        if (opened := self._open) is not None:
            with contextlib.suppress(Unknown):
                await self._told(opened, opened.flush())

    async def sync(self) -> None:
        opened = await self._opened()
        await self._told(opened, opened.sync())
        self._durable += self._kept
        self._pieces, self._kept = [], 0

    async def finish(self) -> Content:
        async def finished() -> Content:
            opened = await self._opened()
            return await self._told(opened, opened.finish())

        content = await self._patience.reach(self._ref.pool, finished)
        self._stays = True
        return content

    async def leave(self) -> None:
        self._stays = True  # even if the response is lost, what was received can be continued
        opened = await self._opened()
        await self._told(opened, opened.leave())

    async def close(self) -> None:
        """A host that does not respond is told later that the object belongs nowhere."""
        opened, self._open = self._open, None
        if opened is not None:
            await opened.close()
        if not self._stays:
            await self._trash.settle(self._ref, Belongs.NOWHERE, deadline=SECONDS)

    async def _opened(self) -> Incoming:
        if self._open is None:
            again = await self._again()
            try:
                for piece in self._pieces:
                    await again.write(piece)
            except Unknown:
                raise
            except Refused:
                self._open = again  # to be closed
                raise
            self._open = again
        return self._open

    async def _again(self) -> Incoming:
        await self._patience.check_there(self._ref.pool)
        try:
            return await self._blobs.resume(self._ref, self._durable, deadline=SECONDS)
        except Refused as refused:
            if self._durable or refused.problem is not Problem.MEDIUM_NOT_FOUND:
                raise
            return await self._blobs.put(self._ref, deadline=SECONDS)  # nothing of it was durable

    async def _told(self, opened: Incoming, asked: Awaitable[T]) -> T:
        try:
            return await asked
        except Unknown:
            if self._open is opened:
                self._open = None
            raise


class ResumedOutgoing:
    """Implements `velocity.storage.port.Outgoing` for the bytes of one object. If it has changed, it is another one."""

    def __init__(self, patience: Patience, blobs: Blobs, ref: MediaRef, opened: Outgoing) -> None:
        self.stat = opened.stat
        self._patience = patience
        self._blobs = blobs
        self._ref = ref
        self._open: Outgoing | None = opened

    async def read(self, offset: int, length: int) -> bytes:
        async def attempt() -> bytes:
            opened = self._open = self._open or await self._again()
            try:
                return await opened.read(offset, length)
            except Unknown:
                self._open = None
                await opened.close()
                raise

        return await self._patience.reach(self._ref.pool, attempt)

    async def _again(self) -> Outgoing:
        await self._patience.check_there(self._ref.pool)
        again = await self._blobs.get(self._ref, deadline=SECONDS)
        if (again.stat.size, again.stat.modified) != (self.stat.size, self.stat.modified):
            await again.close()
            raise Refused(Problem.POOL_AWAY, "its host was away, and it has changed since: do this again")
        return again

    async def close(self) -> None:
        if self._open is not None:
            await self._open.close()
