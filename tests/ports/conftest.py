"""The suite's subjects."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.one_loop import anyio_backend as anyio_backend
from tests.one_loop import one_loop as one_loop
from tests.ports.pairs import Pair, opened
from tests.ports.subjects import FakeSubject, QemuSubject, RemoteSubject, Subject
from velocity.hypervisor.port import Hypervisor


@pytest.fixture(params=["fake", "remote", pytest.param("qemu", marks=pytest.mark.guest)])
async def subject(
    request: pytest.FixtureRequest, tmp_path: Path, runtime: Path, anyio_backend: str
) -> AsyncIterator[Subject]:
    if request.param == "qemu":
        qemu = QemuSubject(tmp_path, runtime)
        await qemu.open()
        yield qemu
        await qemu.close()
        return
    fake = RemoteSubject(tmp_path) if request.param == "remote" else FakeSubject()
    await fake.open()
    yield fake
    await fake.close()


@pytest.fixture(params=["fake", "remote", pytest.param("qemu", marks=pytest.mark.guest)])
async def pair(
    request: pytest.FixtureRequest, tmp_path: Path, runtime: Path, anyio_backend: str
) -> AsyncIterator[Pair]:
    async with opened(request.param, tmp_path, runtime) as hosts:
        yield hosts


@pytest.fixture
def hypervisor(subject: Subject) -> Hypervisor:
    return subject.hypervisor
