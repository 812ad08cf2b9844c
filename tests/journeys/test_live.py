"""Discs and disks that change while a real guest runs, each step seen from inside; the server is killed in between."""

from __future__ import annotations

import re
from typing import Any

import pytest

from tests.journeys.conftest import Lasting
from tests.journeys.server import Server, Terminal
from tests.patience import at_last

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


def bus(terminal: Terminal, name: str) -> str:
    """By where the guest's kernel has it."""
    said = terminal.run(f"echo PLACE $(readlink -f /sys/block/{name}) END")
    path = re.findall(r"^PLACE (.*) END", said, re.MULTILINE)[-1]
    return "USB" if "/usb" in path else "VIRTIO" if "/host" in path else "BLOCK" if "/virtio" in path else path


@pytest.mark.holds("GUEST-60")
def test_a_guest_sees_its_discs_changed_and_disks_come_and_go(
    lasting: Lasting,
) -> None:
    server, vmid = lasting.server, lasting.vmid
    terminal = server.console(vmid)
    shown = server.ok("POST", "/v/vm", vmid=vmid)["media"]
    cold = [{name: it[name] for name in ("mid", "mode", "readonly")} for it in shown]
    empty = [{"mode": "USB"}]
    one, other = (disc(server, name) for name in ("one", "other"))
    read = "for it in /dev/sr*; do dd if=$it bs=16 count=1 iflag=direct 2>&1; done"  # one is what it has booted from
    for discs, drives, wanted in (
        ([one], [], "disc-one"), ([other], [], "disc-other"), ([], empty, "o medium"), ([other], [], "disc-other"),
    ):  # fmt: skip
        altered = server.ok("PATCH", "/v/vm", vmid=vmid, media=[*cold, *discs], drives=drives)
        assert altered["waiting"] == [], altered
        asked(terminal, read, wanted)
    for mode in ("VIRTIO", "USB", "BLOCK"):
        disk = {"mid": server.ok("PUT", "/m/media/create", mpid=1, gid=0, name=mode, size=SIZE)["mid"], "mode": mode}
        before = blocks(terminal)
        altered = server.ok("PATCH", "/v/vm", vmid=vmid, media=[*cold, other, disk])
        assert altered["waiting"] == [], altered
        at_last(lambda: blocks(terminal) > before, "that the guest finds it", 0.1)  # noqa: B023 (called in the loop)
        (name,) = blocks(terminal) - before
        assert bus(terminal, name) == mode
        terminal.run(f"echo {MARK} | dd of=/dev/{name} bs=4096 conv=sync oflag=direct 2>/dev/null; sync")
        file = next(lasting.big.glob(f"{disk['mid']}*"))
        assert file.read_bytes().startswith(MARK.encode())
        if mode == "VIRTIO":
            server.kill()
            server.start()
            server.wait_for(vmid, "RUNNING", 60)
            terminal = server.console(vmid)
        if mode == "BLOCK":  # a guest that does not run lets go of it as soon as it does
            server.ok("PUT", "/v/vm/state", vmid=vmid, state="PAUSED")
        altered = server.ok("PATCH", "/v/vm", vmid=vmid, media=[*cold, other])
        if mode == "BLOCK":
            assert "has not released it yet" in altered["waits"]["media"]
            server.ok("PUT", "/v/vm/state", vmid=vmid, state="RUNNING")
            settled(server, vmid)
        else:
            assert altered["waiting"] == [], altered
        assert blocks(terminal) == before
        server.ok("DELETE", "/m/media", mid=disk["mid"], purge=True)
    terminal.close()
    server.ok("PATCH", "/v/vm", vmid=vmid, media=cold, drives=empty)
    for done in one, other:
        server.ok("DELETE", "/m/media", mid=done["mid"], purge=True)
