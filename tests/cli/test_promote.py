"""`velocity promote` says what it does and what it cannot know, asks, and refuses what would be wrong."""

from __future__ import annotations

import asyncio
import hashlib
import sqlite3
import time
from contextlib import closing
from pathlib import Path
from uuid import uuid4

import msgspec
import pytest
from click.testing import CliRunner, Result
from sqlalchemy import insert

from tests.api.world import migrated
from tests.host import hosting
from tests.journeys.server import free_port
from velocity.cli.main import velocity
from velocity.file_lock import FileLock
from velocity.hosts.members import CopyMark, CopyPiece
from velocity.installation import Displacement
from velocity.node import identity, places
from velocity.node.copies import KeptCopies
from velocity.node.identity import NodeIdentity
from velocity.promotion import ERA
from velocity.store.database import Database
from velocity.store.tables import hosts


class PromotableNode:
    """The data directory of a node that has stopped."""

    def __init__(self, data: Path, controller: str = "http://127.0.0.1:1") -> None:
        self.data = data
        data.mkdir(mode=0o700)
        self.own = NodeIdentity(
            uuid=uuid4(), host=2, name="b", mpid=2, controllers=[controller], key="key", certificate="certificate",
            authority="authority", serial="1", begins=0, expires=2**33,
        )  # fmt: skip
        identity.write(data, self.own)

    def keep_copy(self, age: int = 90) -> None:
        draft = self.data.parent / "draft.db"
        draft.write_bytes(migrated())
        database = Database(f"sqlite:///{draft}")
        rows = [
            {"host_id": 1, "name": "a", "uuid": str(uuid4())},
            {"host_id": 2, "name": "b", "uuid": str(self.own.uuid)},
        ]
        database.read(lambda connection: connection.execute(insert(hosts), rows) and None)
        asyncio.run(database.close())
        data, at = draft.read_bytes(), int(time.time()) - age
        digest = hashlib.sha256(data).hexdigest()
        KeptCopies(places.copies(self.data)).take(CopyPiece(CopyMark(7, 1), at, len(data), digest, 0, data))

    def promote(self, *words: str, typed: str = "", **environment: str) -> Result:
        mine = {"VELOCITY_DATA_DIR": str(self.data), "COLUMNS": "200"}
        return CliRunner().invoke(velocity, ["promote", *words], input=typed, env=mine | environment)

    @property
    def promoted(self) -> bool:
        there, node = (self.data / "velocity.db").exists(), places.identity(self.data).exists()
        assert there is not node, "it is the one or the other"
        return there


@pytest.fixture
def node(tmp_path: Path) -> PromotableNode:
    return PromotableNode(tmp_path / "b")


@pytest.mark.holds("MANY-139")
def test_it_says_what_may_be_missing_and_what_it_cannot_know_and_asks(node: PromotableNode) -> None:
    said = node.promote("--yes")
    assert "keeps no copy of the database" in said.stderr
    node.keep_copy()
    said = node.promote(typed="n\n")
    assert said.exit_code == 1
    assert "nothing was changed" in said.stderr
    assert "(90 seconds ago)" in said.stderr or "(91 seconds ago)" in said.stderr
    assert "Changes made since then are lost" in said.stderr
    assert "this machine cannot know whether it is still running" in said.stderr
    assert not node.promoted
    said = node.promote(typed="y\n")
    assert said.exit_code == 0, said.stderr
    assert "this machine is now the server, as the host b" in said.stderr
    assert "systemctl disable --now velocity-node" in said.stdout
    assert "service install" in said.stdout
    assert said.stdout.count("\n") == 1 and "(" not in said.stdout, "it is pasted as it is"
    assert "in the foreground" in said.stderr
    assert node.promoted
    assert identity.machine_of(node.data) == node.own.uuid
    assert identity.former(node.data) == node.own
    file = node.data / "velocity.db"
    assert file.stat().st_mode & 0o777 == 0o600
    with closing(sqlite3.connect(file)) as connection:
        assert connection.execute("select term from leadership").fetchone() == (ERA,)
    assert not list(node.data.glob("*promoting*"))


@pytest.mark.holds("MANY-140")
def test_it_refuses_while_a_server_answers_or_the_node_runs(tmp_path: Path) -> None:
    with hosting(tmp_path / "a") as host:
        node = PromotableNode(tmp_path / "b", host.url)
        node.keep_copy()
        assert f"a server answers at {host.url}" in node.promote("--yes").stderr
        assert not node.promoted
        running = FileLock(node.data / "lock")
        running.take()
        assert "stop it first" in node.promote("--yes", "--force").stderr
        running.close()
        assert (
            "with PostgreSQL a second server stands by" in node.promote("--yes", VELOCITY_DATABASE="sqlite:///x").stderr
        )
        assert not node.promoted
        assert node.promote("--yes", "--force").exit_code == 0
    assert node.promoted


@pytest.mark.holds("MANY-141")
def test_what_a_crash_left_halfway_is_done_again_whole(node: PromotableNode) -> None:
    node.keep_copy()
    for name in ("velocity.db", "velocity.db-wal", "promoting.db", "promoting.db-wal"):
        (node.data / name).write_bytes(b"half")
    newest = KeptCopies(places.copies(node.data))
    file = newest.file(newest.all()[0])
    whole = file.read_bytes()
    file.write_bytes(b"x" * len(whole))
    assert "keeps no copy" in node.promote("--yes").stderr, "one that the disk has changed is none"
    file.write_bytes(whole)
    assert node.promote("--yes").exit_code == 0
    assert node.promoted
    with closing(sqlite3.connect(node.data / "velocity.db")) as connection:
        assert connection.execute("select name from hosts order by host_id").fetchall() == [("a",), ("b",)]


@pytest.mark.holds("MANY-135")
def test_a_server_that_has_given_way_does_not_start_and_joins_as_a_host(tmp_path: Path) -> None:
    former = tmp_path / "a"
    former.mkdir(mode=0o700)
    (former / "velocity.db").write_bytes(migrated())
    uuid = identity.ensure_machine(former)
    note = Displacement("a", "b", 1_800_000_000, ERA, str(uuid4()))
    (former / "displaced.json").write_bytes(msgspec.json.encode(note))
    mine = {"VELOCITY_DATA_DIR": str(former), "VELOCITY_LISTEN": f"127.0.0.1:{free_port()}", "COLUMNS": "200"}

    def run(*words: str, typed: str = "") -> Result:
        return CliRunner().invoke(velocity, words, input=typed, env=mine)

    refused = run("serve")
    assert (refused.exit_code, "b leads with a copy of this database" in refused.stderr) == (78, True)
    with hosting(tmp_path / "b") as host:
        word = host.ok("node", "token", "--url", host.url).strip()
        assert "add --former-server" in run("node", "join", "-", typed=word).stderr
        assert (former / "velocity.db").exists()
        joined = run("node", "join", "-", "--former-server", "--name", "a", typed=word)
        assert joined.exit_code == 0, joined.stderr
        assert str(former / "former-1") in joined.stderr
    assert (former / "former-1" / "velocity.db").read_bytes() == migrated()
    assert not (former / "velocity.db").exists()
    own = identity.read(former)
    assert own is not None
    assert own.uuid == uuid, "it is the same host that it was"


def test_without_a_node_or_a_database_there_is_nothing_to_promote(tmp_path: Path) -> None:
    mine = {"VELOCITY_DATA_DIR": str(tmp_path / "x")}
    said = CliRunner().invoke(velocity, ["promote", "--yes"], env=mine)
    assert "there is neither a node nor a database" in said.stderr
