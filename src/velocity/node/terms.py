"""The highest term that a host has served, and whose it was: it serves no lower one, also after a restart."""

from __future__ import annotations

from pathlib import Path

import msgspec

from velocity import durable


class Note(msgspec.Struct):
    """The file. A later version may add to it."""

    term: int = 0
    leader: str = ""


class Terms:
    """Kept in one file, which is written before the first call of a new term is carried out."""

    def __init__(self, file: Path) -> None:
        self._file = file
        note = durable.read(file, Note) if file.exists() else Note()
        self.highest = note.term
        self.leader = note.leader
        """The uuid of the machine that led in it; empty: one of before, which did not say."""

    def outrank(self, term: int, leader: str) -> bool:
        """Whether another has led since, or leads in the same term: two may have begun from the same copy."""
        same = not leader or self.leader in ("", leader)
        return term < self.highest or (term == self.highest and not same)

    def raise_to(self, term: int, leader: str) -> None:
        """From here on no lower one. Raises `OSError`: the term is not served then."""
        durable.write(self._file, msgspec.json.encode(Note(term, leader)))
        self.highest, self.leader = term, leader
