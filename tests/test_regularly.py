"""What the server does again and again goes on after an error that nobody foresaw."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from tests.patience import eventually
from velocity.hypervisor.qemu import nic_filters, resolver
from velocity.hypervisor.qemu.inotify import Follower
from velocity.hypervisor.qemu.run_note import Run
from velocity.regularly import regularly

pytestmark = pytest.mark.anyio


class Fails:
    """The first time, as where a host has no thread left; not the second."""

    def __init__(self) -> None:
        self.times = 0

    def __call__(self, *_: object) -> None:
        self.times += 1
        if self.times == 1:
            raise RuntimeError("can't start new thread")

    async def later(self) -> None:
        self()


def filters(fails: Fails, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Coroutine[Any, Any, None]:
    monkeypatch.setattr(nic_filters, "LOOK", 0.001)
    monkeypatch.setattr(nic_filters, "look", fails)
    return nic_filters.keep(lambda: [Run(machine=uuid4(), epoch=1, boot="")], None)


def resolvers(fails: Fails, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Coroutine[Any, Any, None]:
    monkeypatch.setattr(resolver, "copy", fails)
    return resolver.follow(tmp_path, every=0.001)


def anything(fails: Fails, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Coroutine[Any, Any, None]:
    return regularly("something", 0.001, fails.later)


@pytest.mark.holds("STATE-24")
@pytest.mark.parametrize("work", [anything, filters, resolvers])
async def test_what_is_done_again_and_again_goes_on_after_an_error_that_nobody_foresaw(
    work: Callable[..., Coroutine[Any, Any, None]], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    fails = Fails()
    task = asyncio.create_task(work(fails, monkeypatch, tmp_path))
    await eventually(lambda: fails.times > 1)
    task.cancel()
    await asyncio.wait({task})


@pytest.mark.holds("STATE-24")
async def test_what_a_guest_says_is_stored_after_an_error_that_nobody_foresaw() -> None:
    fails = Fails()
    follower = Follower("something", fails.later, retry=0.001)
    follower.wake()
    await eventually(lambda: fails.times > 1)
    await follower.close()
