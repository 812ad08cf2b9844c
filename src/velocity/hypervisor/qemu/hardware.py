"""Hardware profiles: a VM's devices besides its machine type and firmware, under a name that the VM keeps.

A released profile never changes, so that guests find the same devices at the same places. Changes go into a new profile
at the end; `command` reads the fields and knows no names.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from msgspec import Struct

from velocity.hypervisor.port import HardwareProfile, HypervisorError


class Slots(Struct, frozen=True):
    """PCI slots on the root bus. Up to eight devices share one, as its functions; more use the slots after it.

    Slot 0x1f has the chipset's own devices.
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
    """A profile. `notices` says in words what a guest notices when it comes from the previous one."""

    name: str
    notices: str
    machine: str
    best_cpu: Mapping[str, str]
    """By accelerator: `-cpu` for the best performance."""
    one_socket: bool
    """Set explicitly rather than by the machine type: Windows uses at most two, or four sockets."""
    slots: Slots
    spare_ports: int
    """Places for devices that are added while the guest runs: the root bus itself has no hot-plug."""
    spare_bridge: bool
    """They are slots of one PCI bridge, otherwise root ports, of which each has a bus of its own."""
    io_thread: bool
    """Virtio disks have an I/O thread: they do not wait for QMP and displays, nor these for them."""
    balloon: bool
    """Whether a VM can have a balloon, by which the guest reports free pages."""
    nat_bridge: bool
    """NAT uses the host's bridge, if there is one."""
    queues: bool
    """NICs with links on the host have a queue per CPU, and vhost-net if available."""
    agent: bool
    """Whether there is a channel to a guest agent."""

    def place(self, port: int, *, virtio: bool = True) -> str:
        """QEMU's options for a device in that spare port.

        A virtio device there has no legacy interface, as that needs I/O space: QEMU leaves it out in a root port.
        """
        if not self.spare_bridge:
            return f"bus=spare{port}"
        return f"bus=spare,addr={port + 1:#x}{',disable-legacy=on' if virtio else ''}"  # slot 0 has no hot-plug


FIRST = Hardware(
    name="1",
    notices="",
    # Core dumps do not contain the guest's memory: neither its secrets nor its gigabytes.
    machine="vmport=off,hpet=off,smm=off,dump-guest-core=off,pflash0=fw,pflash1=vars,memory-backend=ram",
    best_cpu={"kvm": "host", "tcg": "max"},
    one_socket=False,
    slots=Slots(),
    spare_ports=0,
    spare_bridge=False,
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
    one_socket=True,
    spare_ports=8,
    io_thread=True,
    balloon=True,
    nat_bridge=True,
    queues=True,
)
THIRD = replace(
    SECOND,
    name="3",
    notices="a virtio serial port for a guest agent; CPUs that are emulated lack ERMS",
    # With ERMS kernels copy and clear byte by byte, which is slow under emulation: `bench/cpus.py`.
    best_cpu={"kvm": "host", "tcg": "max,erms=off"},
    agent=True,
)
FOURTH = replace(
    THIRD,
    name="4",
    notices="no SATA controller, to which no disk was ever connected",
    machine=f"{THIRD.machine},sata=off",
)
FIFTH = replace(
    FOURTH,
    name="5",
    notices="one PCI bridge in the place of eight, for devices that are added while it runs",
    # Each bridge costs QEMU 0.4 ms at the start: `docs/performance.md`.
    spare_bridge=True,
)
PROFILES = (FIRST, SECOND, THIRD, FOURTH, FIFTH)
"""The oldest first."""

_BY_NAME = {one.name: one for one in PROFILES}


def profile(name: str) -> Hardware:
    """Raises `HypervisorError` for a profile of a newer version."""
    if name not in _BY_NAME:
        raise HypervisorError(
            f"this version of Velocity does not know the hardware {name!r} of this VM: install the one that does, or "
            "give the VM the newest that this one knows: `velocity vm set VM --hardware latest`"
        )
    return _BY_NAME[name]


def known() -> tuple[HardwareProfile, ...]:
    """As hosts report them, the oldest first."""
    return tuple(HardwareProfile(one.name, one.notices, one.nat_bridge, one.spare_ports, one.agent) for one in PROFILES)
