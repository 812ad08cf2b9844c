"""Servers for journeys; whatever a journey leaves, its guests are ended."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.journeys.server import Server

StartServer = Callable[..., Server]


@pytest.fixture
def start_server(tmp_path: Path, runtime: Path) -> Iterator[StartServer]:
    servers: list[Server] = []

    def start(**options: str) -> Server:
        server = Server(tmp_path / f"data{len(servers)}", runtime_dir=str(runtime), **options)
        servers.append(server)
        server.start()
        return server

    yield start
    for server in servers:
        server.close()
        assert server.processes() == [], "a journey left machines behind"
