"""Commands that are interrupted: what goes on is told, and the next run waits for it."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from tests.cli.test_apply import written
from tests.cli.test_guest import agent as agent
from tests.cli.test_pools import between
from tests.host import Host
from tests.patience import PATIENCE
from tests.serving import serving
from velocity.access.sessions import Caller
from velocity.cli.apply import places
from velocity.cli.guest import SENT
from velocity.hypervisor.fake import FakeAgent
from velocity.tasks.service import TaskProgress


@pytest.mark.holds("CLI-56")
def test_a_run_waits_for_what_an_interrupted_one_has_begun(
    host: Host, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However long that takes: the fetch goes on in the server, and its server takes its time."""
    monkeypatch.setattr(places, "PAUSES", ())
    monkeypatch.setattr(places, "LOOK", 0.05)
    released = threading.Event()

    class Slow(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Length", "512")
            self.end_headers()
            self.wfile.write(b"x")
            released.wait(PATIENCE)
            self.wfile.write(b"x" * 511)

        def log_message(self, format: str, *_arguments: object) -> None:
            """It is nobody's business."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Slow)
    with serving(server):
        url = f"http://127.0.0.1:{server.server_port}/disk"
        file = written(tmp_path, f'[[media]]\nname = "disk"\nurl = "{url}"\n')
        tid = host.ok("media", "fetch", url, "--as-is", "--name", "disk", "--detach").strip()
        asked: list[str] = []

        def looks() -> None:
            asked.append("tasks")
            if len(asked) > 1:
                released.set()

        with between(host.url) as (way, after):
            after["/t/task/list"] = looks
            ended = host.run("apply", file, "--yes", VELOCITY_SERVER=way)
    assert ended.exit_code == 0, (ended.stderr, ended.exception)
    assert "medium disk: it is being made already; waiting" in ended.stderr and len(asked) > 1
    assert host.run("task", "show", f"id:{tid}").stdout.startswith("fetch disk: DONE")
    assert "nothing to do" in host.ok("apply", file)


@pytest.mark.holds("CLI-56")
@pytest.mark.parametrize("kind", ["clone_vm", "move_vm", "drain", "compact"])
def test_a_task_for_something_else_of_that_name_is_not_waited_for(
    host: Host, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    """VMs and hosts may have the name of a medium."""
    monkeypatch.setattr(places, "LOOK", 0.05)
    (tmp_path / "disk.raw").write_bytes(b"x" * 512)
    over, looks = asyncio.Event(), list[str]()

    async def work(_progress: TaskProgress) -> None:
        await over.wait()

    def looked() -> None:
        looks.append("tasks")
        if len(looks) > 2:  # otherwise a run that waits would do so forever
            host.loop.call_soon_threadsafe(over.set)

    begun = host.app.services.tasks.begin(Caller(0, "a test"), kind, 0, "disk", None, work, lambda: None)
    tid = asyncio.run_coroutine_threadsafe(begun, host.loop).result(PATIENCE)
    file = written(tmp_path, '[[media]]\nname = "disk"\nimage = "disk.raw"\n')
    with between(host.url) as (way, after):
        after["/t/task/list"] = looked
        ended = host.run("apply", file, "--yes", VELOCITY_SERVER=way)
    assert ended.exit_code == 0, (ended.stderr, ended.exception)
    assert looks and "waiting" not in ended.stderr
    assert "RUNNING" in host.ok("task", "show", f"id:{tid}")


@pytest.mark.holds("CLI-57")
def test_who_interrupts_a_command_that_waits_for_a_task_is_told_that_it_goes_on(host: Host, tmp_path: Path) -> None:
    host.ok("media", "create", "a", "--size", "1M")
    with between(host.url) as (way, after):
        after["/t/task"] = lambda: os.kill(os.getpid(), signal.SIGINT)
        ended = host.run("media", "clone", "a", "b", VELOCITY_SERVER=way)
    assert ended.exit_code != 0
    assert "task 1 continues on the server: `velocity task wait id:1`" in ended.stderr
    host.ok("task", "wait", "id:1")


@pytest.mark.holds("CLI-57")
def test_who_interrupts_a_copy_is_told_that_a_part_of_it_is_there(host: Host, agent: FakeAgent, tmp_path: Path) -> None:
    source, begun = tmp_path / "source", list[subprocess.Popen[str]]()
    source.write_bytes(bytes(SENT * 4))
    answered: list[str] = []

    def piece() -> None:
        answered.append("a piece")
        if len(answered) == 3:
            begun[0].send_signal(signal.SIGINT)
            begun[0].wait(PATIENCE)

    with between(host.url) as (way, after):
        after["/v/vm/guest/file"] = piece
        environment = os.environ | host.environment | {"VELOCITY_SERVER": way}
        words = ["vm", "cp", str(source), "web:/big"]
        starts = (
            "import signal, sys; signal.signal(signal.SIGINT, signal.default_int_handler); sys.argv[0] = 'velocity'"
        )
        run = [sys.executable, "-c", f"{starts}; from velocity.cli.main import main; main()", *words]
        begun.append(subprocess.Popen(run, env=environment, stderr=subprocess.PIPE, text=True))
        _, said = begun[0].communicate(timeout=PATIENCE)
    assert begun[0].returncode == 130
    assert f"only the first {2 * SENT} bytes are in the guest's /big: copy it again" in said
