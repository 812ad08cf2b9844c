"""From a specification to QEMU's command line: pure. Files and sockets are named by descriptors, never by paths.

https://www.qemu.org/docs/master/system/invocation.html
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from uuid import UUID

from velocity.hypervisor.port import SECTOR, Bus, DiskSpec, DisplaySpec, Input, MachineSpec
from velocity.hypervisor.qemu.hardware import Hardware, Slots, profile
from velocity.network.rules import slot

USB_PORTS = 15
"""A controller has at most so many."""
USB_SPARE = 1
"""Ports that stay free: QEMU puts a hub of its own, at 12 Mb/s, before the device that would take the last one, and
the firmware's boot order does not find that device."""
USB_INPUTS = ("usb-kbd", "usb-tablet")
VIRTIO_INPUTS = ("virtio-keyboard-pci", "virtio-tablet-pci")
USB_FIRST = USB_PORTS - USB_SPARE - len(USB_INPUTS)
"""Disks on the first controller, which also carries keyboard and tablet, if there are any."""
USB_NEXT = USB_PORTS - USB_SPARE
"""Disks on each further one."""
ALL_FEATURES = {"kvm": "host", "tcg": "max"}
"""The CPU that has all that an accelerator can give."""
SANDBOX = ("-sandbox", "on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny")
FUNCTIONS = 8
"""Devices in one PCI slot, each a function of it, so that a VM at every limit still has slots."""


@dataclass(frozen=True)
class ListeningSockets:
    """Descriptors of listening sockets that QEMU inherits."""

    qmp: int


@dataclass(frozen=True)
class Files:
    """Descriptors of open files, their access modes fitting the use exactly. `direct`: disks past the page cache."""

    code: int
    variables: int
    disks: Sequence[int]
    direct: Collection[int] = ()


@dataclass(frozen=True)
class NatDevice:
    nic: int
    mac: str


@dataclass(frozen=True)
class TapDevice:
    """A NIC whose frames come and go by the host's own queues; `vhost` has a descriptor for each, or none."""

    nic: int
    mac: str
    fds: tuple[int, ...]
    vhost: tuple[int, ...] = ()


@dataclass(frozen=True)
class LaunchSpec:
    """All that the command line is made of. `own` is the one directory that QEMU may write to."""

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
    """Of QEMU's ways to read and write, the one past the page cache."""

    @cached_property
    def hardware(self) -> Hardware:
        return profile(self.spec.hardware)


def arguments(plan: LaunchSpec) -> list[str]:
    """QEMU's arguments, the program first. The user's words reach none of them."""
    return [
        plan.binary,
        *_base(plan),
        *_firmware(plan),
        *_usb(plan),
        *_disks(plan),
        *_displays(plan),
        *_inputs(plan),
        *_nics(plan),
        *_spare_ports(plan.hardware),
        *_balloon(plan),
        # Its standard input and output: it never waits for a file, and none has to be opened by its path.
        *("-chardev", "stdio,id=serial,signal=off", "-serial", "chardev:serial"),
        *("-chardev", f"socket,id=qmp,fd={plan.sockets.qmp},server=on,wait=off", "-mon", "chardev=qmp,mode=control"),
    ]


def escaped(text: str) -> str:
    """A value inside an option: QEMU reads a doubled comma as one."""
    return text.replace(",", ",,")


def _base(plan: LaunchSpec) -> list[str]:
    spec = plan.spec
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
        *("-object", f"memory-backend-ram,id=ram,size={spec.memory}M"),
        *("-m", f"{spec.memory}M"),
        *("-smp", f"{spec.cpus},sockets=1,cores={spec.cpus},threads=1" if plan.hardware.one_socket else str(spec.cpus)),
        *("-object", "rng-builtin,id=rng"),
        *("-device", f"virtio-rng-pci,rng=rng,addr={plan.hardware.slots.entropy:#x}"),
        # On the ISA bus, as libvirt has it: more guests know it there, and it starts sooner.
        *("-device", "pvpanic"),
        *("-action", "panic=pause"),
        *("-rtc", "base=utc"),
        *("-display", "none"),
    ]


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
    """Controllers with the ports that are needed, if any: one with all ports delays a start more than all else."""
    disks = sum(disk.bus is Bus.USB for disk in plan.spec.disks)
    inputs = USB_INPUTS if plan.spec.displays and plan.spec.input is Input.USB else ()
    devices = Counter(_controller(place) for place in range(disks))
    if inputs:
        devices[0] += len(inputs)
    slot = plan.hardware.slots.usb
    for number, count in sorted(devices.items()):
        ports = count + USB_SPARE
        yield from ("-device", f"qemu-xhci,id=xhci{number},p2={ports},p3={ports},addr={slot + number:#x}")
    for device in inputs:
        yield from ("-device", f"{device},bus=xhci0.0")


