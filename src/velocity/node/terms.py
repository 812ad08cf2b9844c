"""The highest term that a host has seen of its leaders: it serves no lower one, also after a restart."""

from __future__ import annotations

from pathlib import Path

import msgspec

from velocity import durable


class Note(msgspec.Struct):
    """The file. A later version may add to it."""

    term: int = 0


class Terms:
    """Kept in one file, which is written before the first call of a new term is carried out."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self.highest = msgspec.json.decode(file.read_bytes(), type=Note).term if file.exists() else 0

    def raise_to(self, term: int) -> None:
        """From here on no lower one. Raises `OSError`: the term is not served then."""
        durable.write(self._file, msgspec.json.encode(Note(term)))
        self.highest = term
