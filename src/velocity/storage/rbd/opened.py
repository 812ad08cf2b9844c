"""RBD images as open files: qemu-storage-daemon exports each by FUSE while it is open.

So everything that uses a pool's files works here, too, and QEMU's programs need neither a key nor a network.
https://www.qemu.org/docs/master/tools/qemu-storage-daemon.html
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import select
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

from velocity.storage.directory.shared_descriptor import SharedDescriptor
from velocity.storage.port import Stat
from velocity.storage.rbd.rados_pool import SLOW, WORDS, RadosPool, error_of, no_room, whole

PROGRAM = "qemu-storage-daemon"
LOOK = 2.0
"""Seconds between checks of those that wait for a daemon."""


class OpenImage(SharedDescriptor):
    """An open image. `was` is the stat of an image opened for reading, as FUSE reports whole sectors.

    `note` is called with a length that is not in whole sectors.
    """

    def __init__(self, descriptor: int, daemon: Daemon, was: Stat | None, note: Callable[[int], None]) -> None:
        super().__init__(descriptor)
        self._daemon = daemon
        self._was = was
        self._note = note

    @contextlib.contextmanager
    def use(self) -> Iterator[int]:
        """Within, it is in use. Raises `OSError`; ENOSPC if the daemon was killed because the pool is full."""
        try:
            with self._daemon.used(), super().use() as descriptor:
                yield descriptor
        except Exception:
            self._daemon.check_room()  # otherwise a missing file would be reported
            raise

    def stat(self) -> Stat:
        return super().stat() if self._was is None else self._was

    def truncate(self, size: int) -> None:
        super().truncate(size)
        if size != whole(size):
            self._note(size)
            super().truncate(whole(size))

    def _release(self) -> None:
        """Closing a FUSE file waits for its daemon, so it is done in a thread."""
        threading.Thread(target=self._let_go, name="rbd", daemon=True).start()

    def _let_go(self) -> None:
        with self._daemon.used(), contextlib.suppress(OSError):  # it is closed even if the daemon was killed
            super()._release()
        self._daemon.end()


class Daemon:
    """The daemon of one image. Its file is in a mount namespace of its own.

    It ends with the server, by setpriv(1), unless it is `lent` to a machine.

    In a full pool writes wait, without an error. A machine's disk then stalls until there is room. For all others the
    daemon is killed, which ends their waits.
    """

    def __init__(self, pool: RadosPool, image: str, place: Path, *, readonly: bool, lent: bool = False) -> None:
        """Start the daemon, with its file at `place`. Raises `OSError`."""
        self._pool = pool
        self._readonly = readonly
        if not readonly:
            pool.full.prepare()
        self._waiting = threading.Thread(target=self._wait, name="rbd", daemon=True)
        self._gives_up = not readonly and not lent
        self._gave_up = False
        self._uses: set[object] = set()
        """Those that wait for it now."""
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
        """Open its file, once the daemon's greeting shows that it exists. Raises `OSError`."""
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

    @contextlib.contextmanager
    def used(self) -> Iterator[None]:
        """Within, the caller waits for it."""
        one = object()
        self._uses.add(one)
        try:
            yield
        finally:
            self._uses.discard(one)

    def check_room(self) -> None:
        """Raises `OSError` if it was killed because the pool is full."""
        if self._gave_up:
            raise no_room(self._pool)

    def end(self) -> None:
        """Have it write everything back and close the image."""
        self._uses.add(self)
        self._process.terminate()

    def kill(self) -> None:
        """Kill it, with what it has not written back. Those that wait for it get an error."""
        self._process.kill()

    def wait(self, seconds: float | None = None) -> bool:
        """Returns when it has ended, and its file is removed, or after so many seconds; whether it has."""
        self._waiting.join(seconds)
        return not self._waiting.is_alive()

    def _wait(self) -> None:
        with self._process:
            assert self._process.stderr is not None
            complaints, waiting = self._process.stderr.fileno(), set[object]()
            while True:
                if select.select([complaints], [], [], LOOK if self._gives_up else None)[0]:
                    if not os.read(complaints, 1 << 16):  # its stderr must be read, or it blocks
                        break
                else:
                    waiting, before = set(self._uses), waiting
                    if waiting & before:
                        self._give_up_if_full()
            self._process.wait()
        self._place.unlink(missing_ok=True)

    def _give_up_if_full(self) -> None:
        try:
            self._pool.check_room()
        except OSError:
            self._gave_up = True
            self.kill()


WITH_US = ("setpriv", "--pdeathsig=TERM", "--")
APART = ("unshare", "--mount", "--propagation=private", "--")


def words(pool: RadosPool, image: str, place: Path, *, readonly: bool) -> list[str]:
    """The daemon's command line, without a key."""
    node = {**pool.node(image), "node-name": "image", "read-only": readonly, "discard": "unmap"}
    writes = "off" if readonly else "on"
    return [
        PROGRAM, "--blockdev", json.dumps(node),
        "--export", f"type=fuse,id=file,node-name=image,mountpoint={str(place).replace(',', ',,')},"
        f"writable={writes},growable={writes},allow-other=on",
        "--chardev", "stdio,id=monitor", "--monitor", "chardev=monitor",
    ]  # fmt: skip


def told(complaints: str) -> tuple[int, str]:
    """The error number and message in its last line."""
    last = (complaints.strip().splitlines() or ["it ended"])[-1]
    why = last.rpartition(": ")[2]
    number = next((one for one in errno.errorcode if os.strerror(one) == why), errno.EIO)
    return number, last[:WORDS]
