"""What tests with servers that are killed share."""

from __future__ import annotations

import gc
import warnings
from collections.abc import Iterator

import pytest


@pytest.fixture(autouse=True)
def unasked() -> Iterator[None]:
    """What a killed server was about to ask is collected here, where it is no error, and not in a later test."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "coroutine 'Asked", RuntimeWarning)
        yield
        gc.collect()
