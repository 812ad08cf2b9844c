"""What a VM is made of beside its machine type and firmware: profiles, each with a name that its VMs keep.

A profile that was released never changes: a guest finds its devices, and the places where they are, again. What is to
be otherwise is a new profile, at the end; `command` builds from their fields and knows no name.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from velocity.hypervisor.port import HardwareProfile, HypervisorError


@dataclass(frozen=True)
class Slots:
    """PCI slots on the root bus. Up to eight devices share one, as its functions; what needs more takes those behind.

    Of q35's own, 0x1f has the devices of the chipset.
    """

    display: int = 0x1
    more_displays: int = 0x2
    usb: int = 0x4
    scsi: int = 0x8
    entropy: int = 0x9
    inputs: int = 0xA
    nics: int = 0xB
    blocks: int = 0xC
    spare_ports: int = 0x10
    balloon: int = 0x11
    memory: int = 0x12
    seed: int = 0x13
    agent: int = 0x14


@dataclass(frozen=True)
class Hardware:
    """A profile. `notices`: what a guest notices of it that had the one before, for people."""

    name: str
    notices: str
    machine: str
    best_cpu: Mapping[str, str]
    """Of each accelerator: `-cpu` for what runs fastest."""
    one_socket: bool
    """Said, and not left to the machine type: Windows uses at most two, or four."""
    slots: Slots
    spare_ports: int
    """Root ports with nothing in them: the bus itself takes no device while a guest runs."""
    io_thread: bool
    """Virtio disks have a thread of their own: neither QMP nor a display waits for them, nor they for those."""
    balloon: bool
    """Whether one can be had, by which the guest reports free pages."""
    nat_bridge: bool
    """NAT is by a bridge of the host's, where it has one."""
    queues: bool
    """NICs with links on the host have a queue for each CPU, and vhost where that can be had."""
    agent: bool
    """A channel to the guest's agent."""


FIRST = Hardware(
    name="1",
    notices="",
    # A core dump of QEMU has no guest's memory in it: neither its secrets nor its gigabytes.
    machine="vmport=off,hpet=off,smm=off,dump-guest-core=off,pflash0=fw,pflash1=vars,memory-backend=ram",
    best_cpu={"kvm": "host", "tcg": "max"},
    one_socket=False,
    slots=Slots(),
    spare_ports=0,
    io_thread=False,
    balloon=False,
    nat_bridge=False,
    queues=False,
    agent=False,
)
SECOND = replace(
    FIRST,
    name="2",
    notices="eight PCI bridges with free slots, and a balloon device; NICs with a queue for each CPU; and, where "
    "the host has a bridge for NAT, an address of that instead of 10.0.2.15",
    best_cpu={"kvm": "host", "tcg": "max"},
    one_socket=True,
    spare_ports=8,
    io_thread=True,
    balloon=True,
    nat_bridge=True,
    queues=True,
)
PROFILES = (
    FIRST,
    SECOND,
    replace(
        SECOND,
        name="3",
        notices="a virtio serial port for a guest agent; CPUs that are emulated lack ERMS",
        # By it kernels copy and clear one byte at a time, each a step of its own here: `bench/cpus.py`.
        best_cpu={"kvm": "host", "tcg": "max,erms=off"},
        agent=True,
    ),
)
"""Oldest first."""

_BY_NAME = {one.name: one for one in PROFILES}


def profile(name: str) -> Hardware:
    """Raises `HypervisorError` for one of a newer version."""
    if name not in _BY_NAME:
        raise HypervisorError(
            f"this version of Velocity does not know the hardware {name!r} of this VM: install the one that does, or "
            "give the VM the newest that this one knows: `velocity vm set VM --hardware latest`"
        )
    return _BY_NAME[name]


def known() -> tuple[HardwareProfile, ...]:
    """As the host tells them, oldest first."""
    return tuple(HardwareProfile(one.name, one.notices, one.nat_bridge, one.spare_ports, one.agent) for one in PROFILES)
