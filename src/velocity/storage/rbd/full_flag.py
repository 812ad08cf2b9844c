"""Whether a pool is full, by its flags, which are queried when something takes long.

A process that was started before does this. A FUSE file whose daemon waits for the cluster would block the start of a
program, which closes its copy of the file's descriptor.
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
"""Seconds for which an answer is valid: the cluster does not update it more often."""
FULL = {"full", "full_quota"}
"""The flags with which all writes wait, without an error, until there is room."""
ASKS = 'while read -r _; do "$@"; echo; echo .; done'
"""The process: one answer for each line of input, ended by a line with a dot."""
END = b"\n.\n"
PATIENCE = 30.0
"""Seconds to wait for an answer; connecting times out earlier."""


class FullFlag:
    """Whether one pool `was` full when its cluster was last queried."""

    def __init__(self, pool: str, command: Sequence[str]) -> None:
        """`command` runs ceph with the options that reach the cluster."""
        self.was = False
        self._pool = pool
        self._command = [*command, "osd", "pool", "ls", "detail", "--format=json"]
        self._turn = threading.Lock()
        self._good_until = float("-inf")
        self._process: subprocess.Popen[bytes] | None = None

    def prepare(self) -> None:
        """Start the process, before a file is opened that may block. Raises `OSError`."""
        with self._turn:
            self._begun()

    def ask(self) -> None:
        """Update `was`. Raises `OSError` if it is not known."""
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
            with self._process as process:  # it ends at the end of its input
                process.kill()
            self._process = None
