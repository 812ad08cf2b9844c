"""`velocity demo`, before it builds anything."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest
from click.testing import CliRunner

from velocity.cli.main import velocity
from velocity.client.errors import Unreachable


def test_without_a_server_no_guest_is_built(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A build takes a minute: whoever has forgotten the server is told at once."""
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        monkeypatch.setenv("VELOCITY_DATA_DIR", str(tmp_path))
        monkeypatch.setenv("VELOCITY_LISTEN", f"127.0.0.1:{unused.getsockname()[1]}")
        key = tmp_path / "root.key"  # with it nobody is asked who the caller is
        key.write_text("A" * 43)
        done = CliRunner().invoke(velocity, ["demo"])
    assert isinstance(done.exception, Unreachable), done.output
    assert "Building" not in done.output
    assert [*tmp_path.rglob("*")] == [key]
