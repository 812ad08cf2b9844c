"""Discs and disks that change while a real guest runs, each step seen from inside; the server is killed in between."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from tests.journeys.conftest import StartServer
from tests.journeys.server import Server, Terminal
from tests.patience import at_last
from velocity.cli.demo.guest import Guest

pytestmark = pytest.mark.guest

SIZE = 4 << 20
MARK = "written-by-the-guest"


def disc(server: Server, name: str) -> dict[str, Any]:
    """An ISO that tells its name."""
    return {"mid": server.upload(name, f"disc-{name} ".encode() * 4096), "mode": "USB", "readonly": True}


def asked(terminal: Terminal, question: str, wanted: str) -> str:
    """Ask until the guest has found it, for a while that ends."""
    ask = f"n=0; until {question} | grep -q '{wanted}' || [ $n -gt 150 ]; do n=$((n+1)); sleep 0.2; done; {question}"
    said = terminal.run(ask, 120)
    assert wanted in said, said
    return said


def settled(server: Server, vmid: int) -> None:
    """Wait until nothing waits any more."""
    at_last(lambda: not server.ok("POST", "/v/vm", vmid=vmid)["waiting"], "that the guest lets go of its disk", 0.1)


def blocks(terminal: Terminal) -> set[str]:
    """The disks that the guest has."""
    said = terminal.run("echo DISKS $(ls /sys/block | grep -E '^[sv]d') END")
    return set(re.findall(r"^DISKS(.*) END", said, re.MULTILINE)[-1].split())


@pytest.mark.holds("GUEST-60")
def test_a_guest_sees_its_discs_changed_and_disks_come_and_go(
    start_server: StartServer, guest: Guest, tmp_path: Path
) -> None:
    server = start_server()
    boot = {"mid": server.upload("boot", guest.iso.read_bytes()), "mode": "USB", "readonly": True}
    body = {"name": "vm", "gid": 0, "cpus": 1, "memory_mib": 256, "media": [boot]}
    vmid = int(server.ok("PUT", "/v/vm/efi", **body)["vmid"])
    server.ok("PUT", "/v/vm/state", vmid=vmid, state="RUNNING")
    terminal = server.console(vmid)
    terminal.boot()
    one, other = (disc(server, name) for name in ("one", "other"))
    read = "dd if=/dev/sr0 bs=16 count=1 iflag=direct 2>&1"
    for media, drives, wanted in (
        ([one], [], "disc-one"), ([], [{"mode": "USB"}], "o medium"), ([other], [], "disc-other"),
    ):  # fmt: skip
        altered = server.ok("PATCH", "/v/vm", vmid=vmid, media=media, drives=drives)
        assert altered["waiting"] == [], altered
        asked(terminal, read, wanted)
    for mode in ("VIRTIO", "USB", "BLOCK"):
        disk = {"mid": server.ok("PUT", "/m/media/create", mpid=1, gid=0, name=mode, size=SIZE)["mid"], "mode": mode}
        before = blocks(terminal)
        altered = server.ok("PATCH", "/v/vm", vmid=vmid, media=[other, disk])
        assert altered["waiting"] == [], altered
        pattern = "sd" if mode != "BLOCK" else "vd"
        asked(terminal, "ls /sys/block | tr '\\n' ' '", pattern)
        (name,) = blocks(terminal) - before
        terminal.run(f"echo {MARK} | dd of=/dev/{name} bs=4096 conv=sync oflag=direct 2>/dev/null; sync")
        file = next((tmp_path / "data0" / "media").glob(f"{disk['mid']}*"))
        assert file.read_bytes().startswith(MARK.encode())
        if mode == "VIRTIO":
            server.kill()
            server.start()
            server.wait_for(vmid, "RUNNING", 60)
            terminal = server.console(vmid)
        if mode == "BLOCK":  # a guest that does not run lets go of it as soon as it does
            server.ok("PUT", "/v/vm/state", vmid=vmid, state="PAUSED")
        altered = server.ok("PATCH", "/v/vm", vmid=vmid, media=[other])
        if mode == "BLOCK":
            assert "has not released it yet" in altered["waits"]["media"]
            server.ok("PUT", "/v/vm/state", vmid=vmid, state="RUNNING")
            settled(server, vmid)
        else:
            assert altered["waiting"] == [], altered
        assert blocks(terminal) == before
        server.ok("DELETE", "/m/media", mid=disk["mid"], purge=True)
    terminal.close()
    server.ok("PUT", "/v/vm/state", vmid=vmid, state="STOPPED", force=True)
