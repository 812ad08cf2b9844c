"""RBD images as open files: qemu-storage-daemon exports each by FUSE while it is open.

So whatever reads and writes a pool's files does so here, too: QEMU's own programs without a key or a network.
https://www.qemu.org/docs/master/tools/qemu-storage-daemon.html
"""

from __future__ import annotations

import errno
import json
import os
import select
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path

from velocity.storage.directory.shared_descriptor import SharedDescriptor
from velocity.storage.port import Stat
from velocity.storage.rbd.rados_pool import SLOW, WORDS, RadosPool, error_of, whole

PROGRAM = "qemu-storage-daemon"


class OpenImage(SharedDescriptor):
    """One that is open. `was` is what it was as it was opened to be read: FUSE tells its size in whole sectors.

    `note` is told of a length that is none of these.
    """

    def __init__(self, descriptor: int, daemon: Daemon, was: Stat | None, note: Callable[[int], None]) -> None:
        super().__init__(descriptor)
        self._daemon = daemon
        self._was = was
        self._note = note

    def stat(self) -> Stat:
        return super().stat() if self._was is None else self._was

    def truncate(self, size: int) -> None:
        super().truncate(size)
        if size != whole(size):
            self._note(size)
            super().truncate(whole(size))

    def _release(self) -> None:
        super()._release()
        self._daemon.end()


class Daemon:
    """That of one image. Its file is in a mount namespace of its own.

    It ends with the server, by setpriv(1), unless it is `lent`, to a machine: that goes on without the server.
    """

    def __init__(self, pool: RadosPool, image: str, place: Path, *, readonly: bool, lent: bool = False) -> None:
        """Begin it, with its file at that place. Raises `OSError`."""
        self._pool = pool
        self._readonly = readonly
        self._waiting = threading.Thread(target=self._wait, name="rbd", daemon=True)
        self._place = place
        place.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        place.touch(mode=0o600)
        pipe = subprocess.PIPE
        try:
            self._process = subprocess.Popen(
                [*([] if lent else WITH_US), *APART, *words(pool, image, self._place, readonly=readonly)],
                stdin=pipe,
                stdout=pipe,
                stderr=pipe,
                start_new_session=lent,
            )
        except FileNotFoundError as error:
            self._place.unlink()
            raise error_of(errno.ENOPKG, f"there is no program `{error.filename}`") from None

    def open(self) -> int:
        """Its file, as soon as it is there: the daemon greets then. Raises `OSError`."""
        assert self._process.stdout is not None
        assert self._process.stderr is not None
        try:
            while not select.select([self._process.stdout], [], [], SLOW)[0]:
                self._pool.check_room()
            if not self._process.stdout.readline():
                raise error_of(*told(self._process.stderr.read().decode(errors="replace")))
            seen = Path(f"/proc/{self._process.pid}/root") / self._place.relative_to("/")
            return os.open(seen, (os.O_RDONLY if self._readonly else os.O_RDWR) | os.O_CLOEXEC)
        except BaseException:
            self.end()
            raise
        finally:
            self._waiting.start()

    def end(self) -> None:
        """It writes back what it holds, and lets go of the image."""
        self._process.terminate()

    def wait(self) -> None:
        """Until it has ended, and its file has gone."""
        self._waiting.join()

    def _wait(self) -> None:
        with self._process:
            assert self._process.stderr is not None
            while os.read(self._process.stderr.fileno(), 1 << 16):  # else one that complains much stands still
                pass
            self._process.wait()
        self._place.unlink(missing_ok=True)


WITH_US = ("setpriv", "--pdeathsig=TERM", "--")
APART = ("unshare", "--mount", "--propagation=private", "--")


def words(pool: RadosPool, image: str, place: Path, *, readonly: bool) -> list[str]:
    """The daemon's; a key is none of them."""
    node = {**pool.node(image), "node-name": "image", "read-only": readonly, "discard": "unmap"}
    writes = "off" if readonly else "on"
    return [
        PROGRAM, "--blockdev", json.dumps(node),
        "--export", f"type=fuse,id=file,node-name=image,mountpoint={str(place).replace(',', ',,')},"
        f"writable={writes},growable={writes},allow-other=on",
        "--chardev", "stdio,id=monitor", "--monitor", "chardev=monitor",
    ]  # fmt: skip


def told(complaints: str) -> tuple[int, str]:
    """The error that it names at its end, and its words."""
    last = (complaints.strip().splitlines() or ["it ended"])[-1]
    why = last.rpartition(": ")[2]
    number = next((one for one in errno.errorcode if os.strerror(one) == why), errno.EIO)
    return number, last[:WORDS]
