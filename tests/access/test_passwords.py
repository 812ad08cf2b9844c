"""Passwords: verified in threads, a bounded queue, the same work for a name that does not exist."""

from __future__ import annotations

import asyncio
from typing import Literal

import pytest
from argon2 import PasswordHasher

from velocity.access.passwords import QUEUE, Passwords
from velocity.contract.problems import Problem, Refused

pytestmark = pytest.mark.anyio


class Counting(PasswordHasher):
    """Counts verifications; everything else is the library's."""

    def __init__(self) -> None:
        super().__init__(time_cost=1, memory_cost=8, parallelism=1)
        self.verified = 0

    def verify(self, hash: str | bytes, password: str | bytes) -> Literal[True]:
        self.verified += 1
        return super().verify(hash, password)


async def test_right_wrong_and_nobody_cost_one_verification_each() -> None:
    hasher = Counting()
    passwords = Passwords(hasher)
    hashed = await passwords.hash("secret 123")
    assert hashed.startswith("$argon2id$")
    assert await passwords.verify(hashed, "secret 123")
    assert not await passwords.verify(hashed, "secret 124")
    assert not await passwords.verify(None, "secret 123")
    assert not await passwords.verify("damaged", "secret 123")
    assert hasher.verified == 4


@pytest.mark.holds("BOUND-13")
async def test_too_many_at_once_are_told_to_come_back() -> None:
    passwords = Passwords(Counting())
    hashed = await passwords.hash("secret 123")
    crowd = [asyncio.ensure_future(passwords.verify(hashed, "x")) for _ in range(QUEUE)]
    await asyncio.sleep(0)
    with pytest.raises(Refused) as refused:
        await passwords.verify(hashed, "x")
    assert refused.value.problem is Problem.TOO_MANY_ATTEMPTS
    await asyncio.gather(*crowd)
