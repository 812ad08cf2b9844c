"""What the tests of the driver share."""

from __future__ import annotations

import contextlib
import os
import resource
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from tests.ports.subjects import QemuSubject


@pytest.fixture
async def qemu(tmp_path: Path, runtime: Path, anyio_backend: str) -> AsyncIterator[QemuSubject]:
    made = QemuSubject(tmp_path, runtime)
    await made.open()
    yield made
    await made.close()


@contextlib.contextmanager
def descriptors(left: int) -> Iterator[None]:
    """This process may open so many more."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    highest = max(int(entry.name) for entry in Path("/proc/self/fd").iterdir())
    fillers = [os.open("/dev/null", os.O_RDONLY)]
    while fillers[-1] < highest:
        fillers.append(os.open("/dev/null", os.O_RDONLY))
    resource.setrlimit(resource.RLIMIT_NOFILE, (fillers[-1] + 1 + left, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        for filler in fillers:
            os.close(filler)
