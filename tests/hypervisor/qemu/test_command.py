"""The command line, as data."""

from __future__ import annotations

import itertools
from collections import Counter
from dataclasses import replace

import msgspec
import pytest

from tests.hypervisor.qemu.plans import disk, displays, nat, plan
from tests.ports.subjects import DEADLINE, HOST, QemuSubject, machine, spec
from velocity.hypervisor.port import Bus, DisplaySpec, Input, SeedSpec, Stop
from velocity.hypervisor.qemu.command import LaunchSpec, arguments, escaped
from velocity.hypervisor.qemu.hardware import PROFILES


def options(made: LaunchSpec, name: str) -> list[str]:
    words = arguments(made)
    return [value for option, value in itertools.pairwise(words) if option == name]


@pytest.mark.holds("ISOLATION-3")
def test_the_users_words_reach_no_option() -> None:
    assert not any("evil" in word for word in arguments(plan()))


def test_what_every_machine_is_started_with() -> None:
    words = arguments(plan())
    assert {"-no-user-config", "-nodefaults", "-S"} < set(words)
    (sandbox,) = options(plan(), "-sandbox")
    assert {"obsolete=deny", "elevateprivileges=deny", "spawn=deny", "resourcecontrol=deny"} < set(sandbox.split(","))
    assert options(plan(), "-pidfile") == ["/run/a,,b/pid"]
    (machine,) = options(plan(), "-machine")
    assert "dump-guest-core=off" in machine.split(","), "no core dump shows what a guest has in its memory"


def test_no_path_of_a_medium_is_named_and_no_format_is_guessed() -> None:
    made = plan(disks=(disk(Bus.BLOCK, format="qcow2"), disk(Bus.USB, readonly=True)))
    nodes = options(made, "-blockdev")
    assert all("file.filename=/dev/fdset/" in node for node in nodes)
    assert nodes[2].startswith("driver=qcow2,")
    assert "read-only=on,file.read-only=on" in nodes[3]


def test_buses_and_boot_order() -> None:
    made = plan(
        disks=(
            disk(Bus.VIRTIO, cdrom=True),
            disk(Bus.USB),
            disk(Bus.USB, cdrom=True),
            disk(Bus.VIRTIO),
            disk(Bus.BLOCK),
        )
    )
    disks = [device for device in options(made, "-device") if "bootindex" in device]
    assert [device.split(",")[0] for device in disks] == [
        "scsi-cd",
        "usb-storage",
        "scsi-cd",
        "scsi-hd",
        "virtio-blk-pci",
    ]
    assert [device.rsplit("=", 1)[1] for device in disks] == ["1", "2", "3", "4", "5"]


@pytest.mark.holds("GUEST-42")
def test_virtio_disks_have_a_thread_of_their_own_from_hardware_2_on() -> None:
    buses = (Bus.BLOCK, Bus.VIRTIO, Bus.USB, Bus.BLOCK)
    for hardware, disks, expected in (
        ("2", buses, {"virtio-blk-pci": 2, "virtio-scsi-pci": 1}), ("2", (Bus.USB,), {}), ("1", buses, {}),
    ):  # fmt: skip
        made = plan(disks=tuple(disk(bus) for bus in disks), hardware=hardware)
        served = Counter(one.split(",")[0] for one in options(made, "-device") if "iothread=io" in one.split(","))
        assert dict(served) == expected, (hardware, disks)
        assert options(made, "-object").count("iothread,id=io") == bool(expected)


@pytest.mark.holds("GUEST-45")
def test_disks_that_go_past_the_page_cache_say_so_and_no_other_changes() -> None:
    disks = (disk(Bus.BLOCK), disk(Bus.VIRTIO, format="qcow2"), disk(Bus.USB, readonly=True))
    plain = plan(disks=disks)
    for aio in ("native", "io_uring"):
        made = replace(plain, files=replace(plain.files, direct=plain.files.disks[1:]), direct_aio=aio)
        more = f",cache.direct=on,file.cache.direct=on,file.aio={aio}"
        found = zip(options(plain, "-blockdev"), options(made, "-blockdev"), strict=True)
        added = ["".join(two.split(more)) == one and more in two for one, two in found]
        assert added == [False, False, False, True, True]
        assert [options(one, "-device") for one in (made, plain)] == [options(plain, "-device")] * 2


