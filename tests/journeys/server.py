"""A real server in a process of its own, and a client that knows nothing but the contract (standard library only)."""

from __future__ import annotations

import contextlib
import ctypes
import itertools
import json
import os
import signal
import ssl
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import quote

from websockets.sync.client import ClientConnection, connect

from tests.answers import note
from tests.patience import BOOT, PATIENCE
from tests.reserved import reserved

PASSWORD = "correct horse battery"
T = TypeVar("T")
_commands = itertools.count(1)
"""Across all terminals: a later one begins with what an earlier one has seen."""


def free_port() -> int:
    """A port of loopback that is reserved until this process ends."""
    bound = reserved()
    port = int(bound.getsockname()[1])
    bound.detach()
    return port


class Server:
    """`velocity serve` on a data directory of its own; it may be killed and started again."""

    def __init__(self, data: Path, *, netns: str | None = None, within: Sequence[str] = (), **settings: str) -> None:
        """`within`: the words before the command, which run it in some namespace."""
        self.data = data
        self.netns = netns
        self.within = within
        self.port = free_port()
        self.settings = settings
        self.key = ""
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> float:
        """Seconds until it answered a request with an authkey."""
        environment = {name: value for name, value in os.environ.items() if not name.startswith("VELOCITY_")}
        environment |= {
            "VELOCITY_LISTEN": f"127.0.0.1:{self.port}",
            "VELOCITY_DATA_DIR": str(self.data),
            "VELOCITY_ROOT_PASSWORD": PASSWORD,
            **({} if self.netns else {"VELOCITY_NAT_SUBNET": "none"}),  # the host's own network stays as it is
            **{f"VELOCITY_{name.upper()}": value for name, value in self.settings.items()},
        }
        command = [*self.within, sys.executable, "-m", "velocity", "serve"]
        if self.netns:
            command = ["ip", "netns", "exec", self.netns, *command]
        self.data.parent.mkdir(parents=True, exist_ok=True)
        begun = time.monotonic()
        with (self.data.parent / f"{self.data.name}.log").open("ab") as log:
            self.process = subprocess.Popen(
                command, env=environment, stdout=log, stderr=log, stdin=subprocess.DEVNULL,
                start_new_session=True,  # as a service's is
            )  # fmt: skip
        while True:
            assert self.process.poll() is None, self.log()
            assert time.monotonic() - begun < PATIENCE, self.log()
            try:
                if not self.key:
                    _, answer = self.call("POST", "/u/auth", name="root", password=PASSWORD)
                    self.key = answer["authkey"]
                assert self.call("POST", "/v/vm/list", gid=0)[0] == 200
            except (ConnectionError, urllib.error.URLError):
                time.sleep(0.02)
            else:
                return time.monotonic() - begun

    def kill(self) -> None:
        """As a crash would."""
        assert self.process is not None
        self.process.kill()
        self.process.wait()

    def end(self) -> str:
        """As Ctrl-C would; its last words."""
        assert self.process is not None
        self.process.send_signal(signal.SIGINT)
        self.process.wait(PATIENCE)
        return self.log().strip().splitlines()[-1]

    def close(self) -> None:
        """End every guest and the server."""
        if self.process is not None and self.process.poll() is None:
            for group in self.ok("POST", "/u/group/list")["groups"]:
                for vm in self.ok("POST", "/v/vm/list", gid=group["gid"])["vms"]:
                    self.call("PUT", "/v/vm/state", vmid=vm["vmid"], state="STOPPED", force=True)
            self.end()

    def log(self) -> str:
        return (self.data.parent / f"{self.data.name}.log").read_text()

    def call(self, method: str, path: str, /, **body: Any) -> tuple[int, dict[str, Any]]:
        headers = {"content-type": "application/json"}
        if self.key:
            headers["authorization"] = f"Bearer {self.key}"
        return self._send(method, path, json.dumps(body).encode(), headers)

    def ok(self, method: str, path: str, /, **body: Any) -> dict[str, Any]:
        status, answer = self.call(method, path, **body)
        assert status == 200, (method, path, body, status, answer)
        return answer

    def upload(self, name: str, data: bytes, *, type: str = "ISO", readonly: bool = False) -> str:
        headers = {
            "x-velocity-authkey": self.key,
            "x-velocity-mpid": "1",
            "x-velocity-gid": "0",
            "x-velocity-name": quote(name),
            "x-velocity-type": type,
            "x-velocity-readonly": "true" if readonly else "false",
        }
        status, answer = self._send("PUT", "/m/media/upload", data, headers)
        assert status == 200, answer
        return str(answer["mid"])

    def console(self, vmid: int) -> Terminal:
        ticket = self.ok("POST", "/v/vm/console", vmid=vmid, kind="serial")
        url = f"ws://127.0.0.1:{self.port}{ticket['path']}"
        opened = contextlib.ExitStack()
        socket = self.inside(lambda: opened.enter_context(connect(url, proxy=None, compression=None)))
        return Terminal(socket, opened)

    def state(self, vmid: int) -> dict[str, Any]:
        return self.ok("POST", "/v/vm/state", vmid=vmid)

    def wait_for(self, vmid: int, state: str, seconds: float) -> dict[str, Any]:
        end = time.monotonic() + seconds
        while (now := self.state(vmid))["state"] != state:
            assert time.monotonic() < end, (state, now, self.log()[-3000:])
            time.sleep(0.05)
        return now

    def measured(self, name: str) -> float:
        """The one sample of that name in GET /metrics."""
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.port}/metrics", headers={"authorization": f"Bearer {self.key}"}
        )

        def read() -> str:
            with urllib.request.urlopen(request, timeout=PATIENCE) as answer:
                return str(answer.read().decode())

        (line,) = (line for line in self.inside(read).splitlines() if line.startswith(name))
        return float(line.rpartition(" ")[2])

    def processes(self) -> list[int]:
        """The pids of the QEMU processes of this server's machines."""
        machines = {one.name for one in (self.data / "machines").glob("*")}
        found = []
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit():
                try:
                    words = (entry / "cmdline").read_bytes().split(b"\0")
                except OSError:
                    continue
                if b"-uuid" in words and words[words.index(b"-uuid") + 1].decode() in machines:
                    found.append(int(entry.name))
        return sorted(found)

    def _send(self, method: str, path: str, body: bytes, headers: dict[str, str]) -> tuple[int, dict[str, Any]]:
        own = self.settings.get("tls_cert")
        tls = ssl.create_default_context(cafile=own) if own else None
        scheme = "https" if tls else "http"
        request = urllib.request.Request(f"{scheme}://127.0.0.1:{self.port}{path}", body, headers, method=method)

        def send() -> tuple[int, dict[str, Any]]:
            try:
                with urllib.request.urlopen(request, timeout=90, context=tls) as answer:
                    return answer.status, json.load(answer)
            except urllib.error.HTTPError as error:
                with error:
                    answer = json.load(error)
                    note(method, path, error.code, answer["code"])
                    return error.code, answer

        return self.inside(send)

    def inside(self, work: Callable[[], T]) -> T:
        """In the server's network namespace, whose loopback it listens on. setns(2) changes one thread only."""
        return work() if self.netns is None else in_namespace(self.netns, work)


