from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.api.world import World, world


@pytest.fixture
async def w(tmp_path: Path, anyio_backend: str) -> AsyncIterator[World]:
    async with world(tmp_path / "data") as made:
        yield made
