"""What a VM is made of, seen from inside: of an older version, of this one, and what guests boot from."""

from __future__ import annotations

import gzip
import re
import sqlite3
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.journeys.conftest import StartServer
from tests.journeys.server import Server, Terminal
from velocity.cli.demo.guest import Guest

pytestmark = [pytest.mark.guest, pytest.mark.whole]

RECORDED = Path(__file__).parent / "recorded"
"""The database and the firmware variables of an installation before there were profiles: a VM that has run there."""
VMID, MACHINE = 1, "c883276a-1fec-4dd2-b496-2240776ad66f"
ISO = "a1fde008-1449-46f1-8aba-90861c67e70f"
DISKS = (
    "69767db1-85e8-4e3b-aac3-fe10de5c530f", "10a77a8b-840b-43a0-aa9f-130edcd5a9a1",
    "f239773a-76cc-4cc3-9e02-f5b7ce10dc40",
)  # fmt: skip
PLACES = {
    "00:00.0": "8086:29c0", "00:01.0": "1af4:1050", "00:04.0": "1b36:000d", "00:08.0": "1af4:1004",
    "00:09.0": "1af4:1005", "00:0b.0": "1af4:1005", "00:0b.1": "1af4:1000", "00:0b.2": "1af4:1000",
    "00:0c.0": "1af4:1001", "00:1f.0": "8086:2918", "00:1f.2": "8086:2922", "00:1f.3": "8086:2930",
}  # fmt: skip
"""PCI addresses with vendor and device, as that VM's guest saw them there."""
MACS = {"52:54:00:e2:2d:78", "52:54:00:dc:67:38"}
BRIDGE, BALLOON, AGENT = "1b36:000e", "1af4:1002", "1af4:1003"
NEW = {"00:10.0": BRIDGE, "00:11.0": BALLOON, "00:14.0": AGENT}
SATA = "00:1f.2"


def installed(data: Path, guest: Guest) -> None:
    """As the older version left it, but for the size of the ISO."""
    (data / "media").mkdir(parents=True)
    (data / "machines" / MACHINE).mkdir(parents=True)
    content = guest.iso.read_bytes()
    (data / "media" / f"{ISO}.raw").write_bytes(content)
    for mid in DISKS:
        (data / "media" / f"{mid}.raw").write_bytes(bytes(1 << 20))
    packed = RECORDED / "hardware-1-vars.qcow2.gz"
    (data / "machines" / MACHINE / "vars.qcow2").write_bytes(gzip.decompress(packed.read_bytes()))
    database = sqlite3.connect(data / "velocity.db")
    database.executescript((RECORDED / "hardware-1.sql").read_text())
    database.execute("update media set size = ? where mid = ?", (len(content), ISO))
    database.commit()
    database.close()


def seen_inside(server: Server) -> tuple[dict[str, str], set[str]]:
    """The PCI devices of its guest, and the MAC addresses."""
    server.ok("PUT", "/v/vm/state", vmid=VMID, state="RUNNING")
    terminal = server.console(VMID)
    said = terminal.boot()
    said += terminal.run("cd /sys/bus/pci/devices; for d in *; do echo PCI $d $(cat $d/vendor $d/device); done")
    terminal.close()
    server.ok("PUT", "/v/vm/state", vmid=VMID, state="STOPPED", force=True)
    found = re.findall(r"PCI 0000:(\S+) 0x(\w+) 0x(\w+)", said)
    return {place: f"{vendor}:{device}" for place, vendor, device in found}, set(re.findall(r" mac (\S+)", said))


@pytest.mark.holds("GUEST-37", "GUEST-38", "GUEST-99", "GUEST-103")
def test_a_vm_of_an_older_version_keeps_its_places_until_it_takes_new_hardware(
    start_server: StartServer, guest: Guest, tmp_path: Path, whole: bool
) -> None:
    """As a whole, also before it has taken it."""
    installed(tmp_path / "data0", guest)
    server = start_server()
    shown = server.ok("POST", "/v/vm", vmid=VMID)
    assert (shown["hardware"], shown["input"], shown["cpu"]) == ("1", "usb", "host")
    assert {one["mac"] for one in shown["interfaces"]} == MACS
    server.ok("PATCH", "/v/vm", vmid=VMID, firmware="host", machine_type="latest")  # that host's is not kept here
    if whole:
        assert seen_inside(server) == (PLACES, MACS)
    planned = server.ok("PATCH", "/v/vm", vmid=VMID, hardware="latest", plan=True)
    assert "eight PCI bridges" in planned["warnings"][0] and "no SATA controller" in planned["warnings"][0]
    assert "one PCI bridge in the place of eight" in planned["warnings"][0]
    server.ok("PATCH", "/v/vm", vmid=VMID, hardware="latest")
    found, macs = seen_inside(server)
    assert (found, macs) == ({place: it for place, it in {**PLACES, **NEW}.items() if place != SATA}, MACS)


