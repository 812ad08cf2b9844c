"""Machines of many kinds, as they are handed to the command line."""

from __future__ import annotations

from uuid import UUID

import msgspec

from velocity.hypervisor.port import BridgeSpec, Bus, DiskSpec, DisplaySpec, Input, MachineSpec, NatSpec, NicSpec
from velocity.hypervisor.qemu.command import Files, LaunchSpec, ListeningSockets, NatDevice, TapDevice
from velocity.storage.port import MediaRef

ID = UUID(int=7)
PLAIN = MachineSpec("evil,-name=x\n../", 2, 512, "pc-q35-7.2", "0")


def plan(accelerator: str = "tcg", **more: object) -> LaunchSpec:
    spec = msgspec.structs.replace(PLAIN, **more)
    files = Files(code=3, variables=4, disks=list(range(20, 20 + len(spec.disks))))
    nics = [
        NatDevice(nic.nic, nic.mac) if isinstance(nic, NatSpec) else TapDevice(nic.nic, nic.mac, (9,))
        for nic in spec.nics
    ]
    return LaunchSpec("qemu", ID, 1, accelerator, spec, files, ListeningSockets(6), nics, "/run/a,b")


def disk(bus: Bus, *, readonly: bool = False, cdrom: bool = False, format: str = "raw") -> DiskSpec:
    return DiskSpec(MediaRef(1, ID, format), bus, readonly, cdrom)


def nat(number: int) -> NatSpec:
    return NatSpec(nic=number, mac=f"52:54:00:00:00:{number:02x}")


def bridge(number: int) -> NicSpec:
    return BridgeSpec(nic=number, mac=f"52:54:00:00:01:{number:02x}", identifier="br0")


def displays(count: int) -> tuple[DisplaySpec, ...]:
    return tuple(DisplaySpec(f"d{number}", 800 + number, 600) for number in range(count))


KINDS: dict[str, LaunchSpec] = {
    "nothing": plan(),
    "nothing, by KVM": plan("kvm"),
    "large": plan("tcg,thread=multi,tb-size=128", cpus=8, memory=8192),
    "a display": plan(displays=displays(1)),
    "two displays": plan(displays=displays(2)),
    "all displays": plan(displays=displays(8)),
    "a CD of each bus": plan(disks=tuple(disk(bus, cdrom=bus is not Bus.BLOCK, readonly=True) for bus in Bus)),
    "a disk of each bus": plan(disks=tuple(disk(bus, format="qcow2") for bus in Bus), displays=displays(1)),
    "a NIC": plan(nics=(nat(1),)),
    "NICs, the first gone": plan(nics=(nat(2), bridge(3), nat(9))),
    "no first NIC": plan(nics=(nat(2), nat(8))),
    "virtio inputs": plan(displays=displays(1), input=Input.VIRTIO),
    "PS/2 inputs": plan(displays=displays(1), input=Input.PS2),
    "32 USB disks": plan(disks=(disk(Bus.USB),) * 32, displays=displays(1)),
    "all of everything": plan(
        "kvm",
        disks=(disk(Bus.BLOCK),) * 30 + (disk(Bus.USB), disk(Bus.VIRTIO)),
        displays=displays(8),
        nics=tuple(nat(number) for number in range(1, 9)),
    ),
}
"""Each of one kind."""
