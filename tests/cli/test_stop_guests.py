"""`velocity service stop-guests` where no server runs: the guests' monitors are asked."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import signal
import socket
import subprocess
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from uuid import UUID, uuid4

import pytest
from click.testing import CliRunner, Result

from tests.host import Host
from tests.patience import PATIENCE
from tests.serving import serving
from velocity.cli import stop_guests
from velocity.cli.main import velocity
from velocity.cli.output import complain
from velocity.client import ClientError
from velocity.config import Settings
from velocity.hypervisor.fake import Answer
from velocity.hypervisor.qemu.options import options
from velocity.hypervisor.qemu.processes import start_time
from velocity.hypervisor.qemu.run_note import Run
from velocity.hypervisor.qemu.runs import Runs, boot_id
from velocity.node import places

LATER = 1.0
"""Seconds until a guest can be killed."""
BUTTON = ["qmp_capabilities", "query-status", "system_powerdown", "cont"]
"""What presses a guest's power button, also of one that is paused. QMP"""


class Clock:
    """Time passes only while somebody sleeps."""

    def __init__(self) -> None:
        self.now = 0.0

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


class Monitor:
    """A QEMU's, as far as one can tell from outside: what it was asked, and its end. QMP"""

    def __init__(self, path: Path, *, status: str = "running", deaf: bool = False) -> None:
        self.asked: list[str] = []
        self._status, self._deaf = status, deaf
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._socket.bind(str(path))
        self._socket.listen()
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def _serve(self) -> None:
        with contextlib.suppress(OSError):
            plug, _ = self._socket.accept()
            with plug, plug.makefile("rwb") as lines:
                self._say(lines, {"QMP": {"version": {}, "capabilities": []}})
                for line in lines:
                    self.asked.append(json.loads(line)["execute"])
                    self._say(lines, {"event": "POWERDOWN"})
                    status = {"status": self._status} if self.asked[-1] == "query-status" else {}
                    self._say(lines, {"return": status})
                    if self.asked[-1] == "quit" or (self.asked[-1] == "cont" and not self._deaf):
                        return

    @staticmethod
    def _say(lines: object, words: dict[str, object]) -> None:
        lines.write(json.dumps(words).encode() + b"\r\n")  # type: ignore[attr-defined]
        lines.flush()  # type: ignore[attr-defined]

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        self._thread.join(PATIENCE)


class Installation:
    """A data directory whose server has ended, with machines that run."""

    def __init__(self, data: Path, runtime: Path) -> None:
        self.data, self.runtime = data, runtime
        data.mkdir()
        (data / "lock").touch()
        chosen = options(Settings(data_dir=data, runtime_dir=str(runtime), accelerator="auto", uid_base=20_000))
        self.runs = Runs(chosen.runtime_dir, chosen.instance, None)
        self.runs.open()
        self.monitors: list[Monitor] = []

    def hung(self) -> tuple[UUID, subprocess.Popen[bytes]]:
        """A process whose monitor takes connections, and says nothing."""
        machine, process = uuid4(), subprocess.Popen(["sleep", "1000"])
        self.runs.directory(machine).mkdir()
        started = start_time(process.pid)
        assert started is not None
        self.runs.write(Run(machine=machine, epoch=1, boot=boot_id(), pid=process.pid, started=started))
        self.silent = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.silent.bind(str(self.runs.directory(machine) / "qmp.sock"))
        self.silent.listen()
        return machine, process

    def machine(self, started: int, pid: int = 0, **how: object) -> tuple[UUID, Monitor]:
        """A machine with a monitor; with the process `pid`, or one that has ended, as all do of an earlier boot."""
        machine = uuid4()
        self.runs.directory(machine).mkdir()
        run = Run(machine=machine, epoch=1, boot="this", pid=1, started=started)
        if pid:
            run = Run(machine=machine, epoch=1, boot=boot_id(), pid=pid, started=start_time(pid) or 0)
        self.runs.write(run)
        made = Monitor(self.runs.directory(machine) / "qmp.sock", **how)  # type: ignore[arg-type]
        self.monitors.append(made)
        return machine, made

    def stop_guests(self, *words: str, **environment: str) -> Result:
        settings = {"VELOCITY_DATA_DIR": str(self.data), "VELOCITY_RUNTIME_DIR": str(self.runtime), **environment}
        settings = {"VELOCITY_LISTEN": "127.0.0.1:9", "XDG_CONFIG_HOME": str(self.data), **settings}
        result = CliRunner().invoke(velocity, ["service", "stop-guests", *words], env=settings)
        if isinstance(result.exception, ClientError):
            result.exit_code = complain(result.exception)
        return result


