"""Builds QEMU's command line from a specification, without side effects.

Files and sockets are named by descriptors, never by paths. https://www.qemu.org/docs/master/system/invocation.html
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from uuid import UUID

from msgspec import Struct

from velocity.hypervisor.port import Bus, DisplaySpec, ForwardSpec, Input, MachineSpec
from velocity.hypervisor.qemu.disk_options import address, devices, node
from velocity.hypervisor.qemu.hardware import Hardware, Slots, profile
from velocity.hypervisor.qemu.layout import (
    Layout,
    boot_index,
    cold,
    cpu_device,
    nic_device,
    placed,
    usb_inputs,
)
from velocity.hypervisor.qemu.user_network import forwarded
from velocity.network.rules import slot

VIRTIO_INPUTS = ("virtio-keyboard-pci", "virtio-tablet-pci")
ALL_FEATURES = {"kvm": "host", "tcg": "max"}
"""The CPU model with everything that an accelerator supports."""
SANDBOX = ("-sandbox", "on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny")
AGENT = "agent"
"""QEMU's id for the host's end of the agent channel."""
FIRST_SET = 10
"""The fdset of the first disk."""


class ListeningSockets(Struct, frozen=True):
    """Descriptors of listening sockets that QEMU inherits. `agent`: only if the hardware has a channel to an agent."""

    qmp: int
    agent: int | None = None


@dataclass(frozen=True)
class Files:
    """Descriptors of open files, in matching modes.

    `direct`: disks with O_DIRECT; `shared`: on storage of several hosts.
    """

    code: int
    variables: int
    disks: Sequence[int]
    direct: Collection[int] = ()
    shared: Collection[int] = ()
    seed: int | None = None


class NatDevice(Struct, frozen=True):
    nic: int
    mac: str
    forwards: tuple[ForwardSpec, ...] = ()


class TapDevice(Struct, frozen=True):
    """A NIC with a link on the host: a descriptor per queue, and one of vhost-net for each, or none."""

    nic: int
    mac: str
    fds: tuple[int, ...]
    vhost: tuple[int, ...] = ()


@dataclass(frozen=True)
class LaunchSpec:
    """Everything that the command line is made from. `own` is the only directory that QEMU may write to."""

    binary: str
    uuid: UUID
    epoch: int
    accelerator: str
    spec: MachineSpec
    files: Files
    sockets: ListeningSockets
    nics: Sequence[NatDevice | TapDevice]
    own: str
    direct_aio: str = "native"
    """The aio= of disks with O_DIRECT."""
    there: Layout | None = None
    """With it, the machine waits for a guest from another host, with this layout; None: it boots."""

    @cached_property
    def layout(self) -> Layout:
        return self.there or cold(self.spec)

    @cached_property
    def hardware(self) -> Hardware:
        return profile(self.spec.hardware)


def arguments(plan: LaunchSpec) -> list[str]:
    """QEMU's command line, beginning with the program. It contains no text from users."""
    return [
        plan.binary,
        *_base(plan),
        *_more_cpus(plan),
        *_firmware(plan),
        *(_spare_ports(plan.hardware) if plan.layout.plugged else ()),  # before what is in them
        *_usb(plan),
        *_disks(plan),
        *_seed(plan),
        *_displays(plan),
        *_inputs(plan),
        *_nics(plan),
        *(() if plan.layout.plugged else _spare_ports(plan.hardware)),
        *_balloon(plan),
        *_more_memory(plan),
        *_agent(plan),
        *(("-incoming", "defer") if plan.there else ()),
        # Standard input and output: writing to a file never blocks, and none is opened by its path.
        *("-chardev", "stdio,id=serial,signal=off", "-serial", "chardev:serial"),
        *("-chardev", f"socket,id=qmp,fd={plan.sockets.qmp},server=on,wait=off", "-mon", "chardev=qmp,mode=control"),
    ]


def room_for_code(memory: int) -> int:
    """MiB for the code that TCG translates, beside the memory of a guest with so many. docs/decisions/0050"""
    return 128 if memory >= 1024 else 56


