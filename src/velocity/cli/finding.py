"""One result of `velocity doctor`."""

from __future__ import annotations

from msgspec import Struct


class Finding(Struct, frozen=True):
    """`verdict`: ok; limited (works, with restrictions); missing (guests cannot run)."""

    what: str
    verdict: str
    text: str
