"""Objects that are being sent or received."""

from __future__ import annotations

import contextlib
import itertools
import os
import time
from contextlib import AbstractContextManager

from velocity.contract.media import Content
from velocity.contract.problems import Problem, Refused
from velocity.storage.directory.disk_errors import as_refusals
from velocity.storage.directory.pool import PoolDirectory
from velocity.storage.directory.shared_descriptor import SharedDescriptor
from velocity.storage.directory.threads import GIVE_UP
from velocity.storage.port import Belongs, Unknown
from velocity.uninterrupted import whole

GATHER = 1 << 20
"""Bytes that are collected before they are written."""
SLOW = 0.02
"""Seconds: after a write that takes longer, the disk counts as slow, and the next write goes to a thread."""


class FileIncoming:
    """Implements `velocity.storage.port.Incoming`: collects data and writes it in large pieces, in constant memory.

    Pieces of zeros become holes.
    """

    def __init__(self, pool: PoolDirectory, name: str) -> None:
        self._pool = pool
        self._files = pool.files
        self._name = name
        self._file: SharedDescriptor | None = None
        self._pieces: list[bytes] = []
        self._gathered = 0
        self._size = 0
        self._slow = False
        self._stays = False
        """It was finished, or left."""

    def open(self) -> None:
        """Create the file. Called in a thread."""
        with as_refusals(self._files.places, 0, self._files.fullness.heard):
            self._files.begin_anew(self._name)
            self._file = self._files.openings.begin(self._name)

    def reopen(self, size: int) -> None:
        """Continue a file that was left, after so many bytes. Called in a thread."""
        with as_refusals(self._files.places, 0, self._files.fullness.heard):
            try:
                self._file, self._size = self._files.openings.go_on(self._name, size), size
            except FileNotFoundError:
                raise _nothing_left() from None
            with self._file.use() as descriptor:
                os.lseek(descriptor, size, os.SEEK_SET)

    async def write(self, piece: bytes) -> None:
        self._pieces.append(piece)
        self._gathered += len(piece)
        self._size += len(piece)
        if self._gathered >= GATHER or len(self._pieces) >= 512:
            if self._slow or self._pool.places.shared:  # a network file system may block, and with it the loop
                await self.flush()
            else:
                self._flush()

    async def flush(self) -> None:
        await whole(self._pool.threads.run(self._flush))

    async def finish(self) -> Content:
        content = await self._pool.threads.run(self._finish)
        self._stays = True
        return content

    async def sync(self) -> None:
        await whole(self._pool.threads.run(self._sync))

    async def leave(self) -> None:
        self._stays = True
        await self.sync()
        self.abandon()

    async def close(self) -> None:
        with contextlib.suppress(Unknown):  # it will be done later
            await whole(self._pool.threads.do(GIVE_UP, self.let_go))
        self._pool.retry()

    def let_go(self) -> None:
        """Close the file. Called in a thread."""
        self.abandon()
        if not self._stays:
            self._files.settle(self._name, Belongs.NOWHERE)

    def abandon(self) -> None:
        """Close the file, and keep what was received. Called in a thread."""
        if self._file is not None:
            self._file.close()

    def _flush(self) -> None:
        begun = time.monotonic()
        pieces, self._pieces, self._gathered = self._pieces, [], 0
        with self._writing(), self._opened().use() as descriptor:
            for hole, run in itertools.groupby(pieces, _is_zero):
                if hole:
                    end = os.lseek(descriptor, sum(map(len, run)), os.SEEK_CUR)
                    os.ftruncate(descriptor, end)
                else:
                    _write_all(descriptor, list(run))
        self._slow = time.monotonic() - begun > SLOW

    def _sync(self) -> None:
        self._flush()
        with self._writing(), self._opened().use() as descriptor:
            os.fdatasync(descriptor)
            self._files.openings.sync_coming()

    def _finish(self) -> Content:
        self._sync()
        with as_refusals(self._files.places):
            return self._files.openings.inspect(self._name)

    def _writing(self) -> AbstractContextManager[None]:
        return as_refusals(self._files.places, self._size, self._files.fullness.heard)

    def _opened(self) -> SharedDescriptor:
        assert self._file is not None, "it was opened"
        return self._file


def _nothing_left() -> Refused:
    return Refused(Problem.MEDIUM_NOT_FOUND, "its data is gone: send it again from the beginning")


def _is_zero(piece: bytes) -> bool:
    """Whether the piece is all zeros; its ends nearly always decide."""
    return not piece or (piece[0] == piece[-1] == 0 and not piece.strip(b"\0"))


def _write_all(descriptor: int, pieces: list[bytes]) -> None:
    while pieces:
        written = os.writev(descriptor, pieces)
        while pieces and written >= len(pieces[0]):
            written -= len(pieces.pop(0))
        if pieces and written:
            pieces[0] = pieces[0][written:]


class FileOutgoing:
    """Implements `velocity.storage.port.Outgoing`."""

    def __init__(self, pool: PoolDirectory, name: str) -> None:
        """Open the object. Called in a thread."""
        self._pool = pool
        with as_refusals(pool.places):
            self._file = pool.files.openings.read(name)
            self.stat = self._file.stat()

    async def read(self, offset: int, length: int) -> bytes:
        return await self._pool.threads.run(self._read, offset, length)

    def _read(self, offset: int, length: int) -> bytes:
        with as_refusals(self._pool.places), self._file.use() as descriptor:
            return os.pread(descriptor, min(length, max(0, self.stat.size - offset)), offset)

    async def close(self) -> None:
        self.let_go()

    def let_go(self) -> None:
        self._file.close()
