"""The units of a node as a systemd runs them: its guests end with the machine, in order."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.host import hosting
from tests.journeys.server import free_port
from tests.journeys.systemd import Manager
from tests.patience import at_last

VELOCITY = Path(sys.executable).with_name("velocity")
NODE, GUESTS = "velocity-node.service", "velocity-guests.service"
BEYOND_A_USERS_MANAGER = "ProtectKernelLogs=no\nProtectKernelTunables=no\n"
"""Lines for which only the system's manager has the nodes that it lays over what it hides."""

pytestmark = [pytest.mark.hosts, pytest.mark.guest]


@pytest.mark.holds("MANY-145")
def test_guests_end_in_order_with_the_machine_after_the_node(tmp_path: Path, runtime: Path) -> None:
    manager, config = Manager(tmp_path, runtime), tmp_path / "velocity.toml"
    config.write_text(
        f'data_dir = "{tmp_path}/b"\nruntime_dir = "{runtime}"\nnode_listen = "127.0.0.1:{free_port()}"\n'
        'nat_subnet = "none"\naccelerator = "tcg"\n'
    )
    with hosting(tmp_path / "a") as host, manager.running():
        token = host.ok("node", "token", "--url", host.url)
        run("node", "join", "-", "--name", "bee", "--config", config, typed=token)
        run("service", "install", "--node", "--config", config, "--timeout", "2", "--directory", manager.units)
        for unit in (NODE, GUESTS):
            (manager.units / f"{unit}.d").mkdir()
            said = f"[Service]\nStandardError=append:{tmp_path}/{unit}.log\n{BEYOND_A_USERS_MANAGER}"
            (manager.units / f"{unit}.d" / "said.conf").write_text(said)
        manager.ok("start", NODE)
        assert manager.shown(GUESTS, "ActiveState") == "active", "it comes along"
        at_last(lambda: " online " in host.ok("node", "list", "--match", "bee"), "the node's answer")
        host.ok("vm", "create", "there", "--memory", "64M", "--cpus", "1", "--host", "bee")
        host.ok("vm", "start", "there")
        manager.ok("restart", NODE)
        assert (tmp_path / f"{GUESTS}.log").read_text() == "", "a restart of the node leaves its guests alone"
        manager.ok("start", "shutdown.target")
        assert [manager.shown(one, "ActiveState") for one in (NODE, GUESTS)] == ["inactive"] * 2
        assert manager.shown(GUESTS, "Result") == "success"
        assert (tmp_path / f"{GUESTS}.log").read_text().startswith(("asked machine ", "ended machine "))
        assert host.ok("vm", "list").splitlines()[1].split()[3] == "RUNNING", "the server sees a host that is silent"


def run(*words: object, typed: str = "") -> None:
    done = subprocess.run([VELOCITY, *map(str, words)], input=typed, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
