"""The directories in which one host keeps what its machines need."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from uuid import UUID

from velocity.contract.problems import Refused
from velocity.hypervisor.port import Incarnation
from velocity.hypervisor.qemu import disk_io
from velocity.hypervisor.qemu.runs import Runs
from velocity.hypervisor.qemu.seriallog import SerialLog
from velocity.hypervisor.qemu.spool import SpoolRange
from velocity.network.nat import Nat
from velocity.network.taps import HeldTaps
from velocity.storage.port import MediaFiles, variables


@dataclass(frozen=True)
class HostDirectories:
    """`state` has a directory for each machine, with its logs."""

    binary: str
    accelerator: str
    firmware: Path
    state: Path
    runs: Runs
    media: MediaFiles
    privileged: bool
    bounds: SpoolRange
    machine_types: frozenset[str] = frozenset()
    """The machine types of this QEMU; empty: not known."""
    nat: Nat | None = None
    """The NAT bridge; None: not possible here, now or before."""
    cpu_models: Mapping[str, str] = field(default_factory=dict)
    """As in `HostFacts`."""
    direct_aio: str = disk_io.NATIVE
    taps: HeldTaps = field(default_factory=HeldTaps)

    def forget(self, machine: UUID) -> None:
        """Remove its variables and logs. What cannot be removed is cleaned up at the next start."""
        with contextlib.suppress(Refused):
            self.media.remove(variables(machine))
        shutil.rmtree(self.state / str(machine), ignore_errors=True)

    @property
    def resolver(self) -> Path:
        """The directory with the copy of the host's resolv.conf."""
        return self.state.parent / "cache" / "resolver"

    def serial_log(self, machine: UUID) -> SerialLog:
        return SerialLog(self.state / str(machine))

    def qemu_log(self, who: Incarnation) -> Path:
        return self.state / str(who.machine) / "qemu.log"

    def kept(self) -> set[UUID]:
        """The machines that have a state directory here, but neither a run nor a recorded end."""
        found = set()
        for directory in self.state.iterdir() if self.state.is_dir() else ():
            with contextlib.suppress(ValueError):  # not a machine's
                machine = UUID(directory.name)
                own = str(machine) == directory.name and directory.is_dir() and not directory.is_symlink()
                if own and not self.runs.directory(machine).exists():
                    found.add(machine)
        return found

    def qmp(self, who: Incarnation) -> Path:
        return self.runs.directory(who.machine) / "qmp.sock"

    def agent(self, who: Incarnation) -> Path:
        """The socket of the guest agent's channel; missing if the run's hardware has none."""
        return self.runs.directory(who.machine) / "agent.sock"

    def asked(self, who: Incarnation) -> Path:
        """A file whose presence says that a forced stop was requested: if the process is gone, that is how it ended."""
        return self.runs.directory(who.machine) / "asked"
