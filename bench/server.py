"""A server to measure: `velocity serve` on a directory of its own, and the thinnest client that speaks to it."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple

from bench.harness import cpu_seconds

PASSWORD = "bench bench bench"
MEMORY = Path("/dev/shm")
RUNTIME = MEMORY if MEMORY.is_dir() else None
"""Where running machines have their sockets: in memory, as /run is on a host with systemd.

On ext4, to make one of the dozen files of a run takes the longer the more were removed in the last five seconds.
"""

IDLE = 3.0
"""Seconds after which a server may have closed a connection that nobody used."""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def usual() -> dict[str, str]:
    """The environment without what settings of Python (compiled modules are kept) or of ours would change."""
    return {name: value for name, value in os.environ.items() if not name.startswith(("VELOCITY_", "PYTHON"))}


class Wrong(Exception):
    """The server answered with an error."""


class Client:
    """One kept-alive connection. It does nothing but send and receive, or it would be what is measured."""

    def __init__(self, port: int, key: str = "") -> None:
        self.key = key
        self._port = port
        self._socket: socket.socket | None = None
        self._used = 0.0

    def call(self, method: str, path: str, /, **fields: Any) -> Any:
        """Raises `Wrong`."""
        body = json.dumps(fields).encode()
        head = (
            f"{method} {path} HTTP/1.1\r\nhost: velocity\r\nauthorization: Bearer {self.key}\r\n"
            f"content-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
        )
        connection = self.connect()
        connection.sendall(head.encode() + body)
        came = b""
        while not (end := came.find(b"\r\n\r\n") + 4) > 3:
            came += self._more(connection)
        lines = came[:end].split(b"\r\n")
        size = next(int(line[15:]) for line in lines if line.lower().startswith(b"content-length:"))
        parts = [came[end:]]
        left = size - len(parts[0])
        while left:
            parts.append(self._more(connection))
            left -= len(parts[-1])
        self._used = time.monotonic()
        answer = b"".join(parts)
        if lines[0].split()[1] != b"200":
            raise Wrong(f"{method} {path}: {lines[0].decode()} {answer.decode()}")
        return json.loads(answer)

    def close(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def connect(self) -> socket.socket:
        if time.monotonic() - self._used > IDLE:
            self.close()
        if self._socket is None:
            self._socket = socket.create_connection(("127.0.0.1", self._port), 120)
            self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return self._socket

    def _more(self, connection: socket.socket) -> bytes:
        if not (piece := connection.recv(1 << 18)):
            raise Wrong("the server has closed the connection")
        return piece


class Launched(NamedTuple):
    """From the start of the server's process to its first full list, which was read: both in milliseconds."""

    ms: float
    cpu: float


class Velocity:
    """A server with pool 1. `data` stays over `stop` and `start`, and goes with the end of the `with` block.

    With `fake` its VMs are in memory alone: `bench.faked`.
    """

    def __init__(self, *, fake: bool = False, **settings: str) -> None:
        self.data = Path(tempfile.mkdtemp(prefix="velocity-bench-"))
        self.runs = Path(tempfile.mkdtemp(prefix="velocity-runs-", dir=RUNTIME))
        self.runs.chmod(0o711)  # QEMU's uid goes through it
        self.port = free_port()
        self.module = "bench.faked" if fake else "velocity"
        self.settings = settings
        self.key = ""
        self.process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Velocity:
        self.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        with contextlib.suppress(Exception):
            client = self.client()
            for vm in client.call("POST", "/v/vm/list", gid=0)["vms"]:
                if vm["state"] != "STOPPED":
                    client.call("PUT", "/v/vm/state", vmid=vm["vmid"], state="STOPPED", force=True)
        self.stop()
        self._end_guests()
        shutil.rmtree(self.data, ignore_errors=True)
        shutil.rmtree(self.runs, ignore_errors=True)

    @property
    def pid(self) -> int:
        assert self.process is not None
        return self.process.pid

    def start(self) -> None:
        """Returns when it has answered."""
        environment = usual() | {
            "VELOCITY_LISTEN": f"127.0.0.1:{self.port}",
            "VELOCITY_DATA_DIR": str(self.data),
            "VELOCITY_RUNTIME_DIR": str(self.runs),
            "VELOCITY_ROOT_PASSWORD": PASSWORD,
            "VELOCITY_EVENT_STREAMS": "1024",  # a few users stand for many
            "VELOCITY_NAT_SUBNET": "none",  # the host's own network stays as it is
            **{f"VELOCITY_{name.upper()}": value for name, value in self.settings.items()},
        }
        with (self.data / "server.log").open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", self.module, "serve"], env=environment, stdout=log, stderr=log,
                stdin=subprocess.DEVNULL, start_new_session=True,
            )  # fmt: skip
        end = time.monotonic() + 60
        while True:
            if self.process.poll() is not None or time.monotonic() > end:
                raise Wrong((self.data / "server.log").read_text())
            try:
                if not self.key:
                    self.key = Client(self.port).call("POST", "/u/auth", name="root", password=PASSWORD)["authkey"]
                self.client().call("POST", "/v/nic/list")
                return
            except ConnectionError:
                time.sleep(0.005)

    def stop(self, number: int = signal.SIGTERM) -> None:
        """End the server, in order or (SIGKILL) as a crash would; guests go on."""
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(number)
            try:
                self.process.wait(20)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()

    def _end_guests(self) -> None:
        """Those that no server could end: a bench that fails leaves nothing behind."""
        for file in self.runs.glob("*/*/run.json"):
            with contextlib.suppress(OSError):
                pid = json.loads(file.read_text())["pid"]
                if b"qemu" in Path(f"/proc/{pid}/cmdline").read_bytes():
                    os.kill(pid, signal.SIGKILL)

    def launch(self, vms: int) -> Launched:
        """Start until all its VMs are listed. Raises `Wrong` when there are others."""
        begun = time.perf_counter()
        self.start()
        listed = len(self.client().call("POST", "/v/vm/list", gid=0)["vms"])
        if listed != vms:
            raise Wrong(f"{listed} VMs are listed instead of {vms}")
        return Launched((time.perf_counter() - begun) * 1000, cpu_seconds(self.pid) * 1000)

    def client(self) -> Client:
        return Client(self.port, self.key)

    def reference_vm(self, client: Client, name: str, *, disk: bool = True) -> int:
        """The VM that all start benches use: one virtual CPU, 256 MiB, one disk of 64 MiB, one NIC, no display."""
        media = []
        if disk:
            mid = client.call("PUT", "/m/media/create", gid=0, mpid=1, name=name, size=64 << 20)["mid"]
            media = [{"mid": mid, "mode": "BLOCK"}]
        answer = client.call(
            "PUT", "/v/vm/efi", name=name, gid=0, cpus=1, memory_mib=256, media=media, nics=[{"type": "NAT"}]
        )
        return int(answer["vmid"])
