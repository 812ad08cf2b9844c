"""What the administrator can set of this host."""

from __future__ import annotations

import hashlib
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path

from velocity.hypervisor.qemu.runs import UID_COUNT


@dataclass(frozen=True)
class Options:
    """The settings of the driver. `uids` is None where the server is no root."""

    data_dir: Path
    runtime_dir: Path
    accelerator: str
    uids: range | None
    binary: str = "qemu-system-x86_64"

    @property
    def instance(self) -> str:
        """Tells this server's run directories from those of others on this host."""
        return hashlib.sha256(str(self.data_dir.resolve()).encode()).hexdigest()[:8]


def options(data_dir: Path, runtime_dir: str, accelerator: str, uid_base: int) -> Options:
    """The options that the settings and the account of the server make."""
    root = os.geteuid() == 0
    if runtime_dir:
        runtime = Path(runtime_dir)
    elif root:
        runtime = Path("/run/velocity")
    elif os.environ.get("XDG_RUNTIME_DIR"):
        runtime = Path(os.environ["XDG_RUNTIME_DIR"]) / "velocity"
    else:
        runtime = Path(tempfile.gettempdir()) / f"velocity-{os.getuid()}"
    return Options(data_dir, runtime, accelerator, range(uid_base, uid_base + UID_COUNT) if root else None)
