"""A server and a node as processes: joined by the command line, with QEMU, killed and started again."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import os
import signal
import socket
import sqlite3
import ssl
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import msgspec
import pytest
from click.testing import Result

from tests.host import Host, hosting
from tests.hosts.installation import Installation
from tests.journeys.server import free_port
from tests.patience import PATIENCE, at_last
from tests.ports.subjects import spec
from tests.processes import lives
from velocity import promotion
from velocity.config import PoolSetting
from velocity.contract.joining import NodeToken
from velocity.hosts import copies
from velocity.hypervisor.port import Fact, HostId, Incarnation, Stop
from velocity.node import places
from velocity.node.copies import KeptCopies
from velocity.storage.directory.places import MARK

DEADLINE = 30.0


def shared_by(both: Path) -> Path:
    """Storage that the hosts whose data are there have mounted."""
    path = both / "shared"
    (path / MARK).parent.mkdir(parents=True, exist_ok=True)
    return path


class NodeProcess:
    """`velocity node` on a data directory of its own."""

    def __init__(self, data: Path, runtime: Path) -> None:
        self.data = data
        self.port = free_port()
        self.runtime = runtime
        self.process: subprocess.Popen[bytes] | None = None
        kept = {name: value for name, value in os.environ.items() if not name.startswith("VELOCITY_")}
        self.environment = kept | {
            "VELOCITY_DATA_DIR": str(data),
            "VELOCITY_NODE_LISTEN": f"127.0.0.1:{self.port}",
            "VELOCITY_RUNTIME_DIR": str(runtime),
            "VELOCITY_NAT_SUBNET": "none",
            "VELOCITY_ACCELERATOR": "tcg",
            "VELOCITY_POOLS": f'[{{mpid=2, name="bee", path="{data}/own"}}, '
            f'{{mpid=7, name="shared", path="{shared_by(data.parent)}", shared=true}}]',
        }

    def run(self, *words: str, typed: str = "") -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "velocity", *words]
        return subprocess.run(
            command, env=self.environment, input=typed, capture_output=True, text=True, timeout=PATIENCE, check=False
        )

    @property
    def log(self) -> Path:
        return self.data.with_suffix(".log")

    def start(self, *command: str) -> None:
        words = [sys.executable, "-m", "velocity", *(command or ("node", "serve"))]
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                words, env=self.environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
            )

    def kill(self, how: signal.Signals = signal.SIGKILL) -> None:
        if self.process is not None:
            self.process.send_signal(how)
            self.process.wait(PATIENCE)
            self.process = None

    def guests(self) -> list[int]:
        """The processes of its machines that live."""
        notes = []
        for note in self.runtime.glob("*/*/run.json"):
            with contextlib.suppress(FileNotFoundError):  # its run was settled meanwhile
                notes.append(msgspec.json.decode(note.read_bytes()))
        return [int(one["pid"]) for one in notes if lives(int(one["pid"]))]


@pytest.fixture
def node(tmp_path: Path, runtime: Path) -> Iterator[NodeProcess]:
    made = NodeProcess(tmp_path / "b", runtime)
    yield made
    made.kill()
    for pid in made.guests():
        os.kill(pid, signal.SIGKILL)


@pytest.mark.holds("MANY-40", "MANY-41", "MANY-42", "MANY-62", "MANY-121")
@pytest.mark.guest
def test_a_machine_joins_by_one_command_and_its_guests_outlive_every_process(tmp_path: Path, node: NodeProcess) -> None:
    own = PoolSetting(1, "default", tmp_path / "a" / "media")
    with hosting(tmp_path / "a", pools=[own, PoolSetting(7, "shared", shared_by(tmp_path), shared=True)]) as host:
        joins(host, node)
        shares(host, node)
    asyncio.run(outlives(Installation(tmp_path / "a"), node))


async def outlives(here: Installation, node: NodeProcess) -> None:
    await here.open()
    try:
        await comes_back(here, node)
    finally:
        await here.close()


def joins(host: Host, node: NodeProcess) -> None:
    def join(typed: str, **other: str) -> Result:
        return host.run("node", "join", "-", "--name", "bee", typed=typed + "\n", **node.environment | other)

    word = host.ok("node", "token", "--url", host.url).strip()
    assert "that is not a token" in join("vnt1.AAAA").stderr
    assert "has not joined a server" in node.run("node", "serve").stderr
    assert "is the data directory of a server" in join(word, VELOCITY_DATA_DIR=str(host.data)).stderr
    joined = join(word)
    assert joined.exit_code == 0, joined.stderr
    assert "service install --node" in joined.stdout
    assert f"the host bee of {host.url}" in host.run("doctor", **node.environment).stdout
    assert join(word).exit_code == 3, "the token was used"
    assert "is the data directory of a node" in node.run("serve").stderr
    node.start()
    at_last(lambda: " online " in host.ok("node", "list", "--match", "bee"), "the node's answer")
    assert "runs on" in join(word).stderr, "its data directory is in use"
    hold_back(host, node, NodeToken.read(word))
    knocks(node)


def shares(host: Host, node: NodeProcess) -> None:
    """A disk that the server's own host has made is a VM's on the node, which runs with it under a uid of its own."""
    host.ok("media", "create", "disk", "--size", "1M", "--pool", "shared")
    at_last(lambda: ", bee" in host.ok("pool", "list", "--match", "shared"), "the node's having the pool")
    host.ok("vm", "create", "guest", "--memory", "64M", "--media", "disk", "--host", "bee")
    host.ok("vm", "start", "guest")
    (pid,) = node.guests()
    assert b"file.locking=on" in Path(f"/proc/{pid}/cmdline").read_bytes()
    host.ok("vm", "stop", "guest", "--force")
    host.ok("vm", "rm", "guest", "--purge")
    host.ok("media", "rm", "disk", "--purge")
    assert [one.name for one in shared_by(node.data.parent).iterdir() if one.is_file()] == []


def knocks(node: NodeProcess) -> None:
    """Who shows no certificate is broken off, and writes nothing into the node's log."""
    before = node.log.read_bytes()
    anybody = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    anybody.check_hostname, anybody.verify_mode = False, ssl.CERT_NONE
    with (
        contextlib.suppress(OSError),
        socket.create_connection(("127.0.0.1", node.port), PATIENCE) as way,
        anybody.wrap_socket(way) as stranger,
    ):
        assert stranger.recv(1) == b"", "nothing is told"
    assert node.log.read_bytes() == before


