"""The run directories: where a running machine is found again, and which uid it has.

`<runtime>/<instance>/<machine>/run.json` says which process it is; `own/` beside it is the only place that QEMU may
write to. Both lie on a file system that does not outlive the host's restart. A uid is claimed by a symbolic link
/run/velocity/uids/<uid>, one place for the whole host, so that two servers on it never give the same one.
"""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from uuid import UUID

import msgspec
from msgspec import Struct

from velocity.hypervisor.qemu.spool import Bounds

UID_COUNT = 10_000

CLAIMS = Path("/run/velocity/uids")

SOCKET_PATH = 107
"""Bytes that the path of a unix socket may have. unix(7)"""


class TooLong(Exception):
    """The runtime directory's path is too long for the sockets below it; the message has the cure."""


class Run(Struct, frozen=True):
    """One run as it is found again. `started` is the process's start time in clock ticks since the host's boot.

    A pid alone proves nothing: pid, start time and boot together name a process.
    """

    machine: UUID
    epoch: int
    boot: str
    pid: int = 0
    started: int = 0
    uid: int = -1
    nat: bool = False
    links: tuple[str, ...] = ()
    spool: Bounds | None = None
    """Of the files that its QEMU writes to; None: one that an earlier version started."""


def boot_id() -> str:
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()


def start_time(pid: int) -> int | None:
    """The process's start time, or None when there is no such process (a zombie is none)."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return None
    fields = text[text.rindex(")") + 2 :].split()
    return None if fields[0] in "ZX" else int(fields[19])


class Runs:
    """The run directories of one server. `uids` is None for an ordinary user, whose machines share the user's uid."""

    def __init__(self, runtime: Path, instance: str, uids: range | None, claims: Path = CLAIMS) -> None:
        self._root = runtime / instance
        self._claims = claims
        self._uids = uids
        self._boot = boot_id()
        self._turn = 0

    def open(self) -> None:
        """Make the directories, and clear what is no run: what a crash left of one. Raises `TooLong`."""
        longest = len(os.fsencode(self._root)) + len("/00000000-0000-0000-0000-000000000000/own/display00.sock")
        if longest > SOCKET_PATH:
            raise TooLong(
                f"the path of the runtime directory is {longest - SOCKET_PATH} bytes too long for unix sockets: "
                "set runtime_dir to a shorter one, such as /run/velocity"
            )
        for directory in (self._root.parent, self._root):
            directory.mkdir(mode=0o711, parents=True, exist_ok=True)
            directory.chmod(0o711 if self._uids is not None else 0o700)
        if self._uids is not None:
            self._claims.mkdir(mode=0o755, parents=True, exist_ok=True)
        for directory in self._root.iterdir():
            if _read(directory) is None:
                shutil.rmtree(directory, ignore_errors=True)

    @property
    def root(self) -> Path:
        return self._root

    def directory(self, machine: UUID) -> Path:
        return self._root / str(machine)

    def own(self, machine: UUID) -> Path:
        return self.directory(machine) / "own"

    def begin(self, machine: UUID, epoch: int, *, nat: bool, spool: Bounds | None = None) -> Run:
        """Make the directory of a new run and claim a uid for it. Raises `FileExistsError` while one is there.

        After another `OSError` something of it may be left.
        """
        directory = self.directory(machine)
        directory.mkdir(mode=0o711)
        uid = os.getuid()
        try:
            if self._uids is not None:
                uid = self._claim(machine)
            self.own(machine).mkdir(mode=0o700)
            if self._uids is not None:
                os.chown(self.own(machine), uid, uid)
            run = Run(machine=machine, epoch=epoch, boot=self._boot, uid=uid, nat=nat, spool=spool)
            self.write(run)
        except BaseException:
            with contextlib.suppress(OSError):  # the caller has it cleared
                self.end(Run(machine=machine, epoch=epoch, boot=self._boot, uid=uid))
            raise
        return run

    def left(self, machine: UUID) -> Run | None:
        """What an earlier run has left, as nobody could clear it; None: nothing. Raises `FileExistsError`: it runs."""
        directory = self.directory(machine)
        if not directory.exists():
            return None
        run = _read(directory) or Run(machine=machine, epoch=0, boot=self._boot)
        if self.process(run) is not None:
            raise FileExistsError(errno.EEXIST, "an older run of this machine has not ended yet")
        return run

    def write(self, run: Run) -> None:
        file = self.directory(run.machine) / "run.json"
        draft = file.with_suffix(".draft")
        draft.write_bytes(msgspec.json.encode(run))
        draft.rename(file)

    def end(self, run: Run) -> None:
        """Remove the directory and give the uid back. Done already is success. Raises `OSError`: to be done again."""
        if self._uids is not None and run.uid in self._uids:
            claim = self._claims / str(run.uid)
            with contextlib.suppress(FileNotFoundError):
                if claim.readlink() == self.directory(run.machine):
                    claim.unlink()
        # First what makes it a run: a server that finds half of the rest takes it for none.
        (self.directory(run.machine) / "run.json").unlink(missing_ok=True)
        with contextlib.suppress(FileNotFoundError):
            shutil.rmtree(self.directory(run.machine))

    def all(self) -> Iterator[Run]:
        """Every run that is there. A directory without one may be of a run that is about to begin, or to end."""
        for directory in sorted(self._root.iterdir()):
            if (run := _read(directory)) is not None:
                yield run

    def process(self, run: Run) -> int | None:
        """The pid of the run's process if it is still that very process, else None."""
        if run.boot != self._boot:
            return None
        if run.pid:
            return run.pid if start_time(run.pid) == run.started else None
        # The server ended between the spawn and the note of it: the command line tells.
        return _by_command_line(run.machine)

    def _claim(self, machine: UUID) -> int:
        assert self._uids is not None
        target = self.directory(machine)
        # From the last one on: the first ones are taken for as long as their machines run.
        for uid in chain(self._uids[self._turn :], self._uids[: self._turn]):
            if _take(self._claims / str(uid), target):
                self._turn = self._uids.index(uid) + 1
                return uid
        raise OSError("every uid for machines is taken: widen uid_base's range")


def _take(claim: Path, target: Path) -> bool:
    try:
        claim.symlink_to(target)
    except FileExistsError:
        with contextlib.suppress(OSError):
            if not claim.readlink().exists():  # its server is gone without a trace
                claim.unlink()
                claim.symlink_to(target)
                return True
        return False
    return True


def _read(directory: Path) -> Run | None:
    try:
        return msgspec.json.decode((directory / "run.json").read_bytes(), type=Run)
    except (OSError, msgspec.DecodeError):
        return None


def _by_command_line(machine: UUID) -> int | None:
    wanted = f"-uuid\0{machine}\0".encode()
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                line = (entry / "cmdline").read_bytes()
                if wanted in line and start_time(int(entry.name)) is not None:
                    return int(entry.name)
    return None
