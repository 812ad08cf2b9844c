"""Passwords: verified in threads, a bounded queue, the same work for a name that does not exist."""

from __future__ import annotations

import asyncio
import os
import threading
from typing import Literal

import pytest
from argon2 import PasswordHasher

from tests.patience import eventually
from velocity.access.passwords import OWN, QUEUE, Passwords
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
    hashed = await passwords.hash("secret 123", 0)
    assert hashed.startswith("$argon2id$")
    assert await passwords.verify(hashed, "secret 123", "a")
    assert not await passwords.verify(hashed, "secret 124", "a")
    assert not await passwords.verify(None, "secret 123", "a")
    assert not await passwords.verify("damaged", "secret 123", "a")
    assert hasher.verified == 4


@pytest.mark.holds("BOUND-13")
async def test_too_many_at_once_are_told_to_come_back() -> None:
    passwords = Passwords(Counting())
    hashed = await passwords.hash("secret 123", 0)
    crowd = [asyncio.ensure_future(passwords.verify(hashed, "x", number)) for number in range(QUEUE)]
    await asyncio.sleep(0)
    with pytest.raises(Refused) as refused:
        await passwords.verify(hashed, "x", "another")
    assert refused.value.problem is Problem.TOO_MANY_ATTEMPTS
    await asyncio.gather(*crowd)


class Held(PasswordHasher):
    """Each verification says whose it is, by its password, and goes on when the test releases one."""

    def __init__(self) -> None:
        super().__init__(time_cost=1, memory_cost=8, parallelism=1)
        self.begun: list[str | bytes] = []
        self.released = threading.Semaphore(0)

    def verify(self, hash: str | bytes, password: str | bytes) -> Literal[True]:
        self.begun.append(password)
        assert self.released.acquire(timeout=60)
        return super().verify(hash, password)


@pytest.mark.holds("BOUND-21")
async def test_one_address_takes_neither_the_queue_nor_the_cores_from_others() -> None:
    hasher, cores = Held(), os.cpu_count() or 1
    passwords = Passwords(hasher)
    hashed = await passwords.hash("secret 123", 0)
    crowd = [asyncio.ensure_future(passwords.verify(hashed, "greedy", "greedy")) for _ in range(OWN)]
    await eventually(lambda: len(hasher.begun) == min(cores, OWN))
    with pytest.raises(Refused, match=f"{OWN} sign-ins from your address"):
        await passwords.verify(hashed, "greedy", "greedy")
    other = asyncio.ensure_future(passwords.verify(hashed, "other", "other"))
    await asyncio.sleep(0)
    hasher.released.release(2)
    await eventually(lambda: len(hasher.begun) == min(cores + 2, OWN + 1))
    assert "other" in hasher.begun, "of two that wait each has a turn"
    hasher.released.release(OWN)
    await asyncio.gather(*crowd, other)
    assert not await passwords.verify(hashed, "greedy", "greedy")