def hold_back(host: Host, node: NodeProcess, token: NodeToken) -> None:
    """Neither the token's secret nor a key is anywhere but in the file of the node and in the database."""
    own = msgspec.json.decode((node.data / "node" / "identity.json").read_bytes())
    secrets = [token.secret, base64.urlsafe_b64encode(token.secret).rstrip(b"="), token.secret.hex().encode()]
    secrets += [own["key"].splitlines()[1].encode(), b"PRIVATE KEY"]
    told = [host.ok("--json", *words) for words in (("node", "list"), ("node", "show", "bee"), ("history",))]
    export = host.data.parent / "export"
    host.ok("db", "export", str(export))
    said = [node.log.read_bytes(), export.read_bytes(), *(text.encode() for text in told)]
    assert all(secret not in text for secret in secrets for text in said)
    assert b"make_node_token" in said[-1]


async def comes_back(here: Installation, node: NodeProcess) -> None:
    """The server has ended: another one comes, starts a guest on the node, and finds it again when that was killed."""
    host = HostId(2)
    assert (await here.until(host, lambda now: now.state == "online")).name == "bee"
    there = here.hosts.there[host].hypervisor
    who = Incarnation(uuid4(), host, 1)
    await there.machines.adopt(host, deadline=DEADLINE)
    await there.machines.start(who, spec(there), deadline=DEADLINE)
    (pid,) = node.guests()
    node.kill()
    await here.until(host, lambda now: now.state == "unreachable")
    assert node.guests() == [pid]
    node.start()
    await here.until(host, lambda now: now.state == "online")
    found = await there.machines.adopt(host, deadline=DEADLINE)
    assert [(one.who, one.fact) for one in found.found] == [(who, Fact.RUNNING)]
    await here.reopen()
    there = here.hosts.there[host].hypervisor
    await here.until(host, lambda now: now.state == "online")
    found = await there.machines.adopt(host, deadline=DEADLINE)
    assert [(one.who, one.fact) for one in found.found] == [(who, Fact.RUNNING)]
    assert node.guests() == [pid]
    await there.machines.stop(who, Stop.NOW, deadline=DEADLINE)
    await there.machines.acknowledge(who, deadline=DEADLINE)
    assert node.guests() == []


@pytest.mark.holds("MANY-134")
@pytest.mark.guest
def test_a_node_becomes_the_server_and_its_guest_does_not_notice(
    tmp_path: Path, node: NodeProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(copies, "EVERY", 0.1)
    with hosting(tmp_path / "a") as host:
        word = host.ok("node", "token", "--url", host.url).strip()
        assert host.run("node", "join", "-", "--name", "bee", typed=word + "\n", **node.environment).exit_code == 0
        node.start()
        at_last(lambda: " online " in host.ok("node", "list", "--match", "bee"), "the node's answer")
        host.ok("node", "set", "bee", "--keeps-copy")
        host.ok("vm", "create", "web", "--memory", "64M", "--host", "bee")
        host.ok("vm", "start", "web")
        at_last(lambda: knows_a_run(node.data), "the copy")
    (pid,) = node.guests()
    node.kill()
    node.environment["VELOCITY_LISTEN"] = f"127.0.0.1:{free_port()}"
    promoted = node.run("promote", "--yes")
    assert promoted.returncode == 0, promoted.stderr
    assert "has not joined a server" in node.run("node", "serve").stderr, "it is no node any more"
    node.start("serve")
    at_last(lambda: node.run("vm", "list").returncode == 0, "the new server")
    shown = msgspec.json.decode(node.run("--json", "vm", "show", "web").stdout)
    assert (shown["state"], shown["host"]) == ("RUNNING", {"id": 2, "name": "bee"})
    assert node.guests() == [pid]
    assert node.run("vm", "stop", "web", "--force").returncode == 0
    assert node.guests() == []


def knows_a_run(data: Path) -> bool:
    """The newest copy that it keeps."""
    newest = promotion.newest_copy(data)
    if newest is None:
        return False
    with contextlib.closing(sqlite3.connect(KeptCopies(places.copies(data)).file(newest))) as connection:
        runs = connection.execute("select count(*) from machines where run_spec is not null").fetchone()
        return bool(runs == (1,))
