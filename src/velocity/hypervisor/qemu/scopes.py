"""Limits memory, threads and CPU share of a machine's process by a systemd scope for each.

A scope survives the server, ends with its last process, and needs no cleanup. Control groups of our own below the
server's unit would keep systemd from starting that unit again while guests run. docs/decisions/0024; systemd.scope(5),
systemd.resource-control(5), org.freedesktop.systemd1(5)
"""

from __future__ import annotations

import logging
import os
import shutil
import subprocess
from pathlib import Path

from msgspec import Struct

from velocity.hypervisor.port import Incarnation, MachineSpec

log = logging.getLogger(__name__)

BOOTED = Path("/run/systemd/system")
"""If it exists, systemd manages this host. sd_booted(3)"""
ROOT = Path("/sys/fs/cgroup")
PROC = Path("/proc")
SLICE = "velocity.slice"
GUESTS = "velocity-guests.service"
"""Stops before the scopes do, as it asks guests to shut down."""
PATIENCE = 5
"""Seconds that systemd gets to answer."""

THREADS = 1024
"""QEMU has one for each vCPU (at most 255), up to 64 for disk I/O, and a few more."""
WEIGHT = 100
"""The default of systemd's units: when CPUs are scarce, all VMs get the same share."""

BASE, DISPLAY, DISK, CPU = 1024, 512, 64, 256
"""MiB besides the guest's memory and a quarter of it; docs/performance.md has measurements, which are lower.

The translation cache (up to 128 MiB), QEMU itself, connections of NAT; twice what a guest may keep in a display; the
caches of a qcow2 disk; the TLB of a vCPU under software emulation, which grows with the memory in use.
"""


class Bounds(Struct, frozen=True):
    """The limits of one process. None: no limit."""

    memory: int | None = None
    threads: int | None = None
    weight: int | None = None


def most_memory(spec: MachineSpec) -> int:
    """MiB that its process may take: enough that the limit never kills an honest guest."""
    own = BASE + spec.cpus * CPU + len(spec.displays) * DISPLAY + len(spec.disks) * DISK
    return spec.memory + spec.memory // 4 + own


def enter(pid: int, who: Incarnation, memory: int, booted: Path = BOOTED) -> None:
    """Have systemd put it into a scope with a limit of so many MiB.

    Failures are logged, and `isolation` then says what does not hold.
    """
    if booted.is_dir() and (trouble := _call(*_beginning(pid, who, memory))):
        log.warning("machine %s: systemd gave its process no scope, and so no bounds: %s", who.machine, trouble)


def bound(who: Incarnation, memory: int, booted: Path = BOOTED) -> None:
    """Change the limit of its scope to so many MiB. Failures are logged: it keeps the former limit."""
    words = ("SetUnitProperties", "sba(sv)", _scope(who), "true", "1", "MemoryMax", "t", str(memory << 20))
    if booted.is_dir() and (trouble := _call(*words)):
        log.warning("machine %s: systemd did not change the bound of its memory: %s", who.machine, trouble)


def _scope(who: Incarnation) -> str:
    return f"velocity-{who.machine}-{who.epoch}.scope"


def _call(*words: str) -> str:
    """Call a method of systemd's manager: the user's, if that has started the server, or it is not root. busctl(1)

    Returns what went wrong, in words.
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


def read_bounds(pid: int, root: Path = ROOT, proc: Path = PROC) -> Bounds:
    """Read the limits of its control group. A group that it shares with the server does not count.

    Raises `OSError` if it has ended.
    """
    own, ours = (_group((proc / who / "cgroup").read_text()) for who in (str(pid), "self"))
    if own is None or own == ours:
        return Bounds()
    place = root / own.strip("/")
    memory = _number(place / "memory.max")
    return Bounds(memory and memory >> 20, _number(place / "pids.max"), _number(place / "cpu.weight"))


def lacking(root: Path = ROOT, booted: Path = BOOTED) -> str | None:
    """What this host lacks for it, with the cure; None: nothing."""
    if not booted.is_dir():
        return "there is no systemd here to give it a control group"
    if not (root / "cgroup.controllers").exists():
        return "this host has control groups of version 1: start it with systemd.unified_cgroup_hierarchy=1"
    return None if shutil.which("busctl") else "install systemd's busctl"


def _group(text: str) -> str | None:
    """Its control group (version 2). cgroups(7)"""
    return next((line[3:] for line in text.splitlines() if line.startswith("0::")), None)


def _number(file: Path) -> int | None:
    try:
        text = file.read_text().strip()
    except OSError:
        return None  # the group has no such controller
    return int(text) if text.isdigit() else None
