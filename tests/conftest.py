"""What all tests share."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from velocity.cli.demo.guest import Guest, build


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="session")
def guest() -> Guest:
    """The demo guest, built once and kept between runs."""
    caches = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return build(caches / "velocity-tests")
