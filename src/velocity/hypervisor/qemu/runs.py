"""The run directories, by which running machines and their uids are found again.

`<runtime>/<instance>/<machine>/run.json` identifies the process; `own/` beside it is the only place that QEMU may write
to. Both are on a file system that does not survive a reboot. Of a run that has ended, only the note of its end stays,
until it is acknowledged. A uid is claimed by a symbolic link /run/velocity/uids/<uid>, one directory for the whole
host, so that two servers never use the same one. A missing directory does not mean that the process has ended: the
process table is consulted, and the directory created again.
"""

from __future__ import annotations

import contextlib
import errno
import logging
import os
from collections.abc import Callable, Iterator
from itertools import chain
from pathlib import Path
from uuid import UUID

import msgspec
from msgspec import Struct

from velocity import durable
from velocity.hypervisor.qemu.processes import Process, start_time, table
from velocity.hypervisor.qemu.removal import remove_tree
from velocity.hypervisor.qemu.run_note import Between, Run, RunNic
from velocity.hypervisor.qemu.spool import SpoolRange, range_of
from velocity.hypervisor.waits import OLDER_RUN
from velocity.network.rules import link_name

log = logging.getLogger(__name__)

UID_COUNT = 10_000
"""The uids from `uid_base` on of which each machine gets its own."""

CLAIMS = Path("/run/velocity/uids")
"""The claims of uids, by all servers of the host."""

SOCKET_PATH = 107
"""The longest path of a unix socket in bytes. unix(7)"""


class TooLong(Exception):
    """The path of the runtime directory is too long for sockets below it; the message has the cure."""


class Look(Struct, frozen=True):
    """The runs that were found, each with the pid of its process, if that exists. `complete`: there are no others."""

    runs: list[tuple[Run, int | None]]
    complete: bool


def boot_id() -> str:
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()


