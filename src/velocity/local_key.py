"""The key with which commands of the server's own machine and account sign in."""

from __future__ import annotations

import logging
import secrets
from pathlib import Path

from velocity import durable

log = logging.getLogger(__name__)

SHORTEST = 16
"""The least length of a key, in characters."""


def local_key(file: Path) -> str:
    """The key that stands for `root` to those who may read the file; created at the first start.

    A file that is too short or not text has no key, least of all an empty file, which anybody could guess: it is
    replaced.
    """
    try:
        found = durable.content(file).strip()
    except FileNotFoundError:
        return _made(file)
    if len(found) >= SHORTEST and found.isascii() and found.decode("ascii").isprintable():
        return found.decode("ascii")
    log.warning("%s holds no key of %d characters or more: making a new one", file, SHORTEST)
    return _made(file)


def _made(file: Path) -> str:
    key = secrets.token_urlsafe(32)
    durable.write(file, f"{key}\n".encode())
    return key
