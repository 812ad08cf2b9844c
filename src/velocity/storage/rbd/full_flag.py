"""Whether a pool is full, by its flags. Its cluster is asked when something takes long.

It is asked by a process that is there before. A file of FUSE whose daemon waits for the cluster holds up whoever begins
a program: that closes its copy of the file, and waits, too.
"""

from __future__ import annotations

import errno
import json
import os
import select
import subprocess
import threading
import time
from collections.abc import Sequence

FRESH = 5.0
"""Seconds for which what the cluster has told is good: it counts no more often itself."""
FULL = {"full", "full_quota"}
"""The flags of a pool in which all that writes waits, without an error, until there is room."""
ASKS = 'while read -r _; do "$@"; echo; echo .; done'
"""Its program: one answer for each line, with a point behind it."""
END = b"\n.\n"
PATIENCE = 30.0
"""Seconds that an answer has. Who connects gives up before."""


class FullFlag:
    """That of one pool: whether it `was` full when its cluster was asked last."""

    def __init__(self, pool: str, command: Sequence[str]) -> None:
        """`command` is Ceph's, with how the cluster is reached."""
        self.was = False
        self._pool = pool
        self._command = [*command, "osd", "pool", "ls", "detail", "--format=json"]
        self._turn = threading.Lock()
        self._good_until = float("-inf")
        self._process: subprocess.Popen[bytes] | None = None

    def prepare(self) -> None:
        """To be called before a file is opened that may wait. Raises `OSError`."""
        with self._turn:
            self._begun()

    def ask(self) -> None:
        """Raises `OSError`: nobody knows, and it is taken for what it was."""
        with self._turn:
            if time.monotonic() >= self._good_until:
                self.was = self._is_full(json.loads(self._answer()))
                self._good_until = time.monotonic() + FRESH

    def close(self) -> None:
        with self._turn:
            self._end()

    def _is_full(self, pools: list[dict[str, str]]) -> bool:
        return any(one["pool_name"] == self._pool and FULL & set(one["flags_names"].split(",")) for one in pools)

    def _answer(self) -> bytes:
        process = self._begun()
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(b"\n")
        told, end = b"", time.monotonic() + PATIENCE
        while not told.endswith(END):
            there = select.select([process.stdout], [], [], max(0.0, end - time.monotonic()))[0]
            piece = os.read(process.stdout.fileno(), 1 << 16) if there else b""
            if not piece:
                self._end()
                raise OSError(errno.EHOSTUNREACH, os.strerror(errno.EHOSTUNREACH))
            told += piece
        if not told.strip(b"\n."):
            raise OSError(errno.EHOSTUNREACH, os.strerror(errno.EHOSTUNREACH))
        return told.removesuffix(END)

    def _begun(self) -> subprocess.Popen[bytes]:
        if self._process is not None and self._process.poll() is not None:
            self._end()
        if self._process is None:
            pipe, nothing = subprocess.PIPE, subprocess.DEVNULL
            words = ["sh", "-c", ASKS, "sh", *self._command]
            environment = {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C.UTF-8"}
            self._process = subprocess.Popen(
                words, stdin=pipe, stdout=pipe, stderr=nothing, bufsize=0, env=environment, start_new_session=True
            )
        return self._process

    def _end(self) -> None:
        if self._process is not None:
            with self._process as process:  # it ends at the end of what it reads
                process.kill()
            self._process = None