def _controller(place: int) -> int:
    """The controller of the n-th USB disk."""
    return 0 if place < USB_FIRST else 1 + (place - USB_FIRST) // USB_NEXT


def _disks(plan: LaunchSpec) -> Iterator[str]:
    thread = ",iothread=io" if plan.hardware.io_thread else ""
    if thread and any(disk.bus is not Bus.USB for disk in plan.spec.disks):
        yield from ("-object", "iothread,id=io")
    if any(disk.bus is Bus.VIRTIO for disk in plan.spec.disks):
        yield from ("-device", f"virtio-scsi-pci,id=scsi,addr={plan.hardware.slots.scsi:#x}{thread}")
    counts = {Bus.USB: 0, Bus.BLOCK: 0, Bus.VIRTIO: 0}
    for number, (disk, descriptor) in enumerate(zip(plan.spec.disks, plan.files.disks, strict=True)):
        fdset = 10 + number
        yield from _fdset(fdset, descriptor)
        direct = plan.direct_aio if descriptor in plan.files.direct else None
        yield from ("-blockdev", _node(disk, disk_node(number), fdset, direct))
        yield from _device(disk, number, counts[disk.bus], plan.hardware.slots, thread)
        counts[disk.bus] += 1


def disk_node(place: int) -> str:
    """What QEMU calls the n-th disk."""
    return f"disk{place}"


def _node(disk: DiskSpec, name: str, fdset: int, direct: str | None) -> str:
    node = f"driver={disk.media.format},node-name={name},file.driver=file,file.filename=/dev/fdset/{fdset}"
    if direct:
        node += f",cache.direct=on,file.cache.direct=on,file.aio={direct}"
    if disk.readonly:
        return f"{node},read-only=on,file.read-only=on"
    return f"{node},discard=unmap{',detect-zeroes=unmap' if disk.detect_zeroes else ''}"


def _device(disk: DiskSpec, number: int, place: int, slots: Slots, thread: str) -> Iterator[str]:
    common = f"drive={disk_node(number)},id=dev{number},bootindex={number + 1}"
    serial = f"serial={disk.media.medium.hex[:20]}"
    if disk.sector_size != SECTOR:
        serial += f",logical_block_size={disk.sector_size},physical_block_size={disk.sector_size}"
    errors = "werror=stop,rerror=stop"
    controller = f"xhci{_controller(place)}.0"
    match disk.bus, disk.cdrom:
        case Bus.USB, True:
            yield from ("-device", f"usb-bot,id=bot{number},bus={controller}")
            yield from ("-device", f"scsi-cd,bus=bot{number}.0,{common}")
        case Bus.USB, False if disk.sector_size != SECTOR:  # which usb-storage does not pass on to its disk
            yield from ("-device", f"usb-bot,id=bot{number},bus={controller}")
            yield from ("-device", f"scsi-hd,bus=bot{number}.0,removable=on,{serial},{errors},{common}")
        case Bus.USB, False:
            yield from ("-device", f"usb-storage,bus={controller},removable=on,{serial},{errors},{common}")
        case Bus.VIRTIO, True:
            yield from ("-device", f"scsi-cd,bus=scsi.0,scsi-id={place},{common}")
        case Bus.VIRTIO, False:
            yield from ("-device", f"scsi-hd,bus=scsi.0,scsi-id={place},{serial},{errors},{common}")
        case _:
            yield from ("-device", f"virtio-blk-pci,{_address(slots.blocks, place)},{serial},{errors},{common}{thread}")


