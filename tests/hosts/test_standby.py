"""Two servers on one PostgreSQL database: one leads, the other is a node of it and takes over when it is gone."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from tests.journeys.server import PASSWORD, free_port
from tests.patience import PATIENCE, at_last
from tests.postgres import Postgres, lose_the_lock
from velocity.cli.main import velocity

LATE = """
from velocity.node import agent
agent.GRACE = 600.0
agent.RunningNode.close.__defaults__ = (agent.GRACE,)
from velocity.__main__ import main
main()
"""
"""A server that would wait ten minutes for calls in progress when its node ends."""


class StandbyProcess:
    """`velocity serve --standby` on a data directory of its own."""

    program = ("-m", "velocity")

    def __init__(self, data: Path, database: str, runtime: Path) -> None:
        self.data = data
        self.port = free_port()
        self.process: subprocess.Popen[bytes] | None = None
        self.key = ""
        kept = {name: value for name, value in os.environ.items() if not name.startswith("VELOCITY_")}
        self.environment = kept | {
            "VELOCITY_DATA_DIR": str(data),
            "VELOCITY_LISTEN": f"127.0.0.1:{self.port}",
            "VELOCITY_NODE_LISTEN": f"127.0.0.1:{free_port()}",
            "VELOCITY_RUNTIME_DIR": str(runtime),
            "VELOCITY_NAT_SUBNET": "none",
            "VELOCITY_ACCELERATOR": "tcg",
            "VELOCITY_ROOT_PASSWORD": PASSWORD,
            "VELOCITY_DATABASE": database,
            "VELOCITY_STANDBY": "true",
        }

    def run(self, *words: str, typed: str = "") -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "velocity", *words]
        return subprocess.run(
            command, env=self.environment, input=typed, capture_output=True, text=True, timeout=PATIENCE, check=False
        )

    def start(self) -> None:
        with self.data.with_suffix(".log").open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, *self.program, "serve"], env=self.environment, stdin=subprocess.DEVNULL, stdout=log,
                stderr=log, start_new_session=True,
            )  # fmt: skip

    def kill(self, how: signal.Signals = signal.SIGKILL) -> int:
        assert self.process is not None
        self.process.send_signal(how)
        status = self.process.wait(PATIENCE)
        self.process = None
        return status

    def call(self, method: str, path: str, **body: Any) -> tuple[int, Any]:
        """0: nobody answers."""
        headers = {"content-type": "application/json", "authorization": f"Bearer {self.key}"}
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.port}{path}", json.dumps(body).encode(), headers, method=method
        )
        try:
            with urllib.request.urlopen(request, timeout=PATIENCE) as answer:
                return answer.status, json.load(answer)
        except urllib.error.HTTPError as error:
            return error.code, json.load(error)
        except OSError:
            return 0, {}

    def leads(self) -> bool:
        status, answer = self.call("POST", "/u/auth", name="root", password=PASSWORD)
        self.key = answer.get("authkey", "")
        return bool(status == 200)

    def stands_by(self) -> bool:
        return bool(self.call("POST", "/h/node/list")[1].get("standby") == "true")

    def nodes(self) -> dict[int, tuple[bool, str]]:
        """Whether the server runs on it, and how it is."""
        return {one["host"]: (one["own"], one["state"]) for one in self.call("POST", "/h/node/list")[1]["nodes"]}


@pytest.fixture
def pair(tmp_path: Path, runtime: Path, postgres: Postgres) -> Iterator[tuple[StandbyProcess, StandbyProcess]]:
    url = postgres.database()
    a, b = (StandbyProcess(tmp_path / name, url, runtime / name) for name in ("a", "b"))
    yield a, b
    for one in (a, b):
        if one.process is not None:
            one.kill()


@pytest.mark.holds("MANY-144", "MANY-278")
def test_a_second_server_is_a_node_until_the_first_is_gone_which_is_one_then(
    pair: tuple[StandbyProcess, StandbyProcess],
) -> None:
    a, b = pair
    a.start()
    at_last(a.leads, "the first server")
    word = a.call("PUT", "/h/node/token", urls=[f"http://127.0.0.1:{a.port}"])[1]["token"]
    joined = b.run("node", "join", "-", "--name", "bee", typed=word + "\n")
    assert joined.returncode == 0, joined.stderr
    assert joined.stdout.endswith("velocity service install\n"), "its server is installed, and no node"

    b.start()
    at_last(b.stands_by, "the second server to stand by")
    status, told = b.call("POST", "/u/auth", name="root", password=PASSWORD)
    assert (status, told["code"], told["leader"]) == (503, 503, socket.gethostname())
    assert "this server stands by" in told["message"]
    at_last(lambda: a.nodes().get(2) == (False, "online"), "the second one as a host")
    assert a.nodes()[1] == (True, "online")

    a.kill()
    at_last(b.leads, "the second server to lead")
    assert b.nodes()[2] == (True, "online")
    at_last(lambda: b.nodes()[1] == (False, "unreachable"), "the first one, which is gone")
    a.start()
    at_last(a.stands_by, "the first server to stand by")
    at_last(lambda: b.nodes()[1] == (False, "online"), "the first one as a host")

    assert a.kill(signal.SIGTERM) == 0, "who stands by ends when it is asked to"
    assert b.kill(signal.SIGTERM) == 0


@pytest.mark.holds("MANY-274")
def test_who_takes_over_does_not_wait_for_calls_of_a_leader_that_stands_still(
    pair: tuple[StandbyProcess, StandbyProcess],
) -> None:
    a, b = pair
    b.program = ("-c", LATE)
    a.start()
    at_last(a.leads, "the first server")
    word = a.call("PUT", "/h/node/token", urls=[f"http://127.0.0.1:{a.port}"])[1]["token"]
    joined = b.run("node", "join", "-", "--name", "bee", typed=word + "\n")
    assert joined.returncode == 0, joined.stderr
    b.start()
    at_last(lambda: a.nodes().get(2) == (False, "online"), "the second one as a host")
    assert a.process is not None
    a.process.send_signal(signal.SIGSTOP)
    lose_the_lock(b.environment["VELOCITY_DATABASE"])
    at_last(b.leads, "the second server to lead")
    assert b.nodes()[2] == (True, "online")


@pytest.mark.holds("MANY-144")
def test_with_sqlite_no_server_stands_by(tmp_path: Path) -> None:
    mine = {"VELOCITY_DATA_DIR": str(tmp_path / "a"), "VELOCITY_LISTEN": f"127.0.0.1:{free_port()}"}
    said = CliRunner().invoke(velocity, ["serve", "--standby"], env=mine)
    assert said.exit_code == 1
    assert "set `database` to a PostgreSQL one" in said.stderr
    assert "velocity promote" in said.stderr
