"""The server looks for room for all its threads before it begins."""

from __future__ import annotations

import pytest

from velocity.cli import serve


def test_the_threads_of_pools_are_counted_at_the_start() -> None:
    serve._threads(of_pools=0).shutdown()
    with pytest.raises(MemoryError):
        serve._threads(of_pools=1 << 30)