def _displays(plan: LaunchSpec) -> Iterator[str]:
    for number, display in enumerate(plan.spec.displays):
        yield from ("-device", _display(display, number, plan.hardware.slots))
        path = escaped(f"{plan.own}/{screen_socket(number)}")
        yield from ("-vnc", f"unix:{path},id=vnc{number},display={screen_device(number)},head=0")


def _display(display: DisplaySpec, number: int, slots: Slots) -> str:
    size = f"xres={display.width},yres={display.height}"
    if number == 0:
        return f"virtio-vga,id={screen_device(number)},{size},addr={slots.display:#x}"
    return f"virtio-gpu-pci,id={screen_device(number)},{size},{_address(slots.more_displays, number - 1)}"


def _inputs(plan: LaunchSpec) -> Iterator[str]:
    """QEMU gives what is typed to the device that the guest drives, and to PS/2 where it drives no other."""
    if plan.spec.displays and plan.spec.input is Input.VIRTIO:
        for place, device in enumerate(VIRTIO_INPUTS):
            yield from ("-device", f"{device},{_address(plan.hardware.slots.inputs, place)}")


def screen_device(index: int) -> str:
    """The id of a display's device."""
    return f"display{index}"


def screen_socket(index: int) -> str:
    """The name of a display's RFB socket in the machine's own directory."""
    return f"display{index}.sock"


def _nics(plan: LaunchSpec) -> Iterator[str]:
    """At the PCI address of its slot, wherever it stands in the list: guests name a NIC after that."""
    first = plan.hardware.slots.nics
    places = {slot(nic.nic) for nic in plan.nics}
    if places and 0 not in places:  # no guest looks for the others behind a first function that is not there
        yield from ("-device", f"virtio-rng-pci,rng=/objects/rng,{_address(first, 0)}")
    for nic in plan.nics:
        place = slot(nic.nic)
        match nic:
            case NatDevice():
                yield from ("-netdev", f"user,id=net{place}")
            case TapDevice():
                yield from ("-netdev", f"tap,id=net{place},{_queues(nic)}")
        about = f"id=nic{nic.nic},netdev=net{place},mac={nic.mac},romfile="
        if isinstance(nic, TapDevice) and len(nic.fds) > 1:  # an interrupt for each direction of each queue, and two
            about += f",mq=on,vectors={2 * len(nic.fds) + 2}"
        yield from ("-device", f"virtio-net-pci,{about},{_address(first, place)}")


def _spare_ports(hardware: Hardware) -> Iterator[str]:
    """Without I/O space, of which a port would take 4 KiB and the firmware has 48 to give."""
    for number in range(hardware.spare_ports):
        about = f"id=spare{number},chassis={number + 1},slot={number + 1},io-reserve=0"
        yield from ("-device", f"pcie-root-port,{about},{_address(hardware.slots.spare_ports, number)}")


def _balloon(plan: LaunchSpec) -> Iterator[str]:
    """Never inflated: a guest reports what it has freed, and QEMU gives that back to the host."""
    if plan.hardware.balloon and plan.spec.balloon:
        yield from ("-device", f"virtio-balloon-pci,free-page-reporting=on,addr={plan.hardware.slots.balloon:#x}")


def _queues(nic: TapDevice) -> str:
    several = len(nic.fds) > 1
    text = f"{'fds' if several else 'fd'}={':'.join(map(str, nic.fds))}"
    if nic.vhost:
        text += f",vhost=on,{'vhostfds' if several else 'vhostfd'}={':'.join(map(str, nic.vhost))}"
    return text


def _fdset(number: int, descriptor: int) -> tuple[str, str]:
    return ("-add-fd", f"fd={descriptor},set={number}")


def _address(slot: int, place: int) -> str:
    """The PCI address of the n-th device that begins at that slot, eight functions to a slot."""
    return f"addr={slot + place // FUNCTIONS:#x}.{place % FUNCTIONS:#x},multifunction=on"
