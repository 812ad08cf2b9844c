"""The keeper that tests ask."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.machines.keeping import Keeping, keeping
from velocity.hypervisor.fake import FakeHypervisor


@pytest.fixture
async def k(anyio_backend: str) -> AsyncIterator[Keeping]:
    async with keeping(FakeHypervisor()) as k:
        yield k