class Runs:
    """The run directories of one server.

    `uids` is None for an ordinary user, whose machines share the user's uid. `remove` removes a directory with its
    content. `given` returns the addresses that NAT assigned to a MAC address. `former` is where machines run that were
    started with another runtime directory.
    """

    def __init__(
        self,
        runtime: Path,
        instance: str,
        uids: range | None,
        claims: Path = CLAIMS,
        remove: Callable[[Path], None] = remove_tree,
        given: Callable[[str], tuple[str, ...]] = lambda mac: (),
        former: Path | None = None,
    ) -> None:
        self._given = given
        self._remove = remove
        self._root = runtime / instance
        self._roots = [self._root] if former is None else [self._root, former]
        self._claims = claims
        self._uids = uids
        self._boot = boot_id()
        self._turn = 0
        self._alive: dict[UUID, Run] = {}
        """Those whose directories are created again if somebody removes them."""

    def open(self) -> None:
        """Create the directories, and remove what a crash left that is not a run. Raises `TooLong`."""
        longest = len(os.fsencode(self._root)) + len("/00000000-0000-0000-0000-000000000000/own/display00.sock")
        if longest > SOCKET_PATH:
            raise TooLong(
                f"the path of the runtime directory is {longest - SOCKET_PATH} bytes too long for unix sockets: "
                "set runtime_dir to a shorter one, such as /run/velocity"
            )
        self._make()
        look = self.look()
        if not look.complete:
            return  # what cannot be examined may be alive
        runs = {self.directory(run.machine) for run, _ in look.runs}
        for directory in self._root.iterdir():
            if directory not in runs:
                with contextlib.suppress(OSError):
                    self._remove(directory)
        self._take_back({run.uid: run.machine for run, _ in look.runs if run.end is None})

    def _make(self) -> None:
        for directory in (self._root.parent, self._root):
            directory.mkdir(mode=0o711, parents=True, exist_ok=True)
            directory.chmod(0o711 if self._uids is not None else 0o700)
        if self._uids is not None:
            self._claims.mkdir(mode=0o755, parents=True, exist_ok=True)

    def _make_one(self, machine: UUID, *, exist_ok: bool = False) -> None:
        """Whatever the umask: without namespaces, its process gets to its own directory through this one."""
        directory = self.directory(machine)
        directory.mkdir(exist_ok=exist_ok)
        directory.chmod(0o711)

    def _take_back(self, taken: dict[int, UUID]) -> None:
        """Release uids claimed by starts that were interrupted; not those of other servers."""
        for claim in self._claims.iterdir() if self._uids is not None else ():
            with contextlib.suppress(OSError):
                target = claim.readlink()
                holder = taken.get(int(claim.name)) if claim.name.isdigit() else None
                if target.parent == self._root and (holder is None or target != self.directory(holder)):
                    claim.unlink()

    @property
    def root(self) -> Path:
        return self._root

    def directory(self, machine: UUID) -> Path:
        return self._root / str(machine)

    def own(self, machine: UUID) -> Path:
        return self.directory(machine) / "own"

    def begin(
        self,
        machine: UUID,
        epoch: int,
        *,
        nat: bool,
        spool: SpoolRange | None = None,
        between: Between | None = None,
    ) -> Run:
        """Create the directory of a new run and claim a uid. Raises `FileExistsError` while there is one.

        After any other `OSError`, parts of it may remain.
        """
        if not self._root.is_dir():
            self._restore()
        self._make_one(machine)
        uid = os.getuid()
        try:
            if self._uids is not None:
                uid = self._claim(machine)
            self.own(machine).mkdir(mode=0o700)
            if self._uids is not None:
                os.chown(self.own(machine), uid, uid)
            run = Run(machine=machine, epoch=epoch, boot=self._boot, uid=uid, nat=nat, spool=spool, between=between)
            self.write(run)
        except BaseException:
            with contextlib.suppress(OSError):  # the caller has it cleared
                self.end(Run(machine=machine, epoch=epoch, boot=self._boot, uid=uid))
            raise
        return run

    def left(self, machine: UUID) -> Run | None:
        """What an earlier run has left that could not be removed; None: nothing. Raises `FileExistsError`: it runs."""
        directory = self.directory(machine)
        if not directory.exists():
            return None
        run = _read(directory)
        lives = machine in self._table() if run is None else self.process(run) is not None
        if lives:
            raise FileExistsError(errno.EEXIST, OLDER_RUN)
        return run or Run(machine=machine, epoch=0, boot=self._boot)

    def write(self, run: Run) -> None:
        file = self.directory(run.machine) / "run.json"
        durable.write(file, msgspec.json.encode(run), mode=0o644, lasting=False)  # it is of this boot
        if run.pid and run.end is None:
            self._alive[run.machine] = run

    def note_end(self, run: Run) -> None:
        """Record how it ended, even if somebody has removed its directory. Raises `OSError`."""
        self._alive.pop(run.machine, None)
        if not self.directory(run.machine).is_dir():
            self._make()
            self._make_one(run.machine, exist_ok=True)
        self.write(run)

    def end(self, run: Run) -> None:
        """Release the uid and remove the directory, except for the note of its end, if any.

        Idempotent. Raises `OSError`: call it again.
        """
        self._alive.pop(run.machine, None)
        directory = self.directory(run.machine)
        if self._uids is not None and run.uid in self._uids:
            claim = self._claims / str(run.uid)
            with contextlib.suppress(FileNotFoundError):
                if claim.readlink() == directory:
                    claim.unlink()
        if run.end is None:
            # First the file that makes it a run, so that a server that finds a part of the rest ignores it.
            (directory / "run.json").unlink(missing_ok=True)
            with contextlib.suppress(FileNotFoundError):
                self._remove(directory)
            return
        for left in directory.iterdir():
            if left.is_dir():
                self._remove(left)
            elif left.name != "run.json":
                left.unlink()
        self.write(Run(machine=run.machine, epoch=run.epoch, boot=run.boot, end=run.end, begun=run.begun))

    def note(self, machine: UUID) -> Run | None:
        """The present note of its run. Raises `OSError`."""
        return _read(self.directory(machine))

    def all(self) -> Iterator[Run]:
        """All runs. A directory without a note may be of a run that is about to start, or to end."""
        for directory in sorted(self._root.iterdir()):
            if (run := _read(directory)) is not None:
                yield run

    def look(self) -> Look:
        """All runs, by their directories and by one pass through the process table."""
        runs: dict[UUID, tuple[Run, int | None]] = {}
        complete = True
        try:
            self._make()
            processes = self._table()
            directories = sorted(self._root.iterdir())
        except OSError as error:
            log.warning("running machines cannot be listed: %s", error.strerror)
            return Look([], complete=False)
        for directory in directories:
            try:
                run = _read(directory)
                if run is not None:
                    pid = self._process(run, processes.get(run.machine))
                    runs[run.machine] = self._found(run, pid), pid
            except OSError as error:
                log.warning("the run in %s cannot be examined: %s", directory, error.strerror)
                complete = False
        for process in processes.values():
            if runs.get(process.machine, (None, None))[1] != process.pid and start_time(process.pid) is not None:
                try:
                    runs[process.machine] = self._recreate(process), process.pid
                except OSError as error:
                    log.warning("machine %s: its run directory cannot be created again: %s", process.machine, error)
                    complete = False
        return Look(list(runs.values()), complete)

    def _found(self, run: Run, pid: int | None) -> Run:
        """The completed note: the server may have ended between the spawn and its note."""
        if pid is None:
            return run
        run = msgspec.structs.replace(run, pid=pid, started=run.started or start_time(pid) or 0)
        self._alive[run.machine] = run
        return run

    def process(self, run: Run) -> int | None:
        """The pid of the run's process if it is still that process, otherwise None. Raises `OSError`."""
        lost = run.pid == 0 and run.end is None and run.boot == self._boot
        return self._process(run, self._table().get(run.machine) if lost else None)

    def _table(self) -> dict[UUID, Process]:
        return table(self._roots, {os.geteuid(), *(self._uids or ())}, self._may_have)

    def _may_have(self, machine: UUID, uid: int) -> bool:
        """Whether no other machine has that uid. If that is unknown, as claims were removed, it may be this one's."""
        if self._uids is None or uid not in self._uids:
            return True
        try:
            return (self._claims / str(uid)).readlink() in [root / str(machine) for root in self._roots]
        except OSError:
            return True

    def _process(self, run: Run, found: Process | None) -> int | None:
        if run.boot != self._boot or run.end is not None:
            return None
        if run.pid:
            return run.pid if start_time(run.pid) == run.started else None
        # The server ended between the spawn and the note of it: the command line tells.
        return found.pid if found is not None and found.epoch in (0, run.first_epoch) else None

    def _recreate(self, process: Process) -> Run:
        """Create directory, note and claim of a live run again."""
        nics = {
            link_name("vt", process.uid, nic): RunNic(nic, mac, self._given(mac)) for nic, mac in process.taps.items()
        }
        run = Run(
            machine=process.machine,
            epoch=process.epoch,
            boot=self._boot,
            pid=process.pid,
            started=process.started,
            uid=process.uid,
            nat=process.nat,
            links=tuple(nics),
            nics=nics,
            spool=range_of(self._root, process.pid)
            if (self.directory(process.machine) / "serial.0").exists()
            else None,
        )
        log.warning("machine %s is running, but the record of its run was lost: creating it again", run.machine)
        self.keep(run)
        return run

    def keep(self, run: Run) -> None:
        """Create again what is missing of a live run's directory. Raises `OSError`."""
        self._make()
        self._make_one(run.machine, exist_ok=True)
        if not (own := self.own(run.machine)).exists():
            own.mkdir(mode=0o700)
            os.chown(own, run.uid, run.uid if self._uids is not None else -1)
        if self._uids is not None and run.uid in self._uids:
            self._keep_claim(self._claims / str(run.uid), run.machine)
        self.write(run)

    def _keep_claim(self, claim: Path, machine: UUID) -> None:
        with contextlib.suppress(FileExistsError):
            claim.symlink_to(self.directory(machine))
            return
        if claim.readlink() in [root / str(machine) for root in self._roots[1:]]:  # that directory is gone
            new = claim.with_name(f".{claim.name}")
            new.unlink(missing_ok=True)
            new.symlink_to(self.directory(machine))
            new.rename(claim)

    def _restore(self) -> None:
        """Create everything again before a uid is claimed, which may be one of ours."""
        self._make()
        for run in list(self._alive.values()):
            self.keep(run)

    def _claim(self, machine: UUID) -> int:
        assert self._uids is not None
        if not self._claims.is_dir():
            self._restore()
        target = self.directory(machine)
        # From the last one on: the first ones are in use as long as their machines run.
        for uid in chain(self._uids[self._turn :], self._uids[: self._turn]):
            if _take(self._claims / str(uid), target):
                self._turn = self._uids.index(uid) + 1
                return uid
        raise OSError("all uids for machines are in use: widen the range of uid_base")


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
    """The note in that directory; None: there is none, or it is invalid. Raises `OSError`."""
    try:
        return durable.read(directory / "run.json", Run)
    except (FileNotFoundError, NotADirectoryError, msgspec.DecodeError):
        return None
