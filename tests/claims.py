"""The uids that are claimed for machines, of all installations of this host: those of others come and go meanwhile."""

from __future__ import annotations

import contextlib
from pathlib import Path

from velocity.hypervisor.qemu.runs import CLAIMS


def claims(below: Path) -> dict[Path, Path]:
    """Claims for machines whose run directories lie below that place, and these directories."""
    found = {}
    for claim in CLAIMS.iterdir() if CLAIMS.is_dir() else ():
        with contextlib.suppress(OSError):
            if (target := claim.readlink()).is_relative_to(below):
                found[claim] = target
    return found
