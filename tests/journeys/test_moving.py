"""An installation moves from SQLite to PostgreSQL."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.journeys.conftest import Lasting
from tests.journeys.server import cli
from tests.postgres import Postgres

pytestmark = pytest.mark.guest


@pytest.mark.holds("GUEST-1")
def test_an_installation_moves_to_postgresql_under_a_running_guest(
    lasting: Lasting, tmp_path: Path, postgres: Postgres
) -> None:
    server, vmid = lasting.server, lasting.vmid
    terminal = server.console(vmid)
    terminal.run("stays=here")
    before = server.processes()
    terminal.close()
    server.end()
    url, file = postgres.database(), tmp_path / "backup"
    cli(server, "db", "export", file)
    cli(server, "db", "import", file, VELOCITY_DATABASE=url)
    (server.data / "velocity.db").rename(tmp_path / "old.db")
    server.settings["database"] = url
    server.start()
    assert server.state(vmid)["state"] == "RUNNING"
    assert server.processes() == before, "adopted, not started again"
    terminal = server.console(vmid)
    assert "it is here" in terminal.run("echo it is $stays")
    terminal.close()
    assert not (server.data / "velocity.db").exists()
