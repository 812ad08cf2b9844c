"""How deep the tree of groups may be, and trees of older versions that are deeper."""

from __future__ import annotations

from pathlib import Path

import pytest
import sqlalchemy as sa

from tests.api.world import World, world
from velocity.store.database import Database

pytestmark = pytest.mark.anyio

DEEPEST = 32
OLD = 40


@pytest.mark.holds("BOUND-5")
async def test_groups_are_at_most_so_deep(w: World) -> None:
    gid = 0
    for depth in range(1, DEEPEST + 1):
        gid = await w.group(f"at {depth}", gid)
    answer = await w.call("PUT", "/u/group", name="too deep", parent_gid=gid)
    assert (answer.status, answer.code, answer["field"]) == (406, 5221, "parent_gid")
    assert "32 levels deep (group_depth)" in answer["message"]
    assert "'at 32'" in answer["message"]
    assert await w.refused("PUT", "/u/group", name="too deep", parent_gid=gid) == (406, 5221)
    assert await w.refused("PUT", "/u/group", name="too deep", parent_gid=gid + 1) == (404, 5210)
    await w.group("beside", gid - 1)


@pytest.mark.holds("BOUND-5")
async def test_deeper_trees_of_older_versions_go_on(tmp_path: Path) -> None:
    """All but new groups in them: they are listed, changed, deleted, and restored as they were."""
    async with world(tmp_path / "data"):
        pass
    database = Database(f"sqlite:///{tmp_path}/data/velocity.db")
    rows = [{"gid": gid, "up": gid - 1, "name": f"n{gid}"} for gid in range(1, OLD + 1)]
    statement = sa.text("insert into groups (gid, parent_gid, name) values (:gid, :up, :name)")
    database.read(lambda connection: connection.execute(statement, rows) and None)
    await database.close()
    async with world(tmp_path / "data") as w:
        assert len((await w.ok("POST", "/u/group/list"))["groups"]) == OLD + 1
        assert await w.refused("PUT", "/u/group", name="new", parent_gid=OLD) == (406, 5221)
        await w.ok("PUT", "/u/group/quota", gid=OLD, vms=2)
        await w.user("bob", (OLD, "vm.view"), home=OLD)
        vmid = await w.vm("vm", OLD)
        await w.ok("DELETE", "/u/group", gid=OLD - 5)
        (item,) = (await w.ok("POST", "/t/trash/list"))["items"]
        await w.ok("PUT", "/t/trash", trid=item["trid"])
        assert (await w.ok("POST", "/v/vm", vmid=vmid))["name"] == "vm"
        assert len((await w.ok("POST", "/u/group/list"))["groups"]) == OLD + 1