def escaped(text: str) -> str:
    """A value in an option, with commas doubled, as QEMU requires."""
    return text.replace(",", ",,")


def _base(plan: LaunchSpec) -> list[str]:
    spec, memory = plan.spec, plan.layout.memory or plan.spec.memory
    return [
        *("-name", f"guest=vm-{plan.uuid}-{plan.epoch},process=vm-{str(plan.uuid)[:8]},debug-threads=on"),
        *("-uuid", str(plan.uuid)),
        *("-no-user-config", "-nodefaults", "-S"),
        *("-msg", "timestamp=on"),
        *SANDBOX,
        *("-pidfile", escaped(f"{plan.own}/pid")),
        *("-machine", f"{spec.machine_type},{plan.hardware.machine}"),
        *("-accel", plan.accelerator),
        *("-cpu", _cpu(plan)),
        *("-object", f"memory-backend-ram,id=ram,size={memory}M"),
        *("-m", f"{memory}M" + (f",maxmem={memory + more}M" if (more := more_memory(plan)) else "")),
        *("-smp", _cpus(plan)),
        *("-object", "rng-builtin,id=rng"),
        *("-device", f"virtio-rng-pci,rng=rng,addr={plan.hardware.slots.entropy:#x}"),
        # On the ISA bus, as libvirt has it: more guests know it there, and it starts sooner.
        *("-device", "pvpanic"),
        *("-action", "panic=pause"),
        *("-rtc", "base=utc"),
        *("-display", "none"),
    ]


def _cpus(plan: LaunchSpec) -> str:
    """Devices with a queue per CPU have as many queues as there are CPUs at the start."""
    cpus, most = plan.layout.cpus or plan.spec.cpus, max(plan.spec.cpus, plan.spec.max_cpus)
    text = str(cpus) if most == cpus else f"{cpus},maxcpus={most}"
    return f"{text},sockets=1,cores={most},threads=1" if plan.hardware.one_socket else text


def _more_cpus(plan: LaunchSpec) -> Iterator[str]:
    for one in plan.layout.more_cpus:
        seat = [f"{name}={number}" for name, number in one.seat.items()]
        yield from ("-device", ",".join([one.kind, f"id={cpu_device(one.seat)}", *seat]))


def _cpu(plan: LaunchSpec) -> str:
    accelerator = plan.accelerator.partition(",")[0]
    match plan.spec.cpu:
        case "best":
            return plan.hardware.best_cpu[accelerator]
        case "host":
            return ALL_FEATURES[accelerator]
        case model:
            return model


def _firmware(plan: LaunchSpec) -> Iterator[str]:
    yield from _fdset(1, plan.files.code)
    yield from ("-blockdev", "driver=raw,node-name=fw,read-only=on,file.driver=file,"
                "file.filename=/dev/fdset/1,file.read-only=on")  # fmt: skip
    yield from _fdset(2, plan.files.variables)
    yield from ("-blockdev", "driver=qcow2,node-name=vars,file.driver=file,file.filename=/dev/fdset/2")


def _usb(plan: LaunchSpec) -> Iterator[str]:
    for name, ports in plan.layout.usb.items():
        number = int(name.removeprefix("xhci"))
        where = _in_port(plan, name, virtio=False) or f"addr={plan.hardware.slots.usb + number:#x}"
        yield from ("-device", f"qemu-xhci,id={name},p2={ports},p3={ports},{where}")
    for device in usb_inputs(plan.spec):
        yield from ("-device", f"{device},bus=xhci0.0")


