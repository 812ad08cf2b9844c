"""Finds the accelerator that works here, by executing guest code rather than by looking at /dev/kvm.

A KVM that opens may still be unable to run a guest (nested, or without full hardware support), and real mode alone does
not show it. So the probe is a firmware image of our own, which runs in protected mode with the FPU and in long mode
with SSE and exceptions, and reports success through QEMU's debug exit.
"""

from __future__ import annotations

import base64
import enum
import os
import pwd
import subprocess
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from velocity.hypervisor.qemu import cached

_CODE = """
+i5mDwEWiAEPIMAMAQ8iwGbqGAAPAAgAZrgQAI7YjsCO0LwAcAAA2+PZ69no3sHbHQBgAACDPQBgAAAEdV+/ABAAADHAuQAYAADzq8cFABAAAAMg
AADHBQAgAAADMAAAxwUAMAAAgwAAALggBgAADyLguAAQAAAPIti5gAAAwA8yDQABAAAPMA8gwIPg+w0CAACADyLA6qcADwAYALB/ZroBBe706/24
AwAAAGYPbsBmD3DAAA8oyGYP/sEPKQQlAGAAAIM8JQxgAAAGdVG4PwEPAL9gQAAA6EwAAAC4SQEPAL/gQAAA6D0AAAAPARwljgEPADHbDwu+AAAA
QIoGkIP7A3UavpgBDwC5CQAAAGa66QDzbrAQZroBBe706/2wfma6AQXu9Ov9ZokHZsdHAhgAZsdHBACOwegQiUcGw4PDAUiDBCQCSM9Ig8QIDyDQ
SD0AAABAdceDwwJIgwQkAkjPZg8fRAAAAAAAAAAAAAD//wAAAJvPAP//AAAAk88A//8AAACbrwAfAGgBDwD/DwBAAAAAAAAAcHJvYmUgb2sK"""
"""At F000:0000: lgdt, 32-bit protected mode, x87 (pi + 1 rounds to 4), a 2 MiB page table, long mode, SSE2 (paddd,
movaps), an IDT whose handlers for #UD and #PF must both fire and return; `probe ok` to port 0xE9 and 0x10 to 0x501."""

PASSED = 33
"""QEMU's exit status for 0x10 at isa-debug-exit: 2 * 0x10 + 1."""
SAYS = b"probe ok\n"
KVM_PATIENCE = 2.0
TCG_PATIENCE = 20.0
"""Seconds for the test run."""


class BrokenHost(Exception):
    """Not even software emulation works: QEMU's own words."""


class Accelerator(enum.Enum):
    KVM = "kvm"
    TCG = "tcg"


@dataclass(frozen=True)
class Verdict:
    """The accelerator, and why, in a sentence for people. `kvm`: works, broken, absent, forbidden, not asked."""

    accelerator: Accelerator
    reason: str
    kvm: str


SLOW = "guests run in software emulation, about ten times slower"


def choose(wanted: str, cache: Path, binary: str = "qemu-system-x86_64", device: Path = Path("/dev/kvm")) -> Verdict:
    """The accelerator for the setting `auto`, `kvm` or `tcg`. Raises `BrokenHost`."""
    key = {**cached.program_key(binary), **kernel_key(device), "wanted": wanted}
    known = cached.load(cache, key, dict[str, str])
    if known is not None:
        return Verdict(Accelerator(known["accelerator"]), known["reason"], known["kvm"])
    verdict = _choose(wanted, binary, device)
    if verdict.accelerator is Accelerator.TCG and (words := fault("tcg", binary, TCG_PATIENCE)):
        raise BrokenHost(f"QEMU cannot run guests here: {words}")
    cached.store(cache, key, {**asdict(verdict), "accelerator": verdict.accelerator.value})
    return verdict


def fault(accelerator: str, binary: str, patience: float) -> str | None:
    """Run the probe: None if it passed, otherwise what went wrong, in QEMU's words if there are any."""
    with tempfile.TemporaryDirectory(prefix="velocity-probe-") as scratch:
        image, out = Path(scratch) / "probe.bin", Path(scratch) / "out"
        image.write_bytes(firmware_image())
        command = [binary, "-no-user-config", "-nodefaults", "-machine", "q35", "-accel", accelerator]
        command += ["-cpu", "host" if accelerator == "kvm" else "max", "-m", "16M", "-bios", str(image)]
        command += ["-display", "none", "-no-reboot", "-device", "isa-debug-exit,iobase=0x501,iosize=1"]
        command += ["-debugcon", f"file:{out}"]
        try:
            done = subprocess.run(command, capture_output=True, timeout=patience, check=False, stdin=subprocess.DEVNULL)
        except subprocess.TimeoutExpired:
            return f"the test run did not end within {patience:.0f} seconds"
        except OSError as error:
            return f"{binary} cannot be run: {error.strerror}"
        if done.returncode == PASSED and out.is_file() and out.read_bytes() == SAYS:
            return None
        return _words(done.stderr.decode("utf-8", "replace"), done.returncode)


def firmware_image() -> bytes:
    """64 KiB that end with the reset vector, which jumps to F000:0000."""
    code = base64.b64decode(_CODE)
    image = bytearray(65536)
    image[: len(code)] = code
    image[0xFFF0:0xFFF5] = b"\xea\x00\x00\x00\xf0"
    return bytes(image)


def _choose(wanted: str, binary: str, device: Path) -> Verdict:
    if wanted == "tcg":
        return Verdict(Accelerator.TCG, f"chosen by the setting `accelerator`: {SLOW}", "not asked")
    if not device.exists():
        kvm, why = (
            "absent",
            ("this host has no /dev/kvm: enable virtualization in its firmware settings, or load the kvm module"),
        )
    elif not os.access(device, os.R_OK | os.W_OK):
        name = pwd.getpwuid(os.getuid()).pw_name
        kvm, why = "forbidden", f"you have no access to /dev/kvm: run `sudo usermod -aG kvm {name}`, then sign in again"
    elif words := fault("kvm", binary, KVM_PATIENCE):
        kvm, why = "broken", f"/dev/kvm exists, but cannot run a guest ({words})"
    else:
        return Verdict(Accelerator.KVM, "KVM works: guests run at the speed of this host", "works")
    if wanted == "kvm":
        return Verdict(Accelerator.KVM, f"chosen by the setting `accelerator`, although {why}", kvm)
    return Verdict(Accelerator.TCG, f"{why}; {SLOW}", kvm)


def kernel_key(device: Path) -> dict[str, Any]:
    """A key for the kernel, and for what it lets this account do."""
    return {
        "kernel": os.uname().release,
        "boot": Path("/proc/sys/kernel/random/boot_id").read_text().strip(),
        "kvm": device.exists() and os.access(device, os.R_OK | os.W_OK),
        "uid": os.getuid(),
    }


def _words(stderr: str, status: int) -> str:
    lines = [line.split("qemu-system-x86_64: ", 1)[-1].strip() for line in stderr.splitlines() if line.strip()]
    relevant = [line for line in lines if "KVM internal error" in line or "Suberror" in line] or lines
    if relevant:
        return relevant[0][:200]
    return f"QEMU was ended by signal {-status}" if status < 0 else f"QEMU ended with status {status}"
