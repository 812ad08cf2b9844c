"""What QEMU and this host offer a machine. https://www.qemu.org/docs/master/interop/qemu-qmp-ref.html"""

from __future__ import annotations

import json
import os
import socket
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from msgspec import Struct

from velocity.hypervisor.port import HostNow
from velocity.hypervisor.qemu import cached
from velocity.hypervisor.qemu.probe import BrokenHost

XAPIC_CPUS = 255
"""More CPUs need x2APIC, which q35 has only with interrupt remapping or KVM's split irqchip: QEMU refuses them."""


class Facts(Struct, frozen=True):
    """`machine_type` is what the alias q35 means now; `machine_types` are all that QEMU has; memory is in MiB."""

    version: str
    machine_type: str
    machine_types: frozenset[str]
    max_cpus: int
    memory_mib: int


def read(binary: str, cache: Path) -> Facts:
    """Ask QEMU, and again only after it has changed. Raises `BrokenHost`."""
    key = cached.program_key(binary)
    kept = cached.load(cache, key, dict[str, Any])
    if kept is None or "machine_types" not in kept:  # of an older version
        kept = _ask(binary)
        cached.store(cache, key, kept)
    types = frozenset(kept["machine_types"])
    return Facts(kept["version"], kept["machine_type"], types, kept["max_cpus"], memory_mib("MemTotal"))


def memory_free_mib() -> int:
    """MiB available without swapping: MemAvailable of proc(5)."""
    return memory_mib("MemAvailable")


def memory_mib(field: str) -> int:
    _, found, value = Path("/proc/meminfo").read_text().partition(f"{field}:")
    if not found:
        raise BrokenHost(f"/proc/meminfo has no {field}")
    return int(value.split(maxsplit=1)[0]) // 1024


def now() -> HostNow:
    """The host's present load and memory. proc_uptime(5), getloadavg(3), proc_stat(5)"""
    return HostNow(
        name=socket.gethostname(),
        cpus=os.cpu_count() or 1,
        load=os.getloadavg(),
        memory=memory_mib("MemTotal"),
        memory_free=memory_free_mib(),
        uptime=int(float(Path("/proc/uptime").read_text().split()[0])),
        busy=busy(Path("/proc/stat").read_text()),
    )


def busy(stat: str) -> float:
    """CPU seconds used, of all CPUs: everything except idle, iowait and steal. proc_stat(5)"""
    user, nice, system, _idle, _iowait, irq, softirq = map(int, stat.split(None, 8)[1:8])
    return (user + nice + system + irq + softirq) / os.sysconf("SC_CLK_TCK")


def _ask(binary: str) -> dict[str, Any]:
    answers, words = ask(binary, "query-version", "query-machines")
    try:
        version = answers["query-version"]["qemu"]
        machine = next(one for one in answers["query-machines"] if one.get("alias") == "q35" or one["name"] == "q35")
    except (KeyError, StopIteration):
        raise BrokenHost(f"{binary} does not support the machine type q35: {words[:200]}") from None
    return {
        "version": f"{version['major']}.{version['minor']}.{version['micro']}",
        "machine_type": machine["name"],
        "machine_types": sorted(one["name"] for one in answers["query-machines"]),
        "max_cpus": min(machine["cpu-max"], XAPIC_CPUS),
    }


def ask(binary: str, *commands: str, options: Sequence[str] = ()) -> tuple[dict[str, Any], str]:
    """The answers of a QEMU without a machine to these commands. Raises `BrokenHost`."""
    sent = "".join(json.dumps({"execute": one, "id": one}) for one in ("qmp_capabilities", *commands, "quit"))
    arguments = ["-no-user-config", "-nodefaults", "-machine", "none", "-display", "none", "-qmp", "stdio", *options]
    try:
        done = subprocess.run([binary, *arguments], input=sent, capture_output=True, text=True, timeout=20, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise BrokenHost(f"{binary} does not report what it supports: {error}") from None
    answers: dict[str, Any] = {}
    for line in done.stdout.splitlines():
        message = json.loads(line)
        if "return" in message:
            answers[message.get("id")] = message["return"]
    return answers, done.stderr.strip()
