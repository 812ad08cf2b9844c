"""What tests of hosts share."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.hosts.installation import Installation
from tests.one_loop import anyio_backend as anyio_backend
from tests.one_loop import one_loop as one_loop


@pytest.fixture
async def here(tmp_path: Path, anyio_backend: str) -> AsyncIterator[Installation]:
    made = Installation(tmp_path)
    await made.open()
    yield made
    await made.close()
