"""The QEMU processes of one installation, found in /proc whatever became of their directories.

proc_pid_cmdline(5)
"""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Callable, Container, Iterable, Iterator
from pathlib import Path
from uuid import UUID

from msgspec import Struct

from velocity.hypervisor.qemu.command import escaped

UUID_TEXT = r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"
GONE = (FileNotFoundError, ProcessLookupError, PermissionError)
"""Errors of reading about a process that has ended, or is not ours."""


class Process(Struct, frozen=True):
    """A machine's process. `epoch` is 0 if an earlier version started it; `taps` are its BRIDGE NICs: id -> MAC."""

    machine: UUID
    epoch: int
    pid: int
    started: int
    uid: int
    nat: bool
    taps: dict[int, str]


def start_time(pid: int) -> int | None:
    """The process's start time in clock ticks since boot; None: there is no process (a zombie counts as none).

    A zombie whose other threads have not ended is one: it has its files open yet, and one of its threads may be writing
    to a disk that does not respond. proc_pid_stat(5)
    """
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except GONE:
        return None
    fields = text[text.rindex(")") + 2 :].split()
    state, threads = fields[0], int(fields[17])
    return None if state == "X" or (state == "Z" and threads <= 1) else int(fields[19])


def limit(pid: int, name: str) -> str:
    """One of its hard limits, named as in /proc/PID/limits: a number or `unlimited`. Raises `OSError`: it has ended."""
    lines = Path(f"/proc/{pid}/limits").read_text().splitlines()
    for line in lines:
        if line.startswith(name):
            return line.removeprefix(name).split()[1]
    raise ProcessLookupError(errno.ESRCH, os.strerror(errno.ESRCH))  # the file is empty for a moment


def table(
    roots: Iterable[Path], uids: Container[int], may_be: Callable[[UUID, int], bool] = lambda machine, uid: True
) -> dict[UUID, Process]:
    """The machines' processes with run directories below `roots` and one of these uids.

    Anybody may start a process with such arguments, hence the uids; and a machine's process may change its own
    arguments, hence `may_be`: whether a process with that uid may be that machine's. Raises `OSError` if not all could
    be examined.
    """
    places = "|".join(re.escape(escaped(str(root))) for root in roots)
    mark = re.compile(rf"-pidfile\0(?:{places})/({UUID_TEXT})/own/pid\0".encode())
    found: dict[UUID, Process] = {}
    for name in os.listdir("/proc"):  # noqa: PTH208 (names are all that is needed)
        if not name.isdigit():
            continue
        try:
            line = Path(f"/proc/{name}/cmdline").read_bytes()
            if (ours := mark.search(line)) is None:
                continue
            process = _process(UUID(ours[1].decode()), int(name), line)
        except GONE:
            continue
        if process is None or process.uid not in uids or not may_be(process.machine, process.uid):
            continue
        other = found.setdefault(process.machine, process)
        if (process.started, process.pid) < (other.started, other.pid):  # a child that has not executed QEMU yet
            found[process.machine] = process
    return found


def _process(machine: UUID, pid: int, line: bytes) -> Process | None:
    epoch = re.search(rf"guest=vm-{machine}-(\d+),".encode(), line)
    status = Path(f"/proc/{pid}/status").read_text()
    uid = re.search(r"^Uid:\s+(\d+)", status, re.MULTILINE)
    started = start_time(pid)
    if started is None or uid is None:
        return None
    nat = b"\0user,id=net" in line
    return Process(machine, int(epoch[1]) if epoch else 0, pid, started, int(uid[1]), nat, dict(_taps(line)))


def _taps(line: bytes) -> Iterator[tuple[int, str]]:
    """An earlier version named network backends by the places of NICs, and gave the devices no id."""
    for backend in re.findall(rb"\0tap,id=net(\d+),", line):
        device = re.search(rb"\0virtio-net-pci,(?:id=nic(\d+),)?netdev=net%b,mac=([0-9a-f:]+)," % backend, line)
        if device is not None:
            yield int(device[1] or int(backend) + 1), device[2].decode()
