"""The driver's options, from the server's settings and account."""

from __future__ import annotations

import contextlib
import hashlib
import logging
import os
import subprocess
import tempfile
from dataclasses import dataclass, field, replace
from pathlib import Path

from velocity import durable
from velocity.config import Settings
from velocity.hypervisor.qemu.moves.network import MovePorts
from velocity.hypervisor.qemu.processes import table
from velocity.hypervisor.qemu.runs import UID_COUNT

log = logging.getLogger(__name__)

RUNS = "runs"
"""The file in the data directory that says where the guests run."""


@dataclass(frozen=True)
class Options:
    """The settings of the driver. `uids` is None if the server is not root."""

    data_dir: Path
    runtime_dir: Path
    accelerator: str
    uids: range | None
    binary: str = "qemu-system-x86_64"
    nat_subnet: str = ""
    moves: MovePorts = field(default_factory=MovePorts)
    guests_in: Path | None = None
    """Where the guests run, if that is another place than the settings say by now."""

    @property
    def instance(self) -> str:
        """Distinguishes this server's run directories from those of others on this host."""
        return hashlib.sha256(str(self.data_dir.resolve()).encode()).hexdigest()[:8]


def out_of_reach(chosen: Options) -> str | None:
    """Why guests' processes cannot reach their sockets; None: they can.

    Where they have mount namespaces, the directories above theirs do not matter: ask only where these are missing.
    """
    if chosen.uids is None or _passes(chosen.uids.start, chosen.runtime_dir):
        return None
    closed = next(
        (one for one in reversed(chosen.runtime_dir.parents) if not _passes(chosen.uids.start, one)), chosen.runtime_dir
    )
    return (
        f"no guest can start, as their uids ({chosen.uids.start} and up) cannot pass {closed}, where runtime_dir is: "
        f"`chmod o+x {closed}`, or set runtime_dir to another directory, such as /run/velocity"
    )


def _passes(uid: int, directory: Path) -> bool:
    """Asks the kernel, because access control lists count too."""
    test = subprocess.run(["test", "-x", directory], user=uid, group=uid, extra_groups=[], check=False)
    return test.returncode == 0


def options(settings: Settings) -> Options:
    """The options from the settings and the account of the server."""
    root = os.geteuid() == 0
    if settings.runtime_dir:
        runtime = Path(settings.runtime_dir)
    elif root:
        runtime = Path("/run/velocity")
    elif os.environ.get("XDG_RUNTIME_DIR"):
        runtime = Path(os.environ["XDG_RUNTIME_DIR"]) / "velocity"
    else:
        runtime = Path(tempfile.gettempdir()) / f"velocity-{os.getuid()}"
    uids = range(settings.uid_base, settings.uid_base + UID_COUNT) if root else None
    chosen = Options(
        settings.data_dir,
        runtime,
        settings.accelerator,
        uids,
        nat_subnet=settings.nat_subnet,
        moves=MovePorts(settings.move_host, settings.move_range),
    )
    return where_guests_run(chosen)


def where_guests_run(chosen: Options) -> Options:
    """Guests that run stay where they were started: with another `runtime_dir` they would not be found, and shown as
    STOPPED.

    For ordinary users it differs between sessions, as XDG_RUNTIME_DIR is not set in all of them. If the directory is
    gone, they are known by the process table at least.
    """
    try:
        former = Path((chosen.data_dir / RUNS).read_text().strip())
    except (OSError, ValueError):
        return chosen
    if former.parent == chosen.runtime_dir or former.name != chosen.instance:  # of a data directory that was copied
        return chosen
    if not table([former], {os.geteuid(), *(chosen.uids or ())}):
        return chosen
    return replace(chosen, runtime_dir=former.parent if former.is_dir() else chosen.runtime_dir, guests_in=former)


def note_runs(chosen: Options, root: Path) -> None:
    """Note for the next server where the guests of this one run. A disk that is full keeps no server from starting."""
    file, words = chosen.data_dir / RUNS, f"{root}\n"
    with contextlib.suppress(OSError, ValueError):
        if file.read_text() == words:
            return
    try:
        durable.write(file, words.encode())
    except OSError as error:
        log.warning("where guests run cannot be noted in %s: %s", file, error.strerror)