def cli(server: Server, *words: object, **settings: str) -> str:
    """`velocity`, as an administrator on the server's own machine types it."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("VELOCITY_")}
    environment |= {
        "VELOCITY_SERVER": f"http://127.0.0.1:{server.port}",
        "VELOCITY_AUTHKEY": server.key,
        "VELOCITY_DATA_DIR": str(server.data),
        **settings,
    }
    command = [sys.executable, "-m", "velocity", *map(str, words)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, (words, done.stdout, done.stderr)
    return done.stdout.strip()


def in_namespace(name: str, work: Callable[[], T]) -> T:
    results: list[T] = []
    failures: list[BaseException] = []

    def run() -> None:
        try:
            with Path(f"/run/netns/{name}").open() as namespace:
                if ctypes.CDLL(None, use_errno=True).setns(namespace.fileno(), 0x40000000):
                    raise OSError(ctypes.get_errno(), "setns")
            results.append(work())
        except BaseException as error:
            failures.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    if failures:
        raise failures[0]
    return results[0]


class Terminal:
    """A serial console: what the guest says, and typing to its shell."""

    def __init__(self, socket: ClientConnection, opened: contextlib.ExitStack) -> None:
        self.socket = socket
        self._opened = opened
        self.seen = b""

    def until(self, marker: bytes, seconds: float) -> bytes:
        """What is said up to and with the marker."""
        end = time.monotonic() + seconds
        while marker not in self.seen:
            left = end - time.monotonic()
            assert left > 0, (marker, self.seen[-2000:])
            try:
                data = self.socket.recv(min(left, 1))
            except TimeoutError:
                continue
            assert isinstance(data, bytes), "serial consoles carry binary frames"
            self.seen += data
        head, _, self.seen = self.seen.partition(marker)
        return head + marker

    def run(self, command: str, seconds: float = PATIENCE) -> str:
        """Type a command and return what it printed, with its echo."""
        number = next(_commands)
        self.type(f"{command}; echo EN''D{number}.\n")
        return self.until(f"END{number}.".encode(), seconds).decode("utf-8", "replace").replace("\r", "")

    def type(self, text: str) -> None:
        self.socket.send(text.encode())

    def boot(self, seconds: float = BOOT) -> str:
        """Wait for the demo guest's shell; what it said until then."""
        said = self.until(b"GUEST READY", seconds).decode("utf-8", "replace").replace("\r", "")
        self.until(b"# ", PATIENCE)
        return said

    def firmware(self) -> None:
        """Wait until the firmware, which has nothing to boot, is about to start its shell."""
        self.until(b"any other key", PATIENCE)

    def shell(self) -> None:
        """Wait for the firmware's shell."""
        self.firmware()
        self.type("\r")  # it waits two seconds for what may follow Escape
        self.until(b"Shell>", PATIENCE)

    def close(self) -> None:
        self._opened.close()
