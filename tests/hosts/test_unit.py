"""A node under systemd."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from velocity.cli.main import velocity


@pytest.mark.holds("MANY-44")
def test_the_unit_of_a_node_serves_it_and_leaves_its_guests_alone(tmp_path: Path) -> None:
    settings = {"VELOCITY_DATA_DIR": str(tmp_path / "data")}
    words = ["service", "install", "--node", "--directory", str(tmp_path)]
    installed = CliRunner().invoke(velocity, words, env=settings)
    assert installed.exit_code == 0, installed.stderr
    assert installed.stdout.endswith("enable --now velocity-node.service\n")
    assert [file.name for file in tmp_path.glob("*.service")] == ["velocity-node.service"]
    lines = (tmp_path / "velocity-node.service").read_text().splitlines()
    assert any(line.startswith("ExecStart=") and line.endswith(" node serve") for line in lines)
    assert {"KillMode=process", "Type=notify", f"Environment=VELOCITY_DATA_DIR={tmp_path}/data"} <= set(lines)
    removed = CliRunner().invoke(velocity, ["service", "uninstall", "--directory", str(tmp_path)], env=settings)
    assert removed.stdout.startswith("systemctl stop velocity-node.service;")
    assert "velocity-guests" not in removed.stdout
    assert list(tmp_path.glob("*.service")) == []
