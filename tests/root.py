"""What only root may do: tests of it are skipped for others, with the reason."""

from __future__ import annotations

import os

import pytest


def as_root(what: str) -> pytest.MarkDecorator:
    """A mark for tests that do `what`."""
    return pytest.mark.skipif(os.geteuid() != 0, reason=_reason(what))


def only_root(what: str) -> None:
    """Skips the test that asks for this, for fixtures."""
    if os.geteuid() != 0:
        pytest.skip(_reason(what))


def _reason(what: str) -> str:
    return f"needs root, for {what}"
