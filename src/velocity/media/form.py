"""Uploads as forms, as browsers send them: the file in the form counts. RFC 7578

Content-Type is ignored: the first line of the body is the boundary. Uses constant memory.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from multipart import MultipartError, MultipartSegment, PushMultipartParser

from velocity.contract.problems import Problem, Refused

LONGEST_BOUNDARY = 70
"""Characters. RFC 2046, 5.1.1"""
LONGEST_HEAD = 8192
"""Bytes of the first line and the headers after it."""
_OPENING = re.compile(rb"--([^\r\n]{1,%d})\r\n(.*?\r\n)\r\n" % LONGEST_BOUNDARY, re.DOTALL)
_OF_A_FORM = re.compile(rb"^content-disposition:[ \t]*form-data\b", re.IGNORECASE | re.MULTILINE)
_EMPTY = re.compile(rb"--[^\r\n]{1,%d}--(\r\n)?" % LONGEST_BOUNDARY)


def is_undecided(opening: bytes) -> bool:
    """Whether more of the body is needed to tell whether it is a form."""
    if not opening.startswith(b"--"[: len(opening)]):
        return False
    line = opening.find(b"\r\n")
    if line < 0:
        return b"\n" not in opening and len(opening) <= LONGEST_BOUNDARY + 3
    return opening.find(b"\r\n\r\n", line) < 0 and len(opening) < LONGEST_HEAD


def recognize(opening: bytes) -> Form | None:
    """The form that begins like this; None if it is not one."""
    found = _OPENING.match(opening)
    return Form(found[1], found.end()) if found and _OF_A_FORM.search(found[2]) else None


def check_not_empty(body: bytes) -> None:
    """Raises `Refused` for a complete body that is an empty form."""
    if _EMPTY.fullmatch(body):
        raise _refused("it has no file")


class Form:
    """Reads a form. Other parts than the file are ignored."""

    def __init__(self, boundary: bytes, head: int) -> None:
        """`head`: bytes before the content of the first part."""
        self._parser = PushMultipartParser(boundary, max_header_size=LONGEST_HEAD, max_header_count=32)
        self._last = b"\r\n--" + boundary + b"--"
        self._tail = b""
        self._files = 0
        self._in_file = False
        self.size = 0
        """Bytes of the file that have arrived."""
        self.wrapping = head + len(self._last) + 2
        """The least bytes of a form beside its file."""

    def read(self, piece: bytes) -> Iterator[bytes]:
        """The content of the file in this piece. Raises `Refused`."""
        self._tail = (self._tail + piece)[-len(self._last) - 2 :]
        try:
            for event in self._parser.parse(piece):
                if isinstance(event, MultipartSegment):
                    self._begin(event)
                elif event is None:
                    self._in_file = False
                elif self._in_file:
                    self.size += len(event)
                    yield event
        except MultipartError as error:
            raise _refused(f"it cannot be read ({error})") from None

    def _begin(self, part: MultipartSegment) -> None:
        self._in_file = part.filename is not None
        self._files += self._in_file
        if self._files > 1:
            raise _refused("it has several files")

    def finish(self) -> None:
        """The body has ended. Raises `Refused` unless the form is complete, with one file."""
        if not (self._tail.endswith(self._last) or self._tail.endswith(self._last + b"\r\n")):
            raise _refused("it does not end with its boundary: it was cut")
        if not self.size:
            raise _refused("its file is empty" if self._files else "it has no file")


def _refused(why: str) -> Refused:
    return Refused(
        Problem.MALFORMED,
        f"the body is a form (multipart/form-data), and {why}: send a form with one file, or the file itself as the "
        "body",
        field="body",
    )
