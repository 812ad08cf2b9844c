"""What is told of a change of a VM that runs, before it is tried."""

from __future__ import annotations

import pytest

from velocity.machines.forecast import COLD, LIVE
from velocity.machines.rules import PINNED, WAITING


@pytest.mark.holds("GUEST-93", "GUEST-93")
def test_whatever_may_wait_changes_at_once_or_says_why_it_does_not() -> None:
    assert {*WAITING, *PINNED} == COLD.keys() | LIVE.keys()
