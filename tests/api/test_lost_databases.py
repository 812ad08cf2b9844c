"""A database that is empty where an installation was is a lost one: nothing is begun, and nothing removed."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from tests.api.world import world
from tests.postgres import Postgres
from velocity import app
from velocity.config import PoolSetting

pytestmark = pytest.mark.anyio


def everything(path: Path) -> dict[str, bytes]:
    """All files and what is in them, but for the server's own lock."""
    found = [file for file in path.rglob("*") if file.is_file() and file.suffix != ".lock"]
    return {f"{file.relative_to(path)}": file.read_bytes() for file in found}


def lose(file: Path, how: str) -> None:
    for one in file.parent.glob(f"{file.name}*"):
        one.unlink()
    if how == "0 bytes":
        file.touch()
    elif how == "no Velocity tables":
        with closing(sqlite3.connect(file)) as connection:
            connection.execute("create table other (x)")


@pytest.mark.holds("DUR-37")
@pytest.mark.parametrize("how", ["is missing", "0 bytes", "no Velocity tables"])
async def test_a_lost_database_is_no_new_installation(tmp_path: Path, how: str) -> None:
    data, pool = tmp_path / "data", tmp_path / "pool"
    pools = [PoolSetting(mpid=1, name="p", path=pool)]
    async with world(data, pools=pools) as w:
        await w.medium("kept")
        await w.ok("DELETE", "/m/media", mid=await w.medium("discarded"))
    lose(data / "velocity.db", how)
    before = everything(tmp_path)
    for _ in range(2):
        with pytest.raises(app.CannotStart) as refused:
            async with world(data, pools=pools):
                pass
        for word in (str(data / "velocity.db"), how, str(data / "root.key"), "velocity db import", "start over"):
            assert word in str(refused.value)
        assert everything(tmp_path) == before
    (data / "velocity.db").unlink(missing_ok=True)
    for name in ("root.key", "machines", "pools"):
        if (data / name).exists():
            (data / name).rename(tmp_path / f"{name} of before")
    async with world(data, pools=pools) as w:
        assert (await w.ok("POST", "/m/pool/list", gid=0))["pools"][0]["state"] == "away"
    assert {name for name in before if name.startswith("pool/")} <= set(everything(tmp_path)), "begun anew, on purpose"


async def test_nor_is_an_empty_database_of_postgresql(tmp_path: Path, postgres: Postgres) -> None:
    data = tmp_path / "data"
    async with world(data, database=postgres.database()) as w:
        await w.ok("DELETE", "/m/media", mid=await w.medium("discarded"))
        files = w.files()
    with pytest.raises(app.CannotStart, match=r"has no Velocity tables.*velocity db import"):
        async with world(data, database=postgres.database()):
            pass
    assert [f".trash/{one.name}" for one in (data / "media" / ".trash").iterdir()] == files


@pytest.mark.holds("DUR-38")
async def test_a_first_start_removes_nothing_of_what_was_there(tmp_path: Path) -> None:
    """A pool's directory that is there already, with content of its own."""
    pool = tmp_path / "pool"
    own = [pool / "a file", pool / ".trash" / "4f6c1a52-0000-4000-8000-000000000000.raw", pool / ".moving" / "another"]
    for file in own:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("content")
    for _ in range(2):
        async with world(tmp_path / "data", pools=[PoolSetting(mpid=1, name="p", path=pool)]) as w:
            assert (await w.ok("POST", "/m/pool/list", gid=0))["pools"][0]["state"] == "away"
            assert [file.read_text() for file in own] == ["content"] * 3
    for file in own[1:]:
        file.rename(tmp_path / file.name)
    async with world(tmp_path / "data", pools=[PoolSetting(mpid=1, name="p", path=pool)]) as w:
        await w.medium()
        assert own[0].read_text() == "content"
