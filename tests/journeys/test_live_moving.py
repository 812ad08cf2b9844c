"""Disks move and are converted while a real guest writes to them, and have the same bytes inside and outside."""

from __future__ import annotations

import hashlib
import re
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from tests.journeys.conftest import Lasting
from tests.journeys.server import Server, Terminal
from tests.journeys.test_live import asked, blocks
from tests.patience import PATIENCE

pytestmark = pytest.mark.guest

MIB = 1 << 20
WRITES = (
    "n=0; while [ ! -e /tmp/halt ]; do n=$((n+1)); "
    "dd if=/dev/urandom of=/dev/{0} bs=4k count=16 seek=$((n*37%240)) oflag=direct 2>/dev/null; done"
)


def done(server: Server, path: str, **body: Any) -> dict[str, Any]:
    """Begun, and waited for."""
    tid, end = server.ok("PUT", path, **body)["tid"], time.monotonic() + PATIENCE
    while (task := server.ok("POST", "/t/task", tid=tid))["state"] == "RUNNING":
        assert time.monotonic() < end, task
        time.sleep(0.05)
    assert task["state"] == "DONE", task
    return task


def inside(terminal: Terminal, name: str) -> str:
    """The SHA-256 of its first MiB, as the guest reads it past its cache."""
    said = terminal.run(
        f"echo 3 >/proc/sys/vm/drop_caches; dd if=/dev/{name} bs=1M count=1 2>/dev/null | sha256sum", 120
    )
    return str(re.findall(r"[0-9a-f]{64}", said)[-1])


def outside(server: Server, vmid: int, file: Path, scratch: Path) -> str:
    """The same as it lies on the disk: QEMU writes its tables out when it halts."""
    server.ok("PUT", "/v/vm/state", vmid=vmid, state="PAUSED")
    raw, format_ = scratch / "raw", file.suffix[1:]
    subprocess.run(["qemu-img", "convert", "-U", "-f", format_, "-O", "raw", str(file), str(raw)], check=True)
    server.ok("PUT", "/v/vm/state", vmid=vmid, state="RUNNING")
    return hashlib.sha256(raw.read_bytes()[:MIB]).hexdigest()


def check_same(lasting: Lasting, terminal: Terminal, name: str, file: Path, scratch: Path) -> None:
    """The guest stops writing: what it has is what lies there, and what it writes then comes there."""
    server, vmid = lasting.server, lasting.vmid
    # a killed shell would leave its last dd behind, which writes on
    terminal.run("touch /tmp/halt; wait; rm /tmp/halt", 120)
    assert inside(terminal, name) == outside(server, vmid, file, scratch)
    terminal.run(f"echo written-then | dd of=/dev/{name} bs=4096 conv=sync oflag=direct 2>/dev/null", 120)
    assert inside(terminal, name) == outside(server, vmid, file, scratch)
    assert b"written-then" in file.read_bytes()


@pytest.mark.holds("IMAGE-52")
def test_disks_move_and_are_converted_while_a_guest_writes_to_them(lasting: Lasting, tmp_path: Path) -> None:
    server, vmid = lasting.server, lasting.vmid
    big = lasting.big
    before = server.ok("POST", "/v/vm", vmid=vmid)["media"]
    (mid,) = [one["mid"] for one in before if one["mode"] == "BLOCK"]
    terminal = server.console(vmid)
    terminal.run(f"({WRITES.format('vda')}) & true")
    done(server, "/m/media/move", mid=mid, mpid=1)
    assert not list(lasting.small.glob(f"{mid}*"))
    check_same(lasting, terminal, "vda", big / f"{mid}.raw", tmp_path)
    assert (big / f"{mid}.raw").stat().st_blocks * 512 < 8 * MIB, "it stays sparse"
    has = blocks(terminal)
    usb = server.ok("PUT", "/m/media/create", mpid=1, gid=0, name="usb", size=8 * MIB)["mid"]
    server.ok("PATCH", "/v/vm", vmid=vmid, media=[*before, {"mid": usb, "mode": "USB"}])
    asked(terminal, "ls /sys/block | tr '\\n' ' '", "sd")
    (name,) = blocks(terminal) - has
    for format_ in ("qcow2", "raw"):
        terminal.run(f"({WRITES.format(name)}) & true")
        done(server, "/m/media/convert", mid=usb, format=format_)
        check_same(lasting, terminal, name, big / f"{usb}.{format_}", tmp_path)
    terminal.run(f"dd if=/dev/zero of=/dev/{name} bs=1M count=8 oflag=direct 2>/dev/null; sync", 120)
    done(server, "/m/media/convert", mid=usb, format="raw")
    assert (big / f"{usb}.raw").stat().st_blocks == 0, "what is zero takes no space"
    check_same(lasting, terminal, name, big / f"{usb}.raw", tmp_path)
    server.ok("PATCH", "/v/vm", vmid=vmid, media=before)
    assert blocks(terminal) == has
    server.ok("DELETE", "/m/media", mid=usb, purge=True)
    terminal.run("dd if=/dev/zero of=/dev/vda bs=64k count=16 2>/dev/null; sync; blkdiscard /dev/vda 2>/dev/null", 120)
    done(server, "/m/media/move", mid=mid, mpid=2)
    assert server.state(vmid)["state"] == "RUNNING"
    terminal.close()
