"""The link of the first sign-in: it opens one session of `root`, within a day. Only its hash is kept, in memory."""

from __future__ import annotations

import hashlib
import hmac
import secrets
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from velocity.contract.problems import Problem, Refused

LIFETIME = 24 * 3600.0
"""Seconds for which the link can be used."""


class FirstSignInLink:
    """At most one link at a time."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.clock = clock
        self._hash: bytes | None = None
        self._until = 0.0

    def make(self) -> str:
        """Make a link; returns the secret in it."""
        word = secrets.token_urlsafe(24)
        self._hash, self._until = _hash(word), self.clock() + LIFETIME
        return word

    def void(self) -> None:
        """Make the link invalid: the password was set."""
        self._hash = None

    @contextmanager
    def used(self, word: str) -> Iterator[None]:
        """Within, the link is being used; if that fails, it stays valid. Raises `Refused(WRONG_CREDENTIALS)`."""
        kept = self._hash
        if kept is None or self._until <= self.clock() or not hmac.compare_digest(kept, _hash(word)):
            raise Refused(
                Problem.WRONG_CREDENTIALS,
                "this link is wrong, was already used, or is older than a day: sign in with name and password",
            )
        self.void()
        try:
            yield
        except BaseException:
            self._hash = kept
            raise


def _hash(word: str) -> bytes:
    return hashlib.sha256(word.encode("utf-8", "surrogateescape")).digest()
