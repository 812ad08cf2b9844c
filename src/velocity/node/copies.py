"""Copies of the server's database on a node: the latest and the previous one, each complete."""

from __future__ import annotations

import hashlib
import logging
import os
import shutil
from pathlib import Path

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from velocity import durable
from velocity.hosts.members import CopyMark, CopyPiece

log = logging.getLogger(__name__)

GENERATIONS = 2


class CopyNote(Struct, frozen=True):
    """The file beside a copy, written last. `at`: Unix time for which it is current. Later versions may add fields."""

    mark: CopyMark
    at: int
    size: int
    digest: str


class KeptCopies:
    """The copies in one directory. One call at a time, in a thread. Raises `OSError`."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def take(self, piece: CopyPiece) -> None:
        """Raises `ValueError` if an earlier part is missing, or the content is not what was sent."""
        self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        coming = self._directory / "coming"
        if not piece.offset:
            coming.unlink(missing_ok=True)
        descriptor = os.open(coming, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "r+b") as file:
            if file.seek(0, os.SEEK_END) != piece.offset:
                raise ValueError("a piece of it is missing")
            file.write(piece.data)
            if piece.offset + len(piece.data) < piece.size:
                return
            file.flush()
            os.fsync(descriptor)
            file.seek(0)
            if hashlib.file_digest(file, "sha256").hexdigest() != piece.digest:
                raise ValueError("it was changed on the way")
        note = CopyNote(piece.mark, piece.at, piece.size, piece.digest)
        coming.rename(self.file(note))
        self._write(note)
        self._tidy()

    def _tidy(self) -> None:
        """Remove older copies, and what a crash between a copy and its note has left.

        A copy whose note cannot be read at this moment stays: it may be complete.
        """
        notes, unread = self._notes()
        stay = {file for one in notes[:GENERATIONS] for file in (self.file(one), self._note_of(one))}
        stay |= {file for note in unread for file in (note, note.with_suffix(".db"))}
        for file in sorted(self._directory.iterdir(), reverse=True):  # a note before its copy
            if file not in stay:
                file.unlink()

    def confirm(self, mark: CopyMark, at: int) -> bool:
        """Whether the latest is that one; then it is current as of that time."""
        newest = next(iter(self.all()), None)
        if newest is None or newest.mark != mark:
            return False
        self._write(replace(newest, at=at))
        return True

    def drop(self) -> None:
        """Delete all: a host with a copy could become the server."""
        if self._directory.exists():
            shutil.rmtree(self._directory)

    def all(self) -> list[CopyNote]:
        """Complete copies, the latest first: in the order of servers' terms, not of their clocks."""
        return self._notes()[0]

    def _notes(self) -> tuple[list[CopyNote], list[Path]]:
        """Those of complete copies, the latest first, and the files of those that cannot be read at this moment."""
        found, unread = [], []
        for file in self._directory.glob("*.json"):
            try:
                note = durable.read(file, CopyNote)
            except (OSError, msgspec.DecodeError) as error:  # it costs that copy, not the others
                log.warning("the note of a copy of the database cannot be read (%s): %s", file, error)
                if isinstance(error, OSError):  # otherwise it is damaged for good
                    unread.append(file)
                continue
            there = self.file(note)
            if there.is_file() and there.stat().st_size == note.size:
                found.append(note)
        return sorted(found, key=lambda note: (note.mark.term, note.mark.written), reverse=True), unread

    def file(self, note: CopyNote) -> Path:
        return self._directory / f"{note.mark.term}-{note.mark.written}.db"

    def _note_of(self, note: CopyNote) -> Path:
        return self.file(note).with_suffix(".json")

    def _write(self, note: CopyNote) -> None:
        durable.write(self._note_of(note), msgspec.json.encode(note))
