"""The server as a process that is killed and started again, and a client of its API that knows when no answer came."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import tempfile
import time
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx

from tests.claims import claims
from tests.crash import points
from tests.crash.launcher import FORKS, WITH, begin
from tests.crash.memory import MACHINES
from tests.journeys.server import free_port
from tests.processes import lives

PASSWORD = "correct horse battery"
START = 60.0
"""Seconds that a start may take on a machine with much to do."""
POOL, OTHER = 1, 2
Answer = tuple[int, dict[str, Any]]


class Cut(Exception):
    """No whole answer came: nobody knows whether it was done."""


class Server:
    """`velocity serve` on a home of its own, with points at which it can be killed."""

    def __init__(self, *, qemu: bool, database: str = "", bridge: str = "") -> None:
        self.home = Path(tempfile.mkdtemp(prefix="vc-"))
        self.home.chmod(0o711)
        self.qemu = qemu
        self.bridge = bridge
        self.database = database
        self.data, self.runs = self.home / "data", self.home / "runs"
        self.pool = self.data / "media"
        self.pools = {POOL: self.pool, OTHER: self.home / "other/media"}
        self.machines = self.home / "machines.pickle"
        self.port = free_port()
        self.uid_base = 1_000_000 + 10_032 * (self.port % 10_000)
        self.log = self.home / "log"
        self.catalogue = self.home / "images.toml"
        """Of what `velocity launch` finds by name; whoever needs one writes it."""
        self.catalogue.touch()
        self.pools[OTHER].mkdir(parents=True)
        self._control, self._passed = self.home / "control", self.home / "passed"
        self._process: ForkServerProcess | None = None
        self._client = self._connect()
        self.sessions: set[int] = set()
        """Of all its processes so far: what they have begun is in theirs, unless it is to outlive them."""
        self.order("")

    def _connect(self) -> httpx.Client:
        limits = httpx.Limits(max_keepalive_connections=0)  # one that the server closes just then would seem cut
        return httpx.Client(
            base_url=f"http://127.0.0.1:{self.port}", timeout=90, trust_env=False, limits=limits,
            verify=False,  # noqa: S501 - there is no TLS, and to load the host's certificates takes long
        )  # fmt: skip

    def _environment(self) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("VELOCITY_", "CRASH_"))}
        settings = {
            "listen": f"127.0.0.1:{self.port}", "data_dir": str(self.data), "runtime_dir": str(self.runs),
            "root_password": PASSWORD, "authkey_lifetime": "864000", "uid_base": str(self.uid_base),
            "database": self.database, "nat_subnet": "none", "catalogues": f'["{self.catalogue}"]',
        }  # fmt: skip
        declared = (f'{{mpid = {mpid}, name = "{mpid}", path = "{path}"}}' for mpid, path in self.pools.items())
        settings["pools"] = f"[{', '.join(declared)}]"
        if self.bridge:
            settings["nics"] = f'[{{nicid = 1, identifier = "{self.bridge}"}}]'
        return {
            **kept,
            **{f"VELOCITY_{name.upper()}": value for name, value in settings.items() if value},
            points.CONTROL: str(self._control),
            points.PASSED: str(self._passed),
            MACHINES: str(self.machines),
            WITH: " ".join([points.QEMU if self.qemu else points.MEMORY, *(["bridged"] if self.bridge else [])]),
        }

    def spawn(self) -> None:
        self._process = FORKS.Process(target=begin, args=(self._environment(), self.log))
        self._process.start()
        assert self._process.pid is not None
        self.sessions.add(self._process.pid)

    def start(self) -> bool:
        """Start it; False: it was killed at a point on its way. Raises `AssertionError` when it does not answer."""
        self._client.close()
        self._client = self._connect()
        self.spawn()
        end = time.monotonic() + START
        while True:
            if self.ended():
                assert self.killed(), f"it ended at its start: {self.words()[-1500:]}"
                return False
            assert time.monotonic() < end, f"it does not answer: {self.words()[-1500:]}"
            with contextlib.suppress(Cut):
                if self.key and self.call("POST", "/u/group/list")[0] == 200:
                    return True
            time.sleep(0.05)

    def ends_by_then(self) -> bool:
        """Whether it was killed at a point that it had come to, behind its answers, before the last order."""
        try:
            self.call("POST", "/u/group/list")  # an answer passes a point, too: it waits for what was there before
        except Cut:
            assert self._process is not None
            self._process.join(START)
            return True
        return False

    def ended(self) -> bool:
        return self._process is not None and self._process.exitcode is not None

    def ends_within(self, seconds: float) -> bool:
        """Whether it is killed in that time."""
        if self._process is not None:
            self._process.join(seconds)
        return self.ended()

    def status(self) -> int | None:
        return None if self._process is None else self._process.exitcode

    def killed(self) -> bool:
        return self._process is not None and self._process.exitcode == -signal.SIGKILL

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.join()

    def close(self) -> None:
        """Nothing of it remains: neither guests, nor its fence, nor files."""
        self.kill()
        for pid in self.guests():
            with contextlib.suppress(OSError):
                os.kill(pid, signal.SIGKILL)
        if self.qemu and os.geteuid() == 0:
            fence = ["nft", "delete", "table", "inet", f"velocity_{self.uid_base}"]
            subprocess.run(fence, capture_output=True, check=False)
            for claim in self.claims():
                claim.unlink(missing_ok=True)
        self._client.close()
        shutil.rmtree(self.home, ignore_errors=True)

    # Its points

    def order(self, text: str) -> None:
        """Arm a point (`<n> <point>`), `record` what is passed, or neither."""
        draft = self._control.with_suffix(".draft")
        draft.write_text(text)
        self._read = self._passed.stat().st_size if self._passed.exists() else 0
        draft.rename(self._control)  # from here on it may be killed there, by what it does behind, too

    def passed(self) -> list[str]:
        """The points that were passed, or at which it was killed, since `order`."""
        if not self._passed.exists():
            return []
        return self._passed.read_bytes()[self._read :].decode().splitlines()

    # What it says

    def words(self) -> str:
        return self.log.read_text(errors="replace") if self.log.exists() else ""

    @property
    def key(self) -> str:
        file = self.data / "root.key"
        return file.read_text().strip() if file.exists() else ""

    def send(self, method: str, path: str, key: str | None = None, **more: Any) -> httpx.Response:
        """Raises `Cut`."""
        headers = {"authorization": f"Bearer {self.key if key is None else key}", **more.pop("headers", {})}
        try:
            return self._client.request(method, path, headers=headers, **more)
        except httpx.TransportError as error:
            raise Cut(repr(error)) from None

    def call(self, method: str, path: str, *, once: str = "", key: str | None = None, **fields: Any) -> Answer:
        headers = {"idempotency-key": once} if once else {}
        answer = self.send(method, path, key, headers=headers, json=fields)
        try:
            return answer.status_code, answer.json()
        except ValueError:
            raise Cut(f"{answer.status_code} without JSON") from None

    def ok(self, method: str, path: str, **fields: Any) -> dict[str, Any]:
        status, answer = self.call(method, path, **fields)
        assert status == 200, (method, path, fields, status, answer)
        return answer

    # Its guests

    def guests(self) -> dict[int, str]:
        """pid -> machine, of the QEMU processes below its home."""
        found = {}
        for entry in Path("/proc").iterdir():
            with contextlib.suppress(OSError, ValueError):
                words = (entry / "cmdline").read_bytes().split(b"\0") if entry.name.isdigit() else []
                if b"-uuid" in words and os.fsencode(self.home) in b" ".join(words) and lives(int(entry.name)):
                    found[int(entry.name)] = words[words.index(b"-uuid") + 1].decode()
        return found

    def children(self) -> dict[int, str]:
        """What its earlier processes have begun for themselves, and is still there: pid -> command."""
        now = set() if self._process is None or self.ended() else {self._process.pid}
        found = {}
        for entry in Path("/proc").iterdir():
            with contextlib.suppress(OSError, ValueError):
                fields = (entry / "stat").read_text().rpartition(")")[2].split() if entry.name.isdigit() else []
                if fields and int(fields[3]) in self.sessions - now and fields[0] not in "ZX":
                    found[int(entry.name)] = (
                        (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
                    )
        return found

    def claims(self) -> list[Path]:
        """The uids that are claimed for its machines."""
        return [*claims(self.runs)]


def new_key() -> str:
    """Of a request that may be sent again."""
    return str(uuid4())
