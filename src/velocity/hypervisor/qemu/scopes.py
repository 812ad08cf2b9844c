"""What a machine's process may take of memory, threads and processors: a scope of systemd's, one for each.

A scope outlives the server, ends with its last process, and leaves nothing to be cleared. Control groups of our own,
below the server's unit, would keep systemd from starting that unit again while guests run. docs/decisions/0024;
systemd.scope(5), systemd.resource-control(5), org.freedesktop.systemd1(5)
"""

from __future__ import annotations

import logging
import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from velocity.hypervisor.port import Incarnation, MachineSpec

log = logging.getLogger(__name__)

BOOTED = Path("/run/systemd/system")
"""Where it is, systemd manages this host. sd_booted(3)"""
ROOT = Path("/sys/fs/cgroup")
PROC = Path("/proc")
SLICE = "velocity.slice"
GUESTS = "velocity-guests.service"
"""Ends before the scopes do, as it asks guests to shut down."""
PATIENCE = 5
"""Seconds that systemd has."""

THREADS = 1024
"""QEMU has one for each vCPU, at most 255, at most 64 that wait for disks, and a few."""
WEIGHT = 100
"""That of every scope and service that says nothing else: when processors are scarce, VMs get the same of them."""

BASE, DISPLAY, DISK, CPU = 1024, 512, 64, 256
"""MiB beside the guest's memory and a quarter of that; docs/performance.md says what was measured, which is less.

Code that is translated (56 MiB), QEMU itself, connections of NAT; twice what a guest may keep in a display; the caches
of a qcow2 disk; what a vCPU knows of addresses under software emulation, which grows with the memory that is in use.
"""


@dataclass(frozen=True)
class Bounds:
    """What holds of one process. None: no bound."""

    memory: int | None = None
    threads: int | None = None
    weight: int | None = None


def most_memory(spec: MachineSpec) -> int:
    """MiB that its process may take: never so few that it is the bound which ends an honest guest."""
    own = BASE + spec.cpus * CPU + len(spec.displays) * DISPLAY + len(spec.disks) * DISK
    return spec.memory + spec.memory // 4 + own


def enter(pid: int, who: Incarnation, memory: int, booted: Path = BOOTED) -> None:
    """Have systemd put it into a scope, with so many MiB.

    What fails is logged, and `isolation` says what does not hold then.
    """
    if booted.is_dir() and (trouble := _call(*_beginning(pid, who, memory))):
        log.warning("machine %s: systemd gave its process no scope, and so no bounds: %s", who.machine, trouble)


def bound(who: Incarnation, memory: int, booted: Path = BOOTED) -> None:
    """Let the processes of its scope take so many MiB from here on. What fails is logged: it is bounded as before."""
    words = ("SetUnitProperties", "sba(sv)", _scope(who), "true", "1", "MemoryMax", "t", str(memory << 20))
    if booted.is_dir() and (trouble := _call(*words)):
        log.warning("machine %s: systemd did not change the bound of its memory: %s", who.machine, trouble)


def _scope(who: Incarnation) -> str:
    return f"velocity-{who.machine}-{who.epoch}.scope"


def _call(*words: str) -> str:
    """A method of systemd's manager, which is the user's where that has begun the server, or it is no root. busctl(1)

    What went wrong, in words.
    """
    manager = "--user" if os.geteuid() or "MANAGERPID" in os.environ else "--system"
    to = ("org.freedesktop.systemd1", "/org/freedesktop/systemd1", "org.freedesktop.systemd1.Manager")
    try:
        done = subprocess.run(
            ["busctl", manager, "--quiet", f"--timeout={PATIENCE}", "call", *to, *words],
            stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=PATIENCE, check=False,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired) as error:
        return str(error)
    return done.stderr.strip() if done.returncode else ""


def _beginning(pid: int, who: Incarnation, memory: int) -> list[str]:
    properties = [
        ("Description", "s", f"Velocity's machine {who.machine}"),
        ("Slice", "s", SLICE),
        ("PIDs", "au", "1", str(pid)),
        ("Before", "as", "1", GUESTS),
        ("CollectMode", "s", "inactive-or-failed"),
        ("MemoryMax", "t", str(memory << 20)),
        ("TasksMax", "t", str(THREADS)),
        ("CPUWeight", "t", str(WEIGHT)),
    ]
    return [
        *("StartTransientUnit", "ssa(sv)a(sa(sv))", _scope(who), "fail", str(len(properties))),
        *(word for one in properties for word in one),
        "0",
    ]


def held(pid: int, root: Path = ROOT, proc: Path = PROC) -> Bounds:
    """Those of its control group, read back. A group that the server is in, too, is no bound of its own.

    Raises `OSError`: it has ended.
    """
    own, ours = (_group((proc / who / "cgroup").read_text()) for who in (str(pid), "self"))
    if own is None or own == ours:
        return Bounds()
    place = root / own.strip("/")
    memory = _number(place / "memory.max")
    return Bounds(memory and memory >> 20, _number(place / "pids.max"), _number(place / "cpu.weight"))


def lacking(root: Path = ROOT, booted: Path = BOOTED) -> str | None:
    """What this host lacks for that, with the cure; None: nothing."""
    if not booted.is_dir():
        return "there is no systemd here to give it a control group"
    if not (root / "cgroup.controllers").exists():
        return "this host has control groups of version 1: start it with systemd.unified_cgroup_hierarchy=1"
    return None if shutil.which("busctl") else "install systemd's busctl"


def _group(text: str) -> str | None:
    """Its group of version 2. cgroups(7)"""
    return next((line[3:] for line in text.splitlines() if line.startswith("0::")), None)


def _number(file: Path) -> int | None:
    try:
        text = file.read_text().strip()
    except OSError:
        return None  # the group has no such controller
    return int(text) if text.isdigit() else None
