"""A real guest goes to another host while it writes, and back; its disk, its console and its memory go along."""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import shutil
import signal
import tempfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.hosts.test_processes import NodeProcess
from tests.journeys.conftest import Lasting
from tests.journeys.server import Server, Terminal
from tests.journeys.test_live_moving import MIB, WRITES, done, inside, outside
from tests.patience import PATIENCE, at_last

pytestmark = pytest.mark.guest


@pytest.fixture
def node(tmp_path: Path) -> Iterator[NodeProcess]:
    runtime = Path(tempfile.mkdtemp(prefix="vel-"))
    made = NodeProcess(tmp_path / "b", runtime)
    made.environment["VELOCITY_MOVE_PORTS"] = "8132-8139"
    yield made
    made.kill()
    for pid in made.guests():
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    shutil.rmtree(runtime)


def join(server: Server, node: NodeProcess) -> int:
    """Its id, once it answers."""
    token = server.ok("PUT", "/h/node/token", urls=[f"http://127.0.0.1:{server.port}"])["token"]
    joined = node.run("node", "join", "-", "--name", "bee", typed=token + "\n")
    assert joined.returncode == 0, joined.stderr
    node.start()

    def bee() -> dict[str, object]:
        return next(one for one in server.ok("POST", "/h/node/list")["nodes"] if one["name"] == "bee")

    at_last(lambda: bee()["state"] == "online", "the node's answer")
    return int(str(bee()["host"]))


def ticks(terminal: Terminal) -> int:
    """-1: what came was not whole, and it is to be asked again."""
    found = re.findall(r"^ticks (\d+)$", terminal.run("echo ticks $(cat /tmp/ticks)"), re.MULTILINE)
    return int(found[-1]) if found else -1


def stopped(server: Server, node: NodeProcess, host: int) -> None:
    """One that does not run goes there and back, too."""
    mid = server.ok("PUT", "/m/media/create", mpid=1, gid=0, name="still", size=MIB, format="qcow2")["mid"]
    media = [{"mid": mid, "mode": "VIRTIO"}]
    vmid = server.ok("PUT", "/v/vm/efi", name="still", gid=0, cpus=1, memory_mib=64, media=media, host=1)["vmid"]
    done(server, "/v/vm/host", vmid=vmid, host=host)
    assert len(list(node.data.parent.rglob(f"{mid}.qcow2"))) == 1
    done(server, "/v/vm/host", vmid=vmid, host=1)
    at_last(lambda: not list(node.data.parent.rglob(f"{mid}*")), "the end of what it left")
    server.ok("DELETE", "/v/vm", vmid=vmid, disks=True, purge=True)


@contextlib.contextmanager
def typist(terminal: Terminal) -> Iterator[Callable[[], bytes]]:
    """Types lines all the time, which the guest keeps; what is called ends that, and says which they were."""
    terminal.type("stty -echo; echo LIST''ENS; cat >/tmp/typed\n")
    terminal.until(b"LISTENS", PATIENCE)
    ended, written = threading.Event(), list[str]()

    def work() -> None:
        while not ended.wait(0.02):
            written.append(f"line {len(written)}\n")
            terminal.type(written[-1])

    def end() -> bytes:
        ended.set()
        typing.join()
        terminal.type("\x04")
        terminal.run("stty echo")
        return "".join(written).encode()

    typing = threading.Thread(target=work)
    typing.start()
    try:
        yield end
    finally:
        ended.set()
        typing.join()


def same(said: str, lines: bytes) -> bool:
    return bool(lines) and hashlib.md5(lines, usedforsecurity=False).hexdigest() in said


@pytest.mark.holds("MANY-83", "MANY-186")
def test_a_guest_goes_to_another_host_and_back_while_it_writes(
    lasting: Lasting, node: NodeProcess, tmp_path: Path
) -> None:
    server, vmid = lasting.server, lasting.vmid
    host = join(server, node)
    attached = server.ok("POST", "/v/vm", vmid=vmid)["media"]
    (mid,) = [one["mid"] for one in attached if one["mode"] == "BLOCK"]
    terminal = server.console(vmid)
    terminal.run(f"({WRITES.format('vda')}) & true")
    terminal.run("(n=0; while [ ! -e /tmp/halt ]; do n=$((n+1)); echo $n >/tmp/ticks; sleep 0.1; done) & true")

    done(server, "/v/vm/host", vmid=vmid, host=host)
    shown = server.ok("POST", "/v/vm", vmid=vmid)
    assert (shown["state"], shown["host"]["name"]) == ("RUNNING", "bee")
    assert len(node.guests()) == 1
    at_last(lambda: server.processes() == [], "the end of what it left")
    before = ticks(terminal)  # by the socket that was there before
    at_last(lambda: ticks(terminal) > before, "the guest's next tick")
    terminal.run("touch /tmp/halt; wait; rm /tmp/halt", 120)
    file = next(node.data.parent.rglob(f"{mid}.raw"))
    assert inside(terminal, "vda") == outside(server, vmid, file, tmp_path)
    assert file.stat().st_blocks * 512 < 8 * MIB, "it stays sparse"
    assert not list(lasting.small.rglob(f"{mid}*"))

    with typist(terminal) as typed:
        done(server, "/v/vm/host", vmid=vmid, host=1)
        lines = typed()
    assert same(terminal.run("md5sum </tmp/typed"), lines)
    assert "42" in terminal.run("echo $((6 * 7))")
    at_last(lambda: node.guests() == [], "the end of what it left")
    assert not list(node.data.parent.rglob(f"{mid}*"))
    assert server.ok("POST", "/v/vm", vmid=vmid)["state"] == "RUNNING"
    terminal.close()
    done(server, "/m/media/move", mid=mid, mpid=2)
    stopped(server, node, host)
    server.ok("DELETE", "/h/node", host=host)
