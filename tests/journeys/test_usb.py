"""Guests boot from USB media: as CD and as disk, with displays and without, however many there are."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.journeys.conftest import StartServer
from tests.journeys.server import Server, Terminal
from velocity.cli.demo.guest import Guest

pytestmark = pytest.mark.guest

SCREEN = {"name": "screen", "width": 1024, "height": 768}


def begun(server: Server, name: str, *media: str, displays: int) -> Terminal:
    attached = [{"mid": mid, "mode": "USB", "readonly": True} for mid in media]
    vmid = server.ok(
        "PUT", "/v/vm/efi", name=name, gid=0, cpus=1, memory_mib=256, media=attached, displays=[SCREEN] * displays
    )["vmid"]
    server.ok("PUT", "/v/vm/state", vmid=vmid, state="RUNNING")
    return server.console(vmid)


@pytest.mark.holds("GUEST-3")
@pytest.mark.whole
def test_a_guest_boots_from_usb_as_cd_and_as_disk(start_server: StartServer, guest: Guest, whole: bool) -> None:
    """A CD without a display and a disk with one, until the firmware has read the loader and starts it.

    As a whole, also the other way round, two at a time, and until Linux is up.
    """
    until = b"GUEST cpus" if whole else b"BdsDxe: starting"
    server = start_server()
    content = guest.iso.read_bytes()
    cd, disk = server.upload("cd", content), server.upload("disk", content, type="DISK")
    blanks = [
        server.ok("PUT", "/m/media/create", mpid=1, gid=0, name=f"blank {number}", size=1 << 20)["mid"]
        for number in range(12)
    ]
    # With a display, what the disk boots from stands on another controller.
    boot(until, begun(server, "cd", cd, displays=0), begun(server, "disk", *blanks, disk, displays=1))
    if whole:
        boot(until, begun(server, "cd with display", cd, displays=1), begun(server, "disk alone", disk, displays=0))


def boot(until: bytes, *terminals: Terminal) -> None:
    with ThreadPoolExecutor() as readers:  # a console that nobody reads is closed
        for said in readers.map(lambda terminal: terminal.until(until, 600), terminals):
            assert b"USB" in said
            assert b"EFI Internal Shell" not in said, "it boots by its order, not by luck"
