"""A whole installation goes through a file into another database, and back."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from tests.api.world import World, world
from tests.postgres import Postgres
from velocity.hypervisor.fake import FakeHypervisor
from velocity.store import transfer
from velocity.store.database import Database
from velocity.store.errors import DatabaseError
from velocity.store.transfer import TransferError

pytestmark = pytest.mark.anyio


async def everything(w: World, key: str) -> list[Any]:
    asked = [
        ("/u/user/list", {}), ("/u/group/list", {}), ("/u/group/quota", {"gid": 1}), ("/m/pool/list", {"gid": 1}),
        ("/m/media/list", {"gid": 1}), ("/v/vm/list", {"gid": 1}), ("/v/vm", {"vmid": 1}), ("/u/user", {"uid": 1}),
    ]  # fmt: skip
    answers = [(await w.ok("POST", path, **body)).body for path, body in asked]
    for pool in answers[3]["pools"]:
        del pool["free"]
    return [*answers, (await w.ok("POST", "/u/user", key)).body]


async def exported(url: str) -> list[bytes]:
    database = Database(url)
    try:
        return transfer.export(database)
    finally:
        await database.close()


async def move(source: str, target: str) -> int:
    lines = await exported(source)
    database = Database(target)
    database.open()
    count = transfer.load(database, lines)
    assert transfer.export(database) == lines, "nothing is lost or changed on the way"
    await database.close()
    return count


@pytest.mark.holds("DUR-22")
async def test_sqlite_to_postgresql_and_back(tmp_path: Path, postgres: Postgres) -> None:
    fake = FakeHypervisor()
    data = tmp_path / "data"
    async with world(data, fake) as w:
        gid = await w.group("Häuser, ../家")
        key = await w.user("bob", (gid, "vm.view"))
        await w.ok("PATCH", "/u/user", uid=1, gid=gid)
        await w.user("eve")
        await w.ok("DELETE", "/u/user", uid=2)
        await w.ok("PUT", "/u/group/quota", gid=gid, vms=5)
        await w.ok("PUT", "/m/pool/assign", gid=gid, mpid=1, manage=True, write=True)
        mid = await w.medium("disk", gid=gid)
        vmid = await w.vm("vm", gid, media=[{"mid": mid, "mode": "BLOCK"}])
        await w.ok("PUT", "/v/vm/state", vmid=vmid, state="RUNNING")
        before = await everything(w, key)
        assert before[-1]["home"] == gid
    url = postgres.database()
    assert await move(f"sqlite:///{data}/velocity.db", url) > 30
    async with world(data, fake, database=url) as w:
        assert await everything(w, key) == before, "the guest was adopted, and bob is still signed in"
        assert (await w.ok("POST", "/v/vm/state", vmid=vmid))["state"] == "RUNNING"
        await w.user("next")
        assert await w.uid("next") == 3, "ids go on"
        assert await w.group("next") == gid + 1
        await w.ok("PUT", "/v/vm/state", vmid=vmid, state="STOPPED", force=True)
    back = f"sqlite:///{tmp_path}/back.db"
    await move(url, back)
    async with world(data, fake, database=back) as w:
        assert await w.group("third") == gid + 2


async def test_only_a_whole_export_goes_into_an_empty_database(tmp_path: Path) -> None:
    async with world(tmp_path / "data"):
        pass
    lines = await exported(f"sqlite:///{tmp_path}/data/velocity.db")
    target = Database(f"sqlite:///{tmp_path}/target.db")
    target.open()
    for wrong in (lines[:-1], [*lines, lines[-2]], lines[:4] + lines[5:], [b"x"], [], [lines[0].replace(b"0", b"9")]):
        with pytest.raises(TransferError):
            transfer.load(target, wrong)
    for row in ('{"name": {}}', '{"name": "a\\u0000"}', '{"value": 1}', '{"size": 1}'):
        odd = b'{"table": "instance", "row": %s}' % row.encode()
        with pytest.raises(TransferError, match="table instance"):
            transfer.load(target, [lines[0], odd])
    for row in ('{"uid": 9223372036854775808}', '{"uid": 1.5}', '{"hash": "a"}', '{"hash": 1}', '{"expires": "1"}'):
        odd = b'{"table": "authkeys", "row": %s}' % row.encode()
        with pytest.raises(TransferError, match="of the table authkeys cannot have such a value"):
            transfer.load(target, [lines[0], odd])
    odd = b'{"table": "grants", "row": {"pid": 2147483648}}'  # which PostgreSQL has no room for
    with pytest.raises(TransferError, match="of the table grants cannot have such a value"):
        transfer.load(target, [lines[0], odd])
    transfer.load(target, lines)
    with pytest.raises(TransferError, match="not empty"):
        transfer.load(target, lines)
    await target.close()


async def test_two_servers_on_one_postgresql_database(tmp_path: Path, postgres: Postgres) -> None:
    from velocity import app

    url = postgres.database()
    async with world(tmp_path / "one", database=url):
        with pytest.raises(app.InUse, match="another Velocity server"):
            async with world(tmp_path / "two", database=url):
                pass
    with pytest.raises(app.CannotStart, match="not one of the hosts in the database"):
        async with world(tmp_path / "two", database=url):
            pass
    async with world(tmp_path / "one", database=url):
        pass


@pytest.mark.holds("DUR-22")
async def test_what_is_no_installation_of_this_version_is_not_exported(database_url: str) -> None:
    with pytest.raises(DatabaseError, match="holds no installation: correct the setting `database`"):
        await exported(database_url)
    database = Database(database_url)
    database.open()
    version = sa.text("update alembic_version set version_num = '0001'")
    database.read(lambda connection: connection.execute(version) and None)
    await database.close()
    with pytest.raises(DatabaseError, match=r"has the schema 0001, and this version of Velocity .*: export it with"):
        await exported(database_url)
