"""A server whose database another one has taken over ends by itself, in order, so that its supervisor can start it."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from tests.journeys.server import Server


@pytest.mark.holds("DUR-26")
def test_a_displaced_server_ends_with_words_and_a_status_that_starts_it_again(tmp_path: Path, runtime: Path) -> None:
    server = Server(tmp_path / "data", runtime_dir=str(runtime))
    server.start()
    assert server.process is not None
    try:
        server.ok("PUT", "/u/group", name="before", parent_gid=0)
        with closing(sqlite3.connect(tmp_path / "data" / "velocity.db")) as connection, connection:
            connection.execute("update leadership set term = term + 1")
        assert server.call("PUT", "/u/group", name="too late", parent_gid=0)[0] == 503
        assert server.process.wait(60) == 1
    finally:
        server.kill()
    assert "another server has taken over the database" in server.log().strip().splitlines()[-1]
    assert "Traceback" not in server.log()
    server.start()
    server.ok("PUT", "/u/group", name="after", parent_gid=0)
    server.close()
