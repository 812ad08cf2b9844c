"""The highest term that a host has served, and its leader: lower terms are refused, even after a restart."""

from __future__ import annotations

from pathlib import Path

import msgspec

from velocity import durable


class Note(msgspec.Struct):
    """The file. Later versions may add fields."""

    term: int = 0
    leader: str = ""


class Terms:
    """The terms in one file, which is written before the first call of a new term is carried out."""

    def __init__(self, file: Path) -> None:
        self._file = file
        note = durable.read(file, Note) if file.exists() else Note()
        self.highest = note.term
        self.leader = note.leader
        """The UUID of the machine that led in it; empty: an earlier version, which did not send it."""

    def outrank(self, term: int, leader: str) -> bool:
        """Whether another has led since, or leads in the same term: two servers may have begun from the same copy."""
        same = not leader or self.leader in ("", leader)
        return term < self.highest or (term == self.highest and not same)

    def raise_to(self, term: int, leader: str) -> None:
        """Refuse lower terms from here on. Raises `OSError`: the term is not served then."""
        durable.write(self._file, msgspec.json.encode(Note(term, leader)))
        self.highest, self.leader = term, leader
