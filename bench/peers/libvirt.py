"""The peer of a start: libvirt's daemon, alone in a mount namespace, driven through its Python binding.

The binding belongs to the distribution's Python, so that half of it (`libvirt_side.py`) is a process of its own, which
measures there and answers in lines of JSON.
"""

from __future__ import annotations

import contextlib
import json
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Any

from bench.harness import Absent, install

SIDE = Path(__file__).with_name("libvirt_side.py")
PACKAGES = ("libvirt-daemon", "libvirt-daemon-driver-qemu", "libvirt-clients", "python3-libvirt")
PYTHON = "/usr/bin/python3"
ALONE = (
    "unshare", "--mount", "--propagation", "private", "--pid", "--fork", "--kill-child", "--mount-proc", "--",
    "sh", "-c", '"$@"; exit $?', "sh",
)  # fmt: skip
"""A namespace that takes every process with it when it ends. Its first one, the shell, takes note of ended processes at
once: a destroy waits for that. unshare(1)
"""


class Libvirt:
    """A libvirtd with nothing in it. Raises `Absent` where it cannot run."""

    def __init__(self) -> None:
        missing = not shutil.which("libvirtd") or subprocess.run(
            [PYTHON, "-c", "import libvirt"], capture_output=True, check=False
        ).returncode  # fmt: skip
        if missing:
            install(*PACKAGES)
        self.home = Path(tempfile.mkdtemp(prefix="velocity-bench-libvirt-"))
        self.log = (self.home / "side.log").open("wb")
        self.process = subprocess.Popen(
            [*ALONE, PYTHON, "-P", str(SIDE), str(self.home)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.log, text=True,
        )  # fmt: skip
        try:
            self.version = str(self.do("hello")["version"])
        except Absent:
            self.close()
            raise

    def do(self, what: str, **more: Any) -> dict[str, Any]:
        """Have one thing done; `ms` of the answer is what it took there."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        try:
            self.process.stdin.write(json.dumps({"do": what, **more}) + "\n")
            self.process.stdin.flush()
            answer = json.loads(self.process.stdout.readline() or "{}")
        except BrokenPipeError:
            answer = {}
        if not answer or "error" in answer:
            said = answer.get("error") or (self.home / "side.log").read_text().strip()[-300:]
            raise Absent(f"libvirt: {what}: {said or 'it has ended'}")
        return dict(answer)

    def ms(self, what: str, **more: Any) -> float:
        return float(self.do(what, **more)["ms"])

    def close(self) -> None:
        with contextlib.suppress(Absent):
            self.do("end")
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
        self.log.close()
        shutil.rmtree(self.home, ignore_errors=True)
