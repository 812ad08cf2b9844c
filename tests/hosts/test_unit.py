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
    assert {file.name for file in tmp_path.glob("*.service")} == {"velocity-node.service", "velocity-guests.service"}
    lines = (tmp_path / "velocity-node.service").read_text().splitlines()
    assert any(line.startswith("ExecStart=") and line.endswith(" node serve") for line in lines)
    assert {"KillMode=process", "Type=notify", f"Environment=VELOCITY_DATA_DIR={tmp_path}/data"} <= set(lines)
    assert {"Wants=network-online.target velocity-guests.service"} <= set(lines), "and its guests' unit comes along"
    removed = CliRunner().invoke(velocity, ["service", "uninstall", "--directory", str(tmp_path)], env=settings)
    guests, node = removed.stdout.splitlines()
    assert guests.startswith("systemctl stop velocity-node.service velocity-guests.service  # only if the guests")
    assert node == "systemctl stop velocity-node.service; systemctl daemon-reload"
    assert list(tmp_path.glob("*.service")) == []


@pytest.mark.holds("MANY-145")
def test_the_unit_of_a_node_s_guests_ends_after_the_node(tmp_path: Path) -> None:
    """Units stop in the opposite order of their start."""
    printed = CliRunner().invoke(velocity, ["service", "install", "--node", "--print", "--timeout", "7"])
    node, guests = printed.stdout.split("# velocity-guests.service\n")
    assert any(line.startswith("After=") and line.endswith(" velocity-guests.service") for line in node.splitlines())
    assert "stop-guests --timeout 7\n" in guests
    assert "After=network-online.target local-fs.target remote-fs.target\n" in guests, "while their disks are there"
    assert "velocity.service" not in guests
