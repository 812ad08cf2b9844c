"""An installation of an older version: its sessions go on, and root gets the permissions that came since."""

from __future__ import annotations

from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic import command
from alembic.config import Config

from tests.api.world import world
from velocity.access.sessions import key_hash
from velocity.contract.permissions import Permission
from velocity.store import database as store
from velocity.store.database import Database

pytestmark = pytest.mark.anyio

FIRST_PERMISSIONS = 22
"""Those of the contract, which every version had."""
FAR = 4_000_000_000


async def make(url: str) -> None:
    """As the version with schema 0005 left it: root with what there was, and two sessions."""
    database = Database(url)

    def work(connection: sa.Connection) -> None:
        config = Config()
        config.set_main_option("script_location", str(Path(store.__file__).parent / "migrations"))
        config.set_main_option("path_separator", "os")
        config.attributes["connection"] = connection
        command.upgrade(config, "0005")
        connection.exec_driver_sql("insert into groups (gid, parent_gid, name) values (0, 0, 'root')")
        connection.exec_driver_sql("insert into users (uid, name, password) values (0, 'root', 'x'), (1, 'bob', 'x')")
        grants = [{"pid": pid} for pid in range(1, FIRST_PERMISSIONS + 1)]
        connection.execute(sa.text("insert into grants (uid, gid, pid) values (0, 0, :pid)"), grants)
        for uid, key in ((0, "root's"), (1, "bob's")):
            statement = sa.text("insert into authkeys (hash, uid, expires) values (:hash, :uid, :expires)")
            connection.execute(statement, {"hash": key_hash(key), "uid": uid, "expires": FAR})

    database.read(work)
    await database.close()


async def test_an_older_installation(tmp_path: Path, database_url: str) -> None:
    await make(database_url)
    for turn in ("the first start with this version", "the next one"):
        database = Database(database_url)
        database.open()
        kept = database.read(lambda connection: connection.exec_driver_sql("select uid, gid, pid from grants").all())
        await database.close()
        assert len(kept) == (FIRST_PERMISSIONS if turn.startswith("the first") else len(Permission))
        async with world(tmp_path / "data", signs_in=False, database=database_url) as w:
            shown = await w.ok("POST", "/u/user", "root's")
            assert [one["pid"] for one in shown["memberships"][0]["permissions"]] == [one.pid for one in Permission]
            assert (await w.ok("POST", "/u/user", "bob's"))["memberships"] == []
            (listed,) = (await w.ok("POST", "/u/session/list", "root's"))["sessions"]
            assert (listed["expires"], listed["address"], listed["agent"], listed["current"]) == (FAR, "", "", True)
            assert len(listed["sid"]) == 16
            assert (await w.ok("PUT", "/u/group", "root's", name=turn, parent_gid=0)).status == 200
