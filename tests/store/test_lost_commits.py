"""A commit whose answer is lost is found out: memory and database never differ, and nobody is told what is not so."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
import sqlalchemy as sa

from tests.api.world import World, world
from tests.patience import PATIENCE, asked_until, eventually
from tests.store.lossy import Lossy
from velocity.contract.problems import Problem, Refused
from velocity.storage.directory.places import MARK
from velocity.store.database import Database
from velocity.store.tables import instance

pytestmark = pytest.mark.anyio


@pytest.fixture
async def database(database_url: str, anyio_backend: str) -> AsyncIterator[Database]:
    made = Database(database_url)
    made.open()
    yield made
    await made.close()


def names(database: Database) -> set[str]:
    return database.read(lambda connection: set(connection.scalars(sa.select(instance.c.name))))


async def write(database: Database, name: str) -> str:
    def work(connection: sa.Connection) -> str:
        connection.execute(sa.insert(instance).values(name=name, value="x"))
        return name

    return await database.write(work)


async def groups(w: World) -> set[str]:
    return {one["name"] for one in (await w.ok("POST", "/u/group/list"))["groups"]}


async def keyed(w: World, name: str) -> httpx.Response:
    headers = {"authorization": f"Bearer {w.key}", "idempotency-key": name}
    body = json.dumps({"name": name, "parent_gid": 0})
    return await w.http.put("http://velocity/u/group", content=body, headers=headers)


@pytest.mark.holds("DUR-29")
@pytest.mark.parametrize("outcome", ["made", "undone"])
async def test_a_lost_commit_is_told_as_it_was(
    database: Database, outcome: str, caplog: pytest.LogCaptureFixture
) -> None:
    lossy = Lossy(database)
    await write(database, "before")
    lossy.lose(outcome)
    if outcome == "made":
        assert await write(database, "lost") == "lost"
    else:
        with pytest.raises(Refused) as refused:
            await write(database, "lost")
        assert refused.value.problem is Problem.UNAVAILABLE
    await write(database, "after")
    assert names(database) == {"before", "after"} | ({"lost"} if outcome == "made" else set())
    assert "the answer to a commit was lost: disk I/O error" in caplog.messages, "on one line, without a statement"


@pytest.mark.holds("DUR-30")
@pytest.mark.parametrize("outcome", ["made", "undone"])
async def test_memory_is_what_the_database_holds_after_a_lost_commit(
    tmp_path: Path, database_url: str, outcome: str
) -> None:
    async with world(tmp_path / "data", database=database_url) as w:
        await w.written()
        Lossy(w.server.database).lose(outcome)
        answer = await w.call("PUT", "/u/group", name="lost", parent_gid=0)
        assert answer.status == (200 if outcome == "made" else 503)
        shown = await groups(w)
        assert ("lost" in shown) is (outcome == "made")
    async with world(tmp_path / "data", database=database_url) as w:
        assert await groups(w) == shown


@pytest.mark.holds("DUR-31")
@pytest.mark.parametrize("outcome", ["made", "undone"])
async def test_an_outcome_that_stays_unknown_is_told_so_and_shown_when_it_is_found_out(
    tmp_path: Path, database_url: str, outcome: str
) -> None:
    async with world(tmp_path / "data", database=database_url) as w:
        w.server.database.outcome.patience = 0.2
        await w.written()
        lossy = Lossy(w.server.database)
        lossy.lose(f"{outcome}, then silent")
        answer = await keyed(w, "lost")
        assert (answer.status_code, answer.json()["code"], answer.json()["outcome"]) == (503, 503, "unknown")
        assert "lost" not in await groups(w), "reads go on"
        later = await w.call("PUT", "/u/user", name="bob", password="correct horse")
        assert (later.status, "outcome" in later.body) == (503, False), "nothing of it was begun"
        lossy.silent = False

        async def is_known() -> bool:
            return (await w.call("PUT", "/u/group", name="after", parent_gid=0)).status == 200

        await asked_until(is_known)
        assert ("lost" in await groups(w)) is (outcome == "made")
        again = await keyed(w, "lost")
        assert again.status_code == 200, "the same key tells the truth"
        assert ("idempotent-replayed" in again.headers) is (outcome == "made")
        assert [one["name"] for one in (await w.ok("POST", "/u/user/list"))["users"]] == ["root"]


@pytest.mark.holds("DUR-32")
async def test_an_upload_whose_outcome_is_unknown_at_the_end_is_there_if_it_was_committed(tmp_path: Path) -> None:
    data = tmp_path / "data"
    async with world(data) as w:
        w.server.database.outcome.patience = 0.1
        await w.written()
        Lossy(w.server.database).lose("made, then silent")
        answer = await w.upload(b"x" * 4096)
        assert (answer.status, answer.body["outcome"]) == (503, "unknown")
    async with world(data) as w:
        (medium,) = (await w.ok("POST", "/m/media/list", gid=0))["media"]
        assert w.files() == [f"{medium['mid']}.raw"]
        assert (data / "media" / MARK).exists()


async def test_the_end_does_not_wait_for_an_outcome_that_stays_unknown(
    database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    lossy = Lossy(database)
    lossy.lose("made, then silent")
    writing = asyncio.ensure_future(write(database, "lost"))
    with caplog.at_level(logging.WARNING):
        async with asyncio.timeout(PATIENCE):
            await eventually(lambda: lossy.silent)
            await database.close()
    with pytest.raises(Exception, match="not known yet whether the change was made"):
        await writing
