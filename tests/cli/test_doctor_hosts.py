"""What `velocity doctor` finds of many hosts: their ports, versions and certificates."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import msgspec
import pytest
from click.testing import CliRunner

from tests.host import Host
from tests.hosts.joins import join
from tests.patience import PATIENCE
from velocity.cli import doctor_hosts
from velocity.cli.main import velocity
from velocity.client import Client
from velocity.config import Settings
from velocity.contract.joining import NodeToken
from velocity.contract.nodes import NodeInfo
from velocity.installation import Displacement
from velocity.node import identity
from velocity.node.identity import NodeIdentity

DAY = 24 * 3600


@pytest.fixture
def listening() -> Iterator[str]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"127.0.0.1:{server.getsockname()[1]}"


def host(**more: object) -> NodeInfo:
    facts: dict[str, object] = {"host": 2, "name": "b", "own": False, "state": "online", "duty": "active"}
    facts |= {"labels": {}, "vms": 0, "cpus_given": 0, "memory_given_mib": 0, "pools": [], "nics": []}
    return NodeInfo(**{**facts, "address": "127.0.0.1:1", "version": "0.1", **more})  # type: ignore[arg-type]


@pytest.mark.holds("MANY-161")
def test_each_host_of_a_server_is_looked_at(listening: str) -> None:
    silent = {"state": "unreachable", "message": "b does not answer"}
    (fine,) = doctor_hosts.hosts([host(own=True), host()])
    (older,) = doctor_hosts.hosts([host(message="it runs Velocity 0.0, which is older")])
    (closed,) = doctor_hosts.hosts([host(**silent)])
    (deaf,) = doctor_hosts.hosts([host(**silent, address=listening)])
    assert (fine.what, fine.verdict, fine.text) == ("host b", "ok", "online at 127.0.0.1:1, with Velocity 0.1")
    assert (older.verdict, older.text) == ("limited", "it runs Velocity 0.0, which is older")
    assert closed.text == "b does not answer; from here, 127.0.0.1:1 cannot be reached: Connection refused"
    assert deaf.text.endswith("accepts connections, so no firewall blocks it: see the log of velocity-node there")


@pytest.mark.holds("MANY-161")
def test_a_server_tells_of_its_hosts(host: Host, tmp_path: Path) -> None:
    with Client(host.url, host.key) as client:
        join(client, tmp_path, "bee")
    found = json.loads(host.run("doctor", "--json").stdout)
    (bee,) = [one["text"] for one in found if one["what"] == "host bee"]
    assert bee.startswith("bee does not answer at 127.0.0.1:1")
    assert "from here, 127.0.0.1:1 cannot be reached" in bee


@pytest.mark.holds("MANY-161", "MANY-264", "MANY-278")
def test_a_node_looks_at_its_certificate_its_port_and_its_server(tmp_path: Path, listening: str) -> None:
    settings = Settings(data_dir=tmp_path, node_listen=listening)
    assert list(doctor_hosts.node(settings)) == [], "a machine that has joined nothing"
    gave_way = msgspec.json.encode(Displacement("a", "c", 1_800_000_000, 7, ""))
    (tmp_path / "displaced.json").write_bytes(gave_way)
    (told,) = doctor_hosts.node(settings)
    assert (told.what, told.verdict) == ("server", "missing")
    assert "c leads with a copy of this database" in told.text

    def found(begins: float, ends: float, server: str) -> dict[str, tuple[str, str]]:
        now = int(time.time())
        own = NodeIdentity(
            uuid4(), 2, "b", 3, [server], "", "", "", "1", now + int(begins * DAY), now + int(ends * DAY)
        )
        identity.write(tmp_path, own)
        return {one.what: (one.verdict, one.text) for one in doctor_hosts.node(settings)}

    fine = found(-1, 1, f"https://{listening}")
    assert {verdict for verdict, _ in fine.values()} == {"ok"}
    assert "the host b of https://" in fine["node"][1]
    leading = {one.what: one.verdict for one in doctor_hosts.node(settings, leads=True)}
    assert leading == {"node": "ok", "standby": "ok"}, "nobody listens at the node's port of a server that leads"
    verdict, text = found(1, 2, f"https://{listening}")["node"]
    assert verdict == "missing" and "this machine's clock is behind" in text
    verdict, text = found(-2, -1, f"https://{listening}")["node"]
    assert verdict == "missing" and "node token --again b" in text
    verdict, text = found(-1, 1, "http://127.0.0.1:1")["server"]
    assert verdict == "limited" and "only `velocity node join` needs it" in text
    settings = Settings(data_dir=tmp_path, node_listen="0.0.0.0:1")
    (port,) = [one for one in doctor_hosts.node(settings) if one.what == "node port"]
    assert port.text.endswith("(Connection refused): `systemctl start velocity-node`")


@pytest.mark.holds("MANY-193")
def test_the_doctor_takes_a_settings_file(tmp_path: Path) -> None:
    config = tmp_path / "velocity.toml"
    pool = f'{{ mpid = 1, name = "of this file", path = "{tmp_path}/pool" }}'
    config.write_text(f'data_dir = "{tmp_path}/data"\npools = [{pool}]\n')
    said = CliRunner().invoke(velocity, ["doctor", "--config", str(config)])
    assert "pool 'of this file'" in said.output
    wrong = CliRunner().invoke(velocity, ["doctor", "--config", str(tmp_path / "none.toml")])
    assert wrong.exit_code == 1
    assert "none.toml" in wrong.stderr


@pytest.mark.holds("MANY-194")
def test_a_token_comes_through_a_pipe_without_a_warning(tmp_path: Path) -> None:
    """There is no terminal whose echo could be switched off, which Python warns of."""
    command = [sys.executable, "-W", "error", "-m", "velocity", "node", "join"]
    environment = {**os.environ, "VELOCITY_DATA_DIR": str(tmp_path / "data")}
    done = subprocess.run(
        command, input="no token\n", env=environment, capture_output=True, text=True, timeout=PATIENCE, check=False
    )
    assert done.returncode == 1
    assert done.stderr.startswith("velocity: that is not a token"), done.stderr


@pytest.mark.holds("MANY-232")
@pytest.mark.parametrize(
    ("url", "words"),
    [
        (
            "http://127.0.0.1:1",
            "the token names this very machine (http://127.0.0.1:1 cannot be reached): on the server",
        ),
        (
            "http://[::ffff:127.0.0.1]:1",
            "let its firewall pass this machine, or make a token there that names another address",
        ),
    ],
)
def test_a_token_whose_server_is_not_reached_says_what_to_do(tmp_path: Path, url: str, words: str) -> None:
    token = str(NodeToken([url], "0" * 64, b"x" * 32))
    joined = CliRunner().invoke(velocity, ["node", "join", token], env={"VELOCITY_DATA_DIR": str(tmp_path / "data")})
    assert joined.exit_code == 1
    assert words in joined.output
    assert "velocity serve" not in joined.output