@pytest.fixture
def installation(tmp_path: Path, runtime: Path) -> Iterator[Installation]:
    made = Installation(tmp_path / "data", runtime)
    yield made
    for monitor in made.monitors:
        monitor.close()


@pytest.mark.holds("GUEST-26")
def test_guests_of_a_server_that_was_stopped_are_asked_directly(installation: Installation) -> None:
    """The youngest first; those that are paused or have ended, too."""
    old, heard = installation.machine(100)
    young, paused = installation.machine(200, status="paused")
    unborn, prelaunch = installation.machine(10, status="prelaunch")
    _, gone = installation.machine(5)
    gone.close()
    ended = installation.stop_guests()
    assert ended.exit_code == 0, (ended.stderr, ended.exception)
    assert ended.stderr.splitlines() == [
        f"asked machine {young} to shut down",
        f"asked machine {old} to shut down",
        f"ended machine {unborn}, which had not begun to run",
    ]
    assert heard.asked == paused.asked == BUTTON
    assert prelaunch.asked == ["qmp_capabilities", "query-status", "quit"]


@pytest.mark.holds("GUEST-26")
def test_one_that_does_not_shut_down_in_time_is_ended(installation: Installation) -> None:
    deaf, unheard = installation.machine(50, deaf=True)
    ended = installation.stop_guests("--timeout", "0")
    assert (ended.exit_code, ended.stderr) == (0, f"ended machine {deaf}, which did not shut down\n"), ended.exception
    assert unheard.asked == [*BUTTON, "quit"]


@pytest.mark.holds("GUEST-97")
def test_one_that_does_not_respond_is_ended_and_not_only_said_to_be(
    installation: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stop_guests, "ANSWER", 0.1)
    machine, process = installation.hung()
    try:
        ended = installation.stop_guests("--timeout", "0")
        assert process.wait(PATIENCE) == -signal.SIGKILL
        assert (ended.exit_code, ended.stderr) == (0, f"ended machine {machine}, which did not respond\n")
    finally:
        installation.silent.close()
        process.kill()
        process.wait()


@pytest.mark.holds("GUEST-102")
def test_one_whose_process_outlives_its_monitor_is_not_said_to_run_on(installation: Installation) -> None:
    """QEMU closes its monitor first, and the kernel frees its memory before the process is gone."""
    process = subprocess.Popen(["sleep", "1000"])
    machine, _ = installation.machine(0, status="prelaunch", pid=process.pid)
    kernel = threading.Timer(LATER, process.kill)
    kernel.start()
    ended = installation.stop_guests("--timeout", "0")
    gone = start_time(process.pid) is None
    kernel.join(PATIENCE)
    process.wait(PATIENCE)
    assert gone, "the command waits for it"
    assert (ended.exit_code, ended.stderr) == (0, f"ended machine {machine}, which had not begun to run\n")


@pytest.mark.holds("GUEST-97")
def test_a_guest_that_cannot_be_ended_is_told_and_fails_the_command(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stop_guests, "ENDING", 0.0)
    host.ok("vm", "create", "web", "--memory", "64M")
    host.ok("vm", "start", "web")
    host.hypervisor.faults.answers.extend([Answer.LOST] * 20)
    left = host.run("service", "stop-guests", "--timeout", "0")
    host.hypervisor.faults.answers.clear()
    assert left.exit_code == 1 and "still running: web" in left.stderr, left.stderr