@pytest.mark.parametrize(("disks", "ports"), [(0, [3]), (1, [4]), (12, [15]), (13, [15, 2]), (32, [15, 15, 7])])
def test_usb_controllers_have_the_ports_that_are_needed_and_one_to_spare(disks: int, ports: list[int]) -> None:
    def found(*displays: DisplaySpec) -> list[int]:
        devices = options(plan(disks=(disk(Bus.USB),) * disks, displays=displays), "-device")
        controllers = [device.split(",") for device in devices if device.startswith("qemu-xhci")]
        assert [words[1] for words in controllers] == [f"id=xhci{number}" for number in range(len(controllers))]
        assert all(words[2].replace("p2", "p3") == words[3] for words in controllers)
        return [int(words[2].removeprefix("p2=")) for words in controllers]

    assert found(DisplaySpec("a", 800, 600)) == ports
    without = [ports[0] - 2, *ports[1:]] if disks else []
    assert found() == without, "keyboard and tablet come with a display"


@pytest.mark.holds("GUEST-41")
@pytest.mark.parametrize(
    ("kind", "devices"),
    [
        (Input.VIRTIO, ["virtio-keyboard-pci", "virtio-tablet-pci"]),
        (Input.PS2, []),
        (Input.USB, ["qemu-xhci", "usb-kbd", "usb-tablet"]),
    ],
)
def test_keyboard_and_pointer_are_those_that_are_asked_for_and_come_with_a_display(
    kind: Input, devices: list[str]
) -> None:
    words = ("keyboard", "kbd", "tablet", "xhci")
    for profile in PROFILES:
        made = [
            [one.split(",")[0] for one in options(plan(input=kind, displays=screens, hardware=profile.name), "-device")]
            for screens in (displays(2), ())
        ]
        found, without = ([one for one in each if any(word in one for word in words)] for each in made)
        assert (found, without) == (devices, [])


@pytest.mark.holds("GUEST-43")
def test_the_cpu_is_the_one_that_is_asked_for_in_one_socket() -> None:
    for cpu, kvm, tcg in (("host", "host", "max"), ("Nehalem", "Nehalem", "Nehalem"), ("best", None, None)):
        for accelerator, given in (("kvm", kvm), ("tcg,thread=multi", tcg)):
            for profile in PROFILES:
                best = profile.best_cpu[accelerator.partition(",")[0]]
                made = plan(accelerator, cpu=cpu, hardware=profile.name, cpus=3)
                assert options(made, "-cpu") == [given or best]
    emulated = [options(plan("tcg", cpu="best", hardware=one.name), "-cpu") for one in PROFILES]
    assert emulated == [["max"], ["max"], ["max,erms=off"], ["max,erms=off"], ["max,erms=off"]]
    assert options(plan(cpus=3, hardware="2"), "-smp") == ["3,sockets=1,cores=3,threads=1"]


@pytest.mark.holds("GUEST-82")
def test_a_place_in_the_boot_order_moves_no_device() -> None:
    def told(*boots: int) -> dict[str, str]:
        nics = (msgspec.structs.replace(nat(1), boot=boots[0]), msgspec.structs.replace(nat(2), boot=boots[1]))
        disks = [msgspec.structs.replace(disk(Bus.BLOCK), boot=boot) for boot in boots[2:]]
        found = [one.partition(",bootindex=") for one in options(plan(disks=tuple(disks), nics=nics), "-device")]
        places = [
            (next(word for word in f"{front},{back}".split(",") if word.startswith("id="))[3:], back.split(",")[0])
            for front, index, back in found
            if index
        ]
        return dict(places)

    assert told(0, 0, 0, 0) == {"dev0": "1", "dev1": "2"}
    assert told(0, 2, 0, 1) == {"dev1": "1", "nic2": "2", "dev0": "3"}


def test_displays_are_devices_of_their_own() -> None:
    made = plan(displays=(DisplaySpec("a", 800, 600), DisplaySpec("b", 1600, 900)))
    devices = options(made, "-device")
    assert "virtio-vga,id=display0,xres=800,yres=600,addr=0x1" in devices
    assert any(one.startswith("virtio-gpu-pci,id=display1,xres=1600,yres=900") for one in devices)
    assert [one.split(",id")[0] for one in options(made, "-vnc")] == [
        "unix:/run/a,,b/display0.sock",
        "unix:/run/a,,b/display1.sock",
    ]