def _disks(plan: LaunchSpec) -> Iterator[str]:
    """In the order of their numbers, which is the order of their places at a start."""
    layout, thread = plan.layout, thread_of(plan.hardware)
    if thread and layout.thread:
        yield from ("-object", "iothread,id=io")
    if layout.scsi:
        where = _in_port(plan, "scsi") or f"addr={plan.hardware.slots.scsi:#x}"
        yield from ("-device", f"virtio-scsi-pci,id=scsi,{where}{thread}")
    descriptors = iter(plan.files.disks)
    opened = [(drive, disk, next(descriptors) if disk else -1) for drive, disk in placed(layout, plan.spec)]
    blocks = 0
    for drive, disk, descriptor in sorted(opened, key=lambda one: one[0].number):
        if disk is not None:
            fdset = FIRST_SET + drive.number
            yield from _fdset(fdset, descriptor)
            direct = plan.direct_aio if descriptor in plan.files.direct else None
            yield "-blockdev"
            yield node(disk, drive.number, fdset, direct, shared=descriptor in plan.files.shared)
        where = f"bus={drive.at}.0"
        if drive.outer in layout.usb_ports:
            where += f",port={layout.usb_ports[drive.outer]}"
        if port := _in_port(plan, drive.device):
            where = port
        elif drive.bus is Bus.BLOCK:
            where, blocks = address(plan.hardware.slots.blocks, blocks), blocks + 1
        for device in devices(drive, disk, where, boot_index(layout, drive.device, drive.number), thread):
            yield from ("-device", device)


def thread_of(hardware: Hardware) -> str:
    """The iothread option of virtio disks, if there is a thread."""
    return ",iothread=io" if hardware.io_thread else ""


def _seed(plan: LaunchSpec) -> Iterator[str]:
    """The NoCloud CD for cloud-init, on a controller of its own after all others, so that no disk gets another name.

    Virtio, because kernels of cloud images drive neither SATA nor USB. The firmware does not boot from it.
    """
    if plan.files.seed is None:
        return
    yield from _fdset(3, plan.files.seed)
    yield from ("-blockdev", "driver=raw,node-name=seed,read-only=on,file.driver=file,"
                "file.filename=/dev/fdset/3,file.read-only=on")  # fmt: skip
    yield from ("-device", f"virtio-scsi-pci,id=seedbus,addr={plan.hardware.slots.seed:#x}")
    yield from ("-device", "scsi-cd,bus=seedbus.0,drive=seed,id=seedcd")


def _displays(plan: LaunchSpec) -> Iterator[str]:
    for number, display in enumerate(plan.spec.displays):
        yield from ("-device", _display(display, number, plan.hardware.slots))
        path = escaped(f"{plan.own}/{screen_socket(number)}")
        yield from ("-vnc", f"unix:{path},id=vnc{number},display={screen_device(number)},head=0")


def _display(display: DisplaySpec, number: int, slots: Slots) -> str:
    size = f"xres={display.width},yres={display.height}"
    if number == 0:
        return f"virtio-vga,id={screen_device(number)},{size},addr={slots.display:#x}"
    return f"virtio-gpu-pci,id={screen_device(number)},{size},{address(slots.more_displays, number - 1)}"


def _inputs(plan: LaunchSpec) -> Iterator[str]:
    """QEMU sends input to the device that the guest uses, and to PS/2 as long as it uses no other."""
    if plan.spec.displays and plan.spec.input is Input.VIRTIO:
        for place, device in enumerate(VIRTIO_INPUTS):
            yield from ("-device", f"{device},{address(plan.hardware.slots.inputs, place)}")


def screen_device(index: int) -> str:
    """The id of a display's device."""
    return f"display{index}"


def screen_socket(index: int) -> str:
    """The name of a display's RFB socket in the machine's own directory."""
    return f"display{index}.sock"


def _nics(plan: LaunchSpec) -> Iterator[str]:
    """At the PCI address of its slot, wherever it is in the list: guests name NICs by it."""
    first = plan.hardware.slots.nics
    places = {slot(nic.nic) for nic in plan.nics if nic_device(nic.nic) not in plan.layout.plugged}
    if places and 0 not in places:  # guests look for the other functions of a slot only if it has function 0
        yield from ("-device", f"virtio-rng-pci,rng=/objects/rng,{address(first, 0)}")
    for nic in plan.nics:
        match nic:
            case NatDevice():
                lead = "".join(f",hostfwd={forwarded(one)}" for one in nic.forwards)
                yield from ("-netdev", f"user,id={netdev(nic.nic)}{lead}")
            case TapDevice():
                yield from ("-netdev", f"tap,id={netdev(nic.nic)},{_queues(nic)}")
        about = f"id={nic_device(nic.nic)},netdev={netdev(nic.nic)},mac={nic.mac},romfile="
        if isinstance(nic, TapDevice) and len(nic.fds) > 1:
            about += f",mq=on,vectors={vectors(len(nic.fds))}"
        if (device := nic_device(nic.nic)) in plan.layout.order:  # the firmware has a driver, and needs no ROM
            about += f",bootindex={boot_index(plan.layout, device, 0)}"
        where = _in_port(plan, device) or address(first, slot(nic.nic))
        yield from ("-device", f"virtio-net-pci,{about},{where}")


