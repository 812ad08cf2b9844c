"""Turns errors of a directory into refusals."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator

from velocity.storage.directory.places import Places
from velocity.storage.errors import refusal


@contextlib.contextmanager
def as_refusals(
    places: Places, wanted: int | None = None, heard: Callable[[OSError], object] = lambda _: None
) -> Iterator[None]:
    """Turns errors within into `Refused`; `wanted` are the bytes that were to be written, if any.

    `heard` is called with each of these errors.
    """
    try:
        yield
    except OSError as error:
        heard(error)
        raise refusal(places.mpid, places.name, error, wanted, inodes=_has_inodes(places)) from None


def _has_inodes(places: Places) -> bool:
    try:
        facts = os.statvfs(places.path)
    except OSError:
        return True
    return facts.f_files == 0 or facts.f_favail > 0