def test_a_machine_at_every_limit_has_a_place_for_each_device() -> None:
    many = plan(
        disks=tuple(disk(bus) for bus in (Bus.BLOCK,) * 32),
        displays=tuple(DisplaySpec(str(number), 1, 1) for number in range(8)),
        nics=tuple(nat(number) for number in range(1, 9)),
    )
    addresses = [word for device in options(many, "-device") for word in device.split(",") if word.startswith("addr=")]
    assert len(addresses) == len(set(addresses))
    assert max(int(one[5:].split(".")[0], 16) for one in addresses) < 0x1F


@pytest.mark.holds("GUEST-32")
@pytest.mark.parametrize(
    ("nics", "places"),
    [
        ((1, 2), {1: "0xb.0x0", 2: "0xb.0x1"}),
        ((2, 1), {1: "0xb.0x0", 2: "0xb.0x1"}),
        ((2,), {2: "0xb.0x1"}),
        ((3, 10), {3: "0xb.0x2", 10: "0xb.0x1"}),
        ((9,), {9: "0xb.0x0"}),
    ],
)
def test_a_nic_has_the_pci_address_and_the_mac_address_of_its_id(nics: tuple[int, ...], places: dict[int, str]) -> None:
    """So that a guest names it as before; and a PCI slot has its first function, else no guest finds the others."""
    made = plan(nics=tuple(nat(one) for one in nics))
    devices = [dict(word.split("=", 1) for word in one.split(",")[1:]) for one in options(made, "-device")
               if one.startswith("virtio-net-pci")]  # fmt: skip
    assert {int(one["id"][3:]): (one["addr"], one["mac"]) for one in devices} == {
        one: (place, f"52:54:00:00:00:{one:02x}") for one, place in places.items()
    }
    backends = [word.removeprefix("user,id=") for word in options(made, "-netdev")]
    assert [one["netdev"] for one in devices] == backends and len(set(backends)) == len(backends)
    assert sum("addr=0xb.0x0," in one for one in options(made, "-device")) == 1


def test_commas_are_doubled() -> None:
    assert escaped("a,b") == "a,,b"


@pytest.mark.holds("GUEST-32", "MORE-15")
@pytest.mark.anyio
@pytest.mark.guest
async def test_qemu_takes_nics_of_any_ids(qemu: QemuSubject) -> None:
    """Also where none has the first function of their slot, and a generator stands there; beside them, a seed."""
    seed = SeedSpec("#cloud-config\n", "instance-id: a\n")
    for nics in ((1, 2), (2, 11), (8,)):
        who = machine()
        wanted = msgspec.structs.replace(
            spec(qemu.hypervisor, held=True), nics=tuple(nat(one) for one in nics), seed=seed
        )
        await qemu.hypervisor.machines.start(who, wanted, deadline=DEADLINE)
        command = await qemu.hypervisor.hosts.command(who, deadline=DEADLINE)
        assert command is not None and sum(word.startswith("virtio-net-pci,") for word in command) == len(nics)
        assert "scsi-cd,bus=seedbus.0,drive=seed,id=seedcd" in command
        await qemu.hypervisor.machines.stop(who, Stop.NOW, deadline=DEADLINE)


@pytest.mark.anyio
@pytest.mark.guest
async def test_guests_with_more_memory_have_more_room_for_translated_code(qemu: QemuSubject) -> None:
    if qemu.hypervisor.hosts.about(HOST).accelerator != "tcg":
        pytest.skip("needs a host without KVM, whose QEMU translates code")
    for memory, room in ((1023, 56), (1024, 128)):
        who = machine()
        wanted = msgspec.structs.replace(spec(qemu.hypervisor, held=True), memory=memory)
        await qemu.hypervisor.machines.start(who, wanted, deadline=DEADLINE)
        command = await qemu.hypervisor.hosts.command(who, deadline=DEADLINE)
        assert command is not None and f"tcg,thread=multi,tb-size={room}" in command
        await qemu.hypervisor.machines.stop(who, Stop.NOW, deadline=DEADLINE)
