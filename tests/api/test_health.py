"""GET /health, for load balancers: who leads, who stands by, and who is not ready."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.api.asking import ask
from tests.api.world import world
from velocity.api.health import serving
from velocity.api.standby import standing_by

pytestmark = pytest.mark.anyio


@pytest.mark.holds("MANY-181")
async def test_who_leads_is_healthy_for_anybody(tmp_path: Path) -> None:
    async with world(tmp_path / "data", signs_in=False) as w:
        answer = await w.raw("GET", "/health/")
        assert (answer.status, answer.body) == (200, {"status": "leading", "error": False})
        assert (await w.http.head("http://velocity/health")).status_code == 200
        assert (await w.raw("POST", "/health")).status == 405
        w.server.services.outcome.is_lost()
        answer = await w.raw("GET", "/health")
        assert (answer.status, answer["status"], answer.code) == (503, "not ready", 503)
        w.server.services.outcome.is_found()
        assert (await w.raw("GET", "/health")).status == 200


@pytest.mark.holds("MANY-181")
async def test_who_leads_no_more_is_not_ready() -> None:
    told = serving(lambda: False, lambda: False)
    assert (await told(None)).status_code == 503  # type: ignore[arg-type]


@pytest.mark.holds("MANY-181")
@pytest.mark.parametrize("path", ["/health", "/health/"])
async def test_who_stands_by_says_so(path: str) -> None:
    status, said = await ask(standing_by(lambda: "b"), "GET", path, b"", {})
    told = json.loads(said)
    assert (status, told["status"], told["error"]) == (503, "standby", True)
    assert "leader" not in told, "who is not known is told no names"
