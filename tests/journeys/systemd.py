"""A systemd of the test's own, with a message bus: a user manager that touches no unit of the host, and ends with all
that it started.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

from tests.patience import PATIENCE

SYSTEMD = "/usr/lib/systemd/systemd"
BUS = {
    "dbus.socket": "[Socket]\nListenStream=%t/bus\n",
    "dbus.service": (
        "[Unit]\nRequires=dbus.socket\n[Service]\nExecStart=dbus-daemon --session --address=systemd: --nofork\n"
    ),
}
"""The message bus, which systemd looks for by these names."""
INSIDE = """
set -e
mount --make-rprivate /
mount -t tmpfs none /run
mkdir -p /run/systemd/system
{systemd} --user --unit=default.target --log-target=console &
wait
"""
"""What the first process of the namespaces does: the end of it is the end of all others there. pid_namespaces(7)"""


class Manager:
    """Units come from `units`; its sockets are in `runtime`, whose path has to be short."""

    def __init__(self, place: Path, runtime: Path) -> None:
        self.units = place / "units"
        self.log = place / "systemd.log"
        self._inside = ""
        """The first process of the namespaces, from which the manager can be spoken to."""
        self._environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(place),
            "XDG_RUNTIME_DIR": str(runtime / "user"),
            "SYSTEMD_UNIT_PATH": str(self.units),
            "SYSTEMD_GENERATOR_PATH": str(place / "no-generators"),
            "SYSTEMD_COLORS": "0",
        }
        (runtime / "user").mkdir(mode=0o700)
        self.units.mkdir(parents=True)
        for target in ("default", "basic", "shutdown"):
            (self.units / f"{target}.target").write_text("[Unit]\n")
        for unit, text in BUS.items():
            (self.units / unit).write_text(text)

    @contextlib.contextmanager
    def running(self) -> Iterator[None]:
        words = ["unshare", "--pid", "--mount", "--fork", "--kill-child", "--mount-proc", "sh", "-c"]
        with _cgroups() as entered, self.log.open("wb") as log:
            process = subprocess.Popen(
                [*words, entered + INSIDE.format(systemd=SYSTEMD)],
                env=self._environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
            )  # fmt: skip
            try:
                children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
                end = time.monotonic() + 60
                while not (self._inside and self._call("is-active", "default.target").stdout.strip() == "active"):
                    assert process.poll() is None and time.monotonic() < end, self.log.read_text()
                    self._inside = children.read_text().strip()
                    time.sleep(0.05)
                self.ok("start", "dbus.service")
                yield
            finally:
                process.kill()
                process.wait()

    def ok(self, *words: str) -> str:
        """`systemctl`, which returns when the job has ended."""
        done = self._call(*words)
        assert done.returncode == 0, (words, done.stdout, done.stderr, self.log.read_text())
        return done.stdout.strip()

    def shown(self, unit: str, what: str) -> str:
        return self.ok("show", "--property", what, "--value", unit)

    def _call(self, *words: str) -> subprocess.CompletedProcess[str]:
        command = ["nsenter", "--target", self._inside, "--pid", "--mount", "systemctl", "--user", *words]
        return subprocess.run(command, env=self._environment, capture_output=True, text=True, timeout=120, check=False)


@contextlib.contextmanager
def _cgroups() -> Iterator[str]:
    """A control group of our own, in both versions where the host has both; and the command that enters it."""
    name = f"velocity-{uuid.uuid4().hex[:8]}"
    mounted = {}
    for line in Path("/proc/mounts").read_text().splitlines():
        _, place, kind, options, *_ = line.split()
        if kind == "cgroup2":
            mounted["0::"] = place
        elif kind == "cgroup" and "name=systemd" in options:
            mounted["name=systemd:"] = place
    made = []
    for line in Path("/proc/self/cgroup").read_text().splitlines():
        for mark, place in mounted.items():
            if mark in line:
                made.append(Path(place) / line.partition(mark)[2].strip("/") / name)
    for one in made:
        one.mkdir()
    try:
        yield "".join(f"echo $$ > {one}/cgroup.procs\n" for one in made)
    finally:
        end = time.monotonic() + PATIENCE
        for one in made:
            for inner in sorted(one.rglob("*/"), key=lambda path: len(path.parts), reverse=True):
                _remove(inner, end)
            _remove(one, end)


def _remove(group: Path, end: float) -> None:
    """What has just been killed is in its group for a moment more."""
    while group.exists():
        try:
            group.rmdir()
        except OSError:
            assert time.monotonic() < end, group
            time.sleep(0.05)
