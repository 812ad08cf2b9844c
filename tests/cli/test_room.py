"""The server looks for room for all its threads before it begins."""

from __future__ import annotations

import pytest

from velocity.cli.process import work_threads


def test_the_threads_of_pools_are_counted_at_the_start() -> None:
    work_threads(of_pools=0).shutdown()
    with pytest.raises(MemoryError):
        work_threads(of_pools=1 << 30)