@pytest.mark.holds("GUEST-102")
def test_one_whose_end_takes_a_while_is_not_said_to_run_on(host: Host) -> None:
    """The kernel frees the memory of a large guest for many seconds."""
    host.ok("vm", "create", "web", "--memory", "64M")
    host.ok("vm", "start", "web")
    host.hypervisor.faults.answers.extend([Answer.LOST] * 20)
    kernel = threading.Timer(LATER, lambda: host.loop.call_soon_threadsafe(host.hypervisor.faults.answers.clear))
    kernel.start()
    ended = host.run("service", "stop-guests", "--timeout", "0")
    kernel.join(PATIENCE)
    assert ended.exit_code == 0 and "still running" not in ended.stderr, ended.stderr


@pytest.mark.holds("GUEST-26")
def test_a_server_that_is_starting_is_waited_for(installation: Installation, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever has the data will answer, and has the monitors."""
    monkeypatch.setattr(stop_guests, "time", Clock())
    _, monitor = installation.machine(1)
    lock = os.open(installation.data / "lock", os.O_RDWR)
    fcntl.flock(lock, fcntl.LOCK_EX)
    waited = installation.stop_guests("--timeout", "1")
    os.close(lock)
    assert waited.exit_code == 5
    assert waited.stderr.count("waiting for the server") >= 2
    assert monitor.asked == []


class Refusing(BaseHTTPRequestHandler):
    """Another server at the address of one that has ended."""

    def do_POST(self) -> None:
        said = json.dumps({"code": 100, "message": "this authkey is unknown", "reason": "", "error": True}).encode()
        self.send_response(401)
        self.send_header("content-length", str(len(said)))
        self.end_headers()
        self.wfile.write(said)

    def log_message(self, *_: object) -> None:
        """Nothing."""


@pytest.mark.holds("GUEST-26")
def test_another_server_at_the_address_keeps_no_guest_from_being_asked(installation: Installation) -> None:
    _, monitor = installation.machine(1)
    other = ThreadingHTTPServer(("127.0.0.1", 0), Refusing)
    with serving(other):
        ended = installation.stop_guests(VELOCITY_LISTEN=f"127.0.0.1:{other.server_port}")
    assert ended.exit_code == 0, ended.stderr
    assert "system_powerdown" in monitor.asked


@pytest.mark.holds("GUEST-26")
def test_settings_that_are_wrong_since_the_start_keep_no_guest_from_being_asked(
    installation: Installation, tmp_path: Path
) -> None:
    config = tmp_path / "velocity.toml"
    config.write_text("listen = nonsense\n")
    ended = installation.stop_guests(VELOCITY_CONFIG=str(config))
    assert ended.exit_code == 0
    assert ended.stderr.startswith(f"warning: {config}")
    assert installation.stop_guests(VELOCITY_UID_BASE="x").exit_code == 0


@pytest.mark.holds("MANY-145")
def test_guests_of_a_node_are_asked_when_it_has_ended(installation: Installation) -> None:
    """Whose monitors are its own until then. No server is asked, which is another machine's."""
    _, monitor = installation.machine(1)
    identity = places.identity(installation.data)
    identity.parent.mkdir()
    identity.touch()
    lock = os.open(installation.data / "lock", os.O_RDWR)
    fcntl.flock(lock, fcntl.LOCK_EX)
    waited = installation.stop_guests("--timeout", "0")
    os.close(lock)
    assert waited.exit_code == 1
    assert "stop it first (systemctl stop velocity-node)" in waited.stderr
    assert monitor.asked == []
    assert installation.stop_guests().exit_code == 0
    assert "system_powerdown" in monitor.asked
