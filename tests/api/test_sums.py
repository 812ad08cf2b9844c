"""Sizes whose sum no number of a database holds."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.api.world import world
from velocity.config import PoolSetting
from velocity.sizes import LARGEST
from velocity.storage.fake import connect
from velocity.storage.fake.pools import FakeHost

pytestmark = pytest.mark.anyio


@pytest.mark.holds("DUR-90")
async def test_media_declare_no_more_than_a_number_holds_and_are_deleted_and_restored_together(tmp_path: Path) -> None:
    data, host = tmp_path / "data", FakeHost((1, "good"), (2, "usb"))
    pools = [PoolSetting(mpid=one.mpid, name=one.name, path=data / one.name) for one in host.pools.values()]
    async with world(data, storage=lambda _: connect(host), pools=pools) as w:
        gid = await w.group("team")
        for mpid in (1, 2):
            await w.ok("PUT", "/m/pool/assign", gid=gid, mpid=mpid, write=True, manage=True, quota=0)
            for name in ("one", "two"):
                await w.medium(name, gid=gid, mpid=mpid, size=2**62 - 1)
            more = {"gid": gid, "mpid": mpid, "name": "three", "type": "DISK", "size": 2}
            assert await w.refused("PUT", "/m/media/create", **more) == (406, 8221)
        used = [one["used"] for one in (await w.ok("POST", "/m/pool/list", gid=0))["pools"]]
        assert used == [LARGEST - 1, LARGEST - 1]
        await w.ok("DELETE", "/u/group", gid=gid)
        (item,) = (await w.ok("POST", "/t/trash/list"))["items"]
        assert item["size"] == LARGEST
        await w.ok("PUT", "/t/trash", trid=item["trid"])
        assert [one["used"] for one in (await w.ok("POST", "/m/pool/list", gid=0))["pools"]] == used
