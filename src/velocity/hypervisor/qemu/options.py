"""The driver's options, from the server's settings and account."""

from __future__ import annotations

import hashlib
import os
import subprocess
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

from velocity.config import Settings
from velocity.hypervisor.qemu.moves.network import MovePorts
from velocity.hypervisor.qemu.runs import UID_COUNT


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
    return Options(
        settings.data_dir,
        runtime,
        settings.accelerator,
        uids,
        nat_subnet=settings.nat_subnet,
        moves=MovePorts(settings.move_host, settings.move_range),
    )
