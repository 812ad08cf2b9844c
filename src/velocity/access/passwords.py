"""Passwords: argon2id at the library's defaults, in threads, at most one verification per core at once.

RFC 9106; https://argon2-cffi.readthedocs.io
"""

from __future__ import annotations

import asyncio
import os
from collections import Counter
from collections.abc import Hashable

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerifyMismatchError

from velocity.contract.problems import Problem, Refused
from velocity.fair import FairGate

QUEUE, OWN = 64, 16
"""Sign-ins that may wait for a core, in total and from one address; more are refused."""


class Passwords:
    """Hashes and verifies passwords. Names that do not exist take the same time as wrong passwords."""

    def __init__(self, hasher: PasswordHasher | None = None) -> None:
        self._hasher = hasher or PasswordHasher()
        self._cores = FairGate(os.cpu_count() or 1)
        self._verifying: Counter[Hashable] = Counter()
        self._nobody: str | None = None

    async def hash(self, password: str, who: Hashable) -> str:
        """The password's PHC string. `who` shares the cores fairly with others."""
        async with self._cores.place(who):
            return await asyncio.to_thread(self._hasher.hash, password)

    async def verify(self, hashed: str | None, password: str, who: Hashable) -> bool:
        """Whether the password matches the hash; None stands for a user that does not exist.

        `who` is the client's address. Raises `Refused(TOO_MANY_ATTEMPTS)` if too many wait already.
        """
        if self._verifying[who] >= OWN:
            raise Refused(
                Problem.TOO_MANY_ATTEMPTS,
                f"{OWN} sign-ins from your address are under way, as many as one address may have: try again in a few "
                "seconds",
            )
        if self._verifying.total() >= QUEUE:
            raise Refused(
                Problem.TOO_MANY_ATTEMPTS, "too many users are signing in at the same time: try again in a few seconds"
            )
        self._verifying[who] += 1
        try:
            async with self._cores.place(who):
                if self._nobody is None:
                    self._nobody = await asyncio.to_thread(self._hasher.hash, os.urandom(16).hex())
                return await asyncio.to_thread(self._matches, hashed or self._nobody, password) and hashed is not None
        finally:
            self._verifying[who] -= 1
            if not self._verifying[who]:
                del self._verifying[who]

    def _matches(self, hashed: str, password: str) -> bool:
        """Whether the password matches. Raises if memory or threads are lacking: that is no wrong password."""
        try:
            return self._hasher.verify(hashed, password)
        except (VerifyMismatchError, InvalidHashError):
            return False
