"""Changes of one host that are asked for at the same time: what was acknowledged is there, of each of them."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from tests.hosts.together import Other, together

pytestmark = pytest.mark.anyio

CHANGES: list[dict[str, Any]] = [{"labels": {"disk": "fast"}}, {"duty": "maintenance"}, {"name": "b1"}]


@pytest.mark.holds("MANY-240")
async def test_changes_of_one_host_at_the_same_time_are_all_kept(tmp_path: Path) -> None:
    b = Other(2, "b")
    async with together(tmp_path / "data", b) as w:
        await asyncio.gather(*(w.ok("PATCH", "/h/node", host=2, **one) for one in CHANGES))
    async with together(tmp_path / "data", b) as w:
        shown = await w.ok("POST", "/h/node", host=2)
        for one in CHANGES:
            assert {name: shown[name] for name in one} == one
