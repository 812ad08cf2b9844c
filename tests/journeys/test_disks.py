"""What is set of a disk, with a real server and QEMU; as a whole, also as its guest feels it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.journeys.conftest import StartServer
from tests.journeys.server import Terminal
from tests.patience import at_last
from velocity.cli.demo.guest import Guest

pytestmark = [pytest.mark.guest, pytest.mark.whole]

SIZE, SLOW = 8 << 20, 256 << 10
MODES = ("BLOCK", "USB", "VIRTIO")


@pytest.mark.holds("GUEST-46", "GUEST-47", "GUEST-48", "GUEST-67")
def test_a_guest_feels_its_disks_limits_sectors_and_detected_zeroes(
    start_server: StartServer, guest: Guest, tmp_path: Path, whole: bool
) -> None:
    """Past the page cache and by it. In short: that QEMU runs so, and takes other limits while it does."""
    server = start_server()
    iso = {"mid": server.upload("cd", guest.iso.read_bytes()), "mode": "VIRTIO", "readonly": True}
    disks = {
        mode: {
            "mid": server.ok("PUT", "/m/media/create", mpid=1, gid=0, name=mode, size=SIZE)["mid"], "mode": mode,
            "readonly": False, "sector_size": 4096, "detect_zeroes": True,
            "cache": "writeback" if mode == "USB" else "none", "limits": {"write_bytes": SLOW},
        }
        for mode in MODES
    }  # fmt: skip
    body = {"name": "vm", "gid": 0, "cpus": 1, "memory_mib": 256, "media": [iso, *disks.values()]}
    vmid = int(server.ok("PUT", "/v/vm/efi", **body)["vmid"])
    server.ok("PUT", "/v/vm/state", vmid=vmid, state="RUNNING" if whole else "PAUSED")
    command = " ".join(server.ok("POST", "/v/vm/command", vmid=vmid)["argv"])
    assert command.count("cache.direct=on,file.cache.direct=on") == command.count("aio=") == 2
    terminal = server.console(vmid) if whole else None
    names = in_guest(terminal) if terminal else {}
    files = {mode: next((tmp_path / "data0" / "media").glob(f"{disk['mid']}*")) for mode, disk in disks.items()}
    for mode, name in names.items():
        assert terminal is not None
        assert written(terminal, name, "urandom") > 1.5, (mode, "512 KiB at 256 KiB a second, less what a moment holds")
        assert files[mode].stat().st_blocks * 512 >= 512 << 10
    free = [{name: value for name, value in disk.items() if name != "limits"} for disk in disks.values()]
    altered = server.ok("PATCH", "/v/vm", vmid=vmid, media=[iso, *free])
    assert (altered["waiting"], altered.get("warnings")) == ([], None)
    for mode, name in names.items():
        assert terminal is not None
        written(terminal, name, "zero")
        assert files[mode].stat().st_blocks == 0, (mode, "zeros give back what was written there")
    if terminal:
        terminal.close()
    server.ok("PUT", "/v/vm/state", vmid=vmid, state="STOPPED", force=True)
    server.ok("PATCH", "/m/media", mid=disks["BLOCK"]["mid"], size=2 * SIZE)
    converted = server.ok("PUT", "/m/media/convert", mid=disks["VIRTIO"]["mid"], format="qcow2")["tid"]
    at_last(lambda: server.ok("POST", "/t/task", tid=converted)["state"] != "RUNNING", "the end of the task")
    server.ok("PATCH", "/m/media", mid=disks["VIRTIO"]["mid"], size=4 * SIZE)
    server.ok("PUT", "/v/vm/state", vmid=vmid, state="RUNNING" if whole else "PAUSED")
    for mode, size in (("BLOCK", 2 * SIZE), ("VIRTIO", 4 * SIZE)):
        assert server.ok("POST", "/m/media", mid=disks[mode]["mid"])["size"] == size
    if whole:
        terminal = server.console(vmid)
        terminal.boot()
        said = terminal.run("cat /sys/block/[sv]d*/size | sed s/^/S/", 600)
        assert {f"S{2 * SIZE // 512}", f"S{4 * SIZE // 512}"} <= set(said.split()), "the guest finds larger disks"
        terminal.close()
    server.ok("PUT", "/v/vm/state", vmid=vmid, state="STOPPED", force=True)


def in_guest(terminal: Terminal) -> dict[str, str]:
    """What the guest calls the disk of each mode, all with the sectors that were asked for."""
    terminal.boot()
    terminal.run("sleep 3", 600)  # a USB disk is found some seconds later
    said = terminal.run(
        "for b in /sys/block/[sv]d*; do echo DISK $(readlink -f $b) $(cat $b/queue/logical_block_size) END; done", 600
    )
    found = re.findall(r"DISK (\S+) (\d+) END", said)
    assert [size for _, size in found] == ["4096"] * len(MODES), said
    ways = {"usb": "USB", "target": "VIRTIO"}
    return {
        next((mode for way, mode in ways.items() if f"/{way}" in path), "BLOCK"): f"/dev/{path.rpartition('/')[2]}"
        for path, _ in found
    }


def written(terminal: Terminal, name: str, what: str) -> float:
    """Seconds that 512 KiB took, past the guest's own cache."""
    said = terminal.run(
        f"cut -d' ' -f1 /proc/uptime | sed s/^/T/; dd if=/dev/{what} of={name} bs=64k count=8 oflag=direct; "
        "cut -d' ' -f1 /proc/uptime | sed s/^/T/", 600,
    )  # fmt: skip
    begun, ended = (float(one) for one in re.findall(r"^T([\d.]+)", said, re.MULTILINE))
    return ended - begun
