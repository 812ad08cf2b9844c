"""Routes 57 to 59: who may have hosts join, what is told of them, and what keeps one."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from tests.api.host_changes import joined_node, joining_node
from tests.api.world import World, world
from tests.events.page import is_changed, opened
from velocity.events.limits import StreamLimits
from velocity.store.tables import machines

pytestmark = pytest.mark.anyio
QUICK: Any = {"pace": {}, "wake": 0.0, "own": 100}


@pytest.fixture
async def w(tmp_path: Path, anyio_backend: str) -> AsyncIterator[World]:
    async with world(tmp_path / "data", limits=StreamLimits(**QUICK)) as made:
        yield made


@pytest.mark.holds("MANY-45")
async def test_only_who_holds_it_on_the_root_group_changes_hosts(w: World) -> None:
    gid = await w.group("team")
    tenant = await w.user("tenant", (gid, "node.manage"), (gid, "host.view"))
    admin = await w.user("admin", (0, "node.manage"))
    changes: dict[tuple[str, str], tuple[dict[str, Any], int]] = {
        ("PUT", "/h/node/token"): ({}, 58200),
        ("PATCH", "/h/node"): ({"host": 1, "duty": "draining"}, 57400),
        ("DELETE", "/h/node"): ({"host": 1}, 57300),
    }
    for (method, path), (body, code) in changes.items():
        assert await w.refused(method, path, tenant, **body) == (403, code)
    assert [one["own"] for one in (await w.ok("POST", "/h/node/list", tenant))["nodes"]] == [True]
    assert await w.refused("POST", "/h/node/list", admin) == (403, 57100)
    assert (await w.ok("PATCH", "/h/node", admin, host=1, duty="draining"))["duty"] == "draining"
    assert (await w.ok("PUT", "/h/node/token", admin))["token"].startswith("vnt1.")


@pytest.mark.holds("MANY-46")
async def test_guesses_at_tokens_are_counted_and_nothing_of_one_is_written_down(w: World) -> None:
    sent = await joining_node(w, "b")
    wrong = sent | {"proof": "0" * 64}
    assert (await w.call("PUT", "/h/node/join", "", **wrong)).code == 59200
    assert (await w.call("PUT", "/h/node/join", "", **sent)).status == 200
    for _ in range(60):
        last = await w.call("PUT", "/h/node/join", "", **wrong)
    assert last.status == 429
    await w.written()
    entries = (await w.ok("POST", "/t/history"))["entries"]
    assert ("join_node", "name=b", 200) in [(one["operation"], one["target"], one["status"]) for one in entries]
    assert not any(sent[field] in str(entries) for field in ("token", "proof", "request"))


@pytest.mark.holds("MANY-233")
async def test_a_host_that_was_never_heard_has_nothing_to_prove(w: World) -> None:
    shown = await w.ok("POST", "/h/node", host=await joined_node(w, "b"))
    assert shown["state"] == "joining"
    assert "missing" not in shown.body


@pytest.mark.holds("MANY-47")
async def test_a_host_stays_as_long_as_vms_belong_to_it(w: World) -> None:
    host, vmid = await joined_node(w, "b"), await w.vm()
    await w.server.database.write(
        lambda connection: connection.execute(sa.update(machines).values(host_id=host)) and None
    )
    refused = await w.call("DELETE", "/h/node", host=host)
    assert (refused.status, refused.code) == (409, 57320)
    assert "1 VM is on b" in refused["message"]
    assert (await w.ok("POST", "/h/node", host=host))["vms"] == 1
    await w.server.database.write(lambda connection: connection.execute(sa.update(machines).values(host_id=1)) and None)
    await w.ok("DELETE", "/h/node", host=host)
    assert await w.refused("POST", "/h/node", host=host) == (404, 57110)
    assert await w.refused("DELETE", "/h/node", host=1) == (406, 57321)
    assert (await w.ok("POST", "/v/vm", vmid=vmid))["name"] == "vm"


@pytest.mark.holds("MANY-48")
async def test_a_change_of_a_host_is_told_to_who_may_see_hosts(w: World) -> None:
    viewer = await w.user("viewer", (0, "host.view"))
    stream, page = await opened(w, viewer)
    host = await joined_node(w, "b")
    await page.until(stream, is_changed("host"))
    for change in ({"duty": "maintenance"}, {"labels": {"rack": "a"}}):
        await w.ok("PATCH", "/h/node", host=host, **change)
        await page.until(stream, is_changed("host"))
    shown = await w.ok("POST", "/h/node", viewer, host=host)
    assert (shown["name"], shown["state"], shown["duty"], shown["labels"]) == (
        "b", "joining", "maintenance", {"rack": "a"},
    )  # fmt: skip
    assert await w.refused("PATCH", "/h/node", host=host, duty="idle") == (400, 400)
    assert await w.refused("PATCH", "/h/node", host=host, address="nowhere") == (400, 400)
    assert await w.refused("PATCH", "/h/node", host=1, address="a.example:8091") == (406, 57421)