def is_nic(device: str) -> bool:
    """Whether a device with that id is a NIC."""
    return device.startswith("nic")


def netdev(nic: int) -> str:
    """The id of the network backend of the NIC with that id."""
    return f"net{slot(nic)}"


def vectors(queues: int) -> int:
    """MSI-X vectors of a multi-queue NIC: one for each direction of each queue, and two."""
    return 2 * queues + 2


def _in_port(plan: LaunchSpec, device: str, *, virtio: bool = True) -> str | None:
    """The place of a device in a spare port; None: it is on the root bus."""
    port = plan.layout.plugged.get(device)
    return None if port is None else plan.hardware.place(port, virtio=virtio)


def _spare_ports(hardware: Hardware) -> Iterator[str]:
    """Without I/O space: each root port would take 4 KiB of it, and the firmware has 48 KiB."""
    if hardware.spare_bridge:
        yield from ("-device", f"pcie-pci-bridge,id=spare,addr={hardware.slots.spare_ports:#x}")
        return
    for number in range(hardware.spare_ports):
        about = f"id=spare{number},chassis={number + 1},slot={number + 1},io-reserve=0"
        yield from ("-device", f"pcie-root-port,{about},{address(hardware.slots.spare_ports, number)}")


def _balloon(plan: LaunchSpec) -> Iterator[str]:
    """Never inflated: the guest reports free pages, and QEMU returns them to the host."""
    if plan.hardware.balloon and plan.spec.balloon:
        yield from ("-device", f"virtio-balloon-pci,free-page-reporting=on,addr={plan.hardware.slots.balloon:#x}")


MEMORY_STEP = 2
"""MiB: the block size of virtio-mem."""
MEMORY_DEVICE = "memory"
"""The id of the device with memory that is added or removed while the guest runs."""


def more_memory(plan: LaunchSpec) -> int:
    """MiB that can be added to what the guest starts with."""
    return max(0, plan.spec.max_memory - (plan.layout.memory or plan.spec.memory)) // MEMORY_STEP * MEMORY_STEP


def _more_memory(plan: LaunchSpec) -> Iterator[str]:
    """The host provides this memory when the guest touches it."""
    if more := more_memory(plan):
        yield from ("-object", f"memory-backend-ram,id=more,size={more}M")
        about = f"id={MEMORY_DEVICE},memdev=more,requested-size=0"
        yield from ("-device", f"virtio-mem-pci,{about},addr={plan.hardware.slots.memory:#x}")


def _agent(plan: LaunchSpec) -> Iterator[str]:
    """The port that guest agents look for: https://www.qemu.org/docs/master/interop/qemu-ga.html"""
    if plan.sockets.agent is not None:
        yield from ("-device", f"virtio-serial-pci,id=ports,max_ports=2,addr={plan.hardware.slots.agent:#x}")
        yield from ("-chardev", f"socket,id={AGENT},fd={plan.sockets.agent},server=on,wait=off")
        yield from ("-device", f"virtserialport,bus=ports.0,nr=1,chardev={AGENT},name=org.qemu.guest_agent.0")


def _queues(nic: TapDevice) -> str:
    several = len(nic.fds) > 1
    text = f"{'fds' if several else 'fd'}={':'.join(map(str, nic.fds))}"
    if nic.vhost:
        text += f",vhost=on,{'vhostfds' if several else 'vhostfd'}={':'.join(map(str, nic.vhost))}"
    return text


def _fdset(number: int, descriptor: int) -> tuple[str, str]:
    return ("-add-fd", f"fd={descriptor},set={number}")
