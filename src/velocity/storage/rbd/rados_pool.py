"""One RADOS pool, or a namespace in it, through the program rbd, whose errors are `OSError`. rbd(8)"""

from __future__ import annotations

import calendar
import contextlib
import errno
import json
import logging
import os
import re
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from msgspec import Struct

from velocity.storage.rbd.full_flag import FullFlag

log = logging.getLogger(__name__)

CONNECT = 20
"""Seconds until connecting to a cluster is given up. Later requests may block, as on a disk."""
SECTOR = 512
PACKAGES = {"rbd": "ceph-common", "ceph": "ceph-common", "qemu-img": "qemu-utils"}
SLOW = 5.0
"""Seconds after which a full pool is checked for as the reason."""
UNREACHED = ("connect to the cluster", "open config file")
WORDS = 300
"""Characters of a program's error output that are kept."""


class Image(Struct, frozen=True):
    """An image's size in bytes, and its time in Unix seconds."""

    name: str
    size: int
    modified: float


@dataclass(frozen=True)
class RadosPool:
    """Access to a pool: a configuration file, and a user whose key is in it or in Ceph's default places."""

    conf: Path
    user: str
    pool: str
    namespace: str = ""
    full: FullFlag = field(init=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "full", FullFlag(self.pool, self._ceph))

    @property
    def name(self) -> str:
        return f"{self.pool}/{self.namespace}" if self.namespace else self.pool

    def image(self, name: str) -> str:
        return f"{self.name}/{name}"

    def names(self) -> list[str]:
        """The names of all images."""
        return list(json.loads(self.rbd("ls", "--format=json", self.name)))

    def info(self, name: str) -> Image:
        found = json.loads(self.rbd("info", "--format=json", self.image(name)))
        return Image(name, int(found["size"]), calendar.timegm(time.strptime(found["modify_timestamp"])))

    def used(self, name: str) -> int:
        """Bytes that the image uses, without replicas."""
        found = json.loads(self.rbd("du", "--format=json", self.image(name)))
        return sum(int(one["used_size"]) for one in found["images"])

    def create(self, name: str, size: int) -> None:
        """Create an image of zeros, in whole sectors, which uses no space."""
        self.rbd("create", f"--size={whole(size)}B", self.image(name))

    def metadata(self, name: str) -> dict[str, str]:
        """An image's metadata; empty if it does not exist."""
        try:
            return dict(json.loads(self.rbd("image-meta", "list", "--format=json", self.image(name)) or "{}"))
        except FileNotFoundError:
            return {}

    def qcow2(self, name: str, size: int, options: str) -> None:
        """Create an empty qcow2 image for a disk of this size."""
        access = f"id={_escaped(self.user)}:conf={_escaped(str(self.conf))}"
        file = f"rbd:{_escaped(self.image(name))}:{access}"
        run("qemu-img", "create", "-q", "-f", "qcow2", "-o", options, file, str(size), waits=self.check_room)

    def node(self, name: str) -> dict[str, str]:
        """QEMU's blockdev. https://www.qemu.org/docs/master/interop/qemu-qmp-ref.html, BlockdevOptionsRbd"""
        at = {"namespace": self.namespace} if self.namespace else {}
        return {"driver": "rbd", "conf": str(self.conf), "user": self.user, "pool": self.pool, **at, "image": name}

    def rename(self, name: str, other: str) -> None:
        """Never replaces another image."""
        self.rbd("rename", self.image(name), self.image(other))

    def remove(self, name: str) -> None:
        self.rbd("rm", "--no-progress", self.image(name))

    def rbd(self, *words: str) -> str:
        """Run rbd; returns its output. Raises `OSError` with its messages as notes, and if it waits for a full pool."""
        if self.full.was:
            self.check_room()
        return run("rbd", *self._access, *words, waits=self.check_room)

    def check_room(self) -> None:
        """Raises `OSError` if the pool is full: writes wait then, and so does opening for writing.

        If the cluster does not say, nothing is raised.
        """
        with contextlib.suppress(OSError):
            self.full.ask()
        if self.full.was:
            raise no_room(self)

    def ceph(self, *words: str) -> str:
        """Run ceph, in the same way."""
        return run(*self._ceph, *words)

    @property
    def _ceph(self) -> list[str]:
        return ["ceph", *self._access, f"--connect-timeout={CONNECT}"]

    @property
    def _access(self) -> list[str]:
        return [f"--conf={self.conf}", f"--id={self.user}", f"--client-mount-timeout={CONNECT}"]


def no_room(pool: RadosPool) -> OSError:
    return error_of(errno.ENOSPC, f"RADOS pool {pool.pool} is full: see `ceph health detail`")


def whole(size: int) -> int:
    """Rounded up to whole sectors: QEMU cannot query others (`qemu_rbd_co_block_status` of 7.2)."""
    return -(-size // SECTOR) * SECTOR


def run(*words: str, waits: Callable[[], object] = lambda: None) -> str:
    """Run a program; returns its output. Raises `OSError` with its messages as notes, and what `waits` raises."""
    try:
        process = subprocess.Popen(
            words,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
            env={"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C.UTF-8", "TZ": "UTC"},
        )
    except FileNotFoundError:
        raise error_of(errno.ENOPKG, f"there is no program `{words[0]}`: install {PACKAGES[words[0]]}") from None
    with process:
        told, complaints = _ended(process, waits)
    if process.returncode:
        raise failed(process.returncode, complaints)
    return told


def _ended(process: subprocess.Popen[str], waits: Callable[[], object]) -> tuple[str, str]:
    while True:
        try:
            return process.communicate(timeout=SLOW)
        except subprocess.TimeoutExpired:
            try:
                waits()
            except OSError:
                process.kill()
                raise


def _escaped(text: str) -> str:
    """A name in the old syntax, the only one that `qemu-img create` supports."""
    return re.sub(r"([\\:@=])", r"\\\1", text)


def failed(status: int, complaints: str) -> OSError:
    """The error of a program of Ceph: its exit status is the number, unless it did not reach the cluster."""
    words = (complaints.strip().splitlines() or [""])[-1][:WORDS]
    unreached = any(one in complaints for one in UNREACHED) or status not in errno.errorcode
    return error_of(errno.EHOSTUNREACH if unreached else status, words)


def error_of(number: int, words: str) -> OSError:
    error = OSError(number, os.strerror(number))
    error.add_note(words)
    log.debug("Ceph: %s", words)
    return error


def words_of(error: OSError) -> str:
    """The message of an error of `error_of`; of any other error, the operating system's."""
    return next(iter(getattr(error, "__notes__", ())), "") or str(error.strerror)
