"""Multi-queue NICs and vhost-net, with which the kernel carries frames itself.

https://www.kernel.org/doc/html/latest/networking/tuntap.html
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

from velocity.hypervisor.port import MachineSpec
from velocity.hypervisor.qemu.hardware import profile

DEVICE = Path("/dev/vhost-net")
MOST = 8
"""Queues of one NIC: each needs three descriptors and a kernel thread."""


def queues(spec: MachineSpec) -> int:
    """The number of queues of each of its NICs with a link on the host."""
    return min(spec.cpus, MOST) if _has(spec) else 1


def opened(
    spec: MachineSpec, accelerator: str, count: int, copies: contextlib.ExitStack, device: Path = DEVICE
) -> tuple[int, ...]:
    """A vhost-net descriptor for each queue, closed with `copies`; none if it is not available, or of no use."""
    if not _has(spec) or not accelerator.startswith("kvm") or missing(device) is not None:
        return ()
    found = []
    for _ in range(count):
        descriptor = os.open(device, os.O_RDWR | os.O_CLOEXEC)
        copies.callback(os.close, descriptor)
        found.append(descriptor)
    return tuple(found)


def missing(device: Path = DEVICE) -> str | None:
    """None if it can be opened, otherwise why not, and the cure."""
    try:
        os.close(os.open(device, os.O_RDWR | os.O_CLOEXEC))
    except FileNotFoundError:
        return f"this host has no {device}: `modprobe vhost_net`"
    except OSError as error:
        return f"{device} cannot be opened: {error.strerror}"
    return None


def _has(spec: MachineSpec) -> bool:
    return profile(spec.hardware).queues