@dataclass(frozen=True)
class Boot:
    """What a guest boots from, behind so many blank disks of the same mode, and what it has beside that."""

    mode: str
    disk: bool = False
    blanks: int = 0
    displays: int = 0
    nics: int = 1
    input: str = "virtio"

    @property
    def name(self) -> str:
        what = "disk" if self.disk else "CD"
        return f"{self.mode} {what}, {self.blanks} blanks, {self.displays} displays, {self.nics} NICs, {self.input}"


SHORT = (Boot("USB"), Boot("USB", disk=True, blanks=12, displays=1, nics=8))
WHOLE = (
    *SHORT,
    Boot("USB", displays=1, input="usb"),
    Boot("USB", disk=True),
    Boot("USB", disk=True, displays=2, input="usb"),
    Boot("USB", blanks=12, displays=2, nics=8),
    *(Boot(mode, disk=mode == "BLOCK", displays=displays) for mode in ("BLOCK", "VIRTIO") for displays in (0, 1, 2)),
    Boot("VIRTIO", disk=True, displays=1, input="ps2"),
    *(Boot(mode, disk=True, blanks=12, displays=2, nics=8, input="usb") for mode in ("BLOCK", "VIRTIO")),
    *(Boot(mode, disk=True, blanks=12, nics=8) for mode in ("BLOCK", "VIRTIO")),
)
"""Media of each mode, with none, one and two displays; 13 disks and 8 NICs."""


@pytest.mark.holds("GUEST-3")
def test_guests_boot_from_every_mode_with_displays_and_without(
    start_server: StartServer, guest: Guest, whole: bool
) -> None:
    """Until the firmware starts the loader; as a whole, until Linux has found every disk, display and NIC."""
    server = start_server()
    content = guest.iso.read_bytes()
    media = {False: server.upload("cd", content), True: server.upload("disk", content, type="DISK")}
    blanks = [
        server.ok("PUT", "/m/media/create", mpid=1, gid=0, name=f"blank {number}", size=1 << 20)["mid"]
        for number in range(12)
    ]
    rows = WHOLE if whole else SHORT
    for pair in (rows[place : place + 2] for place in range(0, len(rows), 2)):
        begun = [begin(server, one, media[one.disk], blanks) for one in pair]
        with ThreadPoolExecutor() as readers:  # a console that nobody reads is closed
            for said, one in zip(readers.map(lambda vm: until(vm[1], whole), begun), pair, strict=True):
                assert "EFI Internal Shell" not in said, f"{one.name}: it boots by its order, not by luck"
                assert one.mode != "USB" or "USB" in said, one.name
                if whole:
                    finds(one, said)
        for vmid, _ in begun:
            server.ok("PUT", "/v/vm/state", vmid=vmid, state="STOPPED", force=True)


def begin(server: Server, one: Boot, boots: str, blanks: Sequence[str]) -> tuple[int, Terminal]:
    attached = [{"mid": mid, "mode": one.mode, "readonly": True} for mid in (*blanks[: one.blanks], boots)]
    screens = [{"name": f"screen {number}", "width": 1024, "height": 768} for number in range(one.displays)]
    body = {"name": one.name, "gid": 0, "cpus": 1, "memory_mib": 256, "media": attached, "displays": screens}
    vmid = int(server.ok("PUT", "/v/vm/efi", **body, nics=[{"type": "NAT"}] * one.nics, input=one.input)["vmid"])
    server.ok("PUT", "/v/vm/state", vmid=vmid, state="RUNNING")
    return vmid, server.console(vmid)


def until(terminal: Terminal, whole: bool) -> str:
    said = terminal.until(b"GUEST READY" if whole else b"BdsDxe: starting", 600).decode("utf-8", "replace")
    if whole:
        terminal.until(b"# ", 600)
        said += terminal.run("sleep 3; report", 600)  # a USB disk is found some seconds later
    terminal.close()
    return said


def finds(one: Boot, said: str) -> None:
    counts = {what: len(set(re.findall(rf"GUEST {what} (\S+)", said))) for what in ("disk", "nic", "display")}
    assert counts == {"disk": one.blanks + 1, "nic": one.nics, "display": one.displays}, (one.name, said[-3000:])
    keyboards = {"virtio": "QEMU Virtio Keyboard", "usb": "QEMU QEMU USB Keyboard", "ps2": "AT Translated"}
    assert one.displays == 0 or keyboards[one.input] in said, one.name
