"""A guest that gets a CPU and memory while it runs, and gives the memory back: each seen from inside."""

from __future__ import annotations

import re
from typing import Any

import pytest

from tests.journeys.conftest import Lasting
from tests.journeys.server import Server, Terminal
from tests.patience import at_last

pytestmark = pytest.mark.guest

MOVABLE = "echo online_movable >/sys/devices/system/memory/auto_online_blocks"
"""So that it can give it back; this guest has no udev to do it."""


@pytest.mark.holds("GUEST-61", "GUEST-62", "GUEST-80")
def test_a_guest_grows_and_shrinks_while_it_runs(lasting: Lasting) -> None:
    """It keeps the CPU: none is taken out while it runs."""
    server, vmid = lasting.server, lasting.vmid
    terminal = server.console(vmid)
    its_cpus(server, vmid, terminal)
    its_memory(server, vmid, terminal)
    its_display(server, vmid)
    terminal.close()
    # In moves under emulation, QEMU before 9.0 loses writes, above all of a CPU that idles: docs/many-hosts.md
    lasting.end()


def altered(server: Server, vmid: int, **more: Any) -> dict[str, str]:
    """What waits, and why."""
    answer = server.ok("PATCH", "/v/vm", vmid=vmid, **more)
    assert answer["waiting"] == list(answer.get("waits", {}))
    return dict(answer.get("waits", {}))


def its_cpus(server: Server, vmid: int, terminal: Terminal) -> None:
    assert altered(server, vmid, cpus=2) == {}
    at_last(lambda: "cpu1" in terminal.run("ls /sys/devices/system/cpu"), "the second CPU")
    assert "CPUS 2" in terminal.run("echo 1 >/sys/devices/system/cpu/cpu1/online; echo CPUS $(nproc)")
    assert "not removed" in altered(server, vmid, cpus=1)["cpus"]
    assert altered(server, vmid, cpus=2) == {}


def its_memory(server: Server, vmid: int, terminal: Terminal) -> None:
    terminal.run(MOVABLE)
    before = memory(terminal)
    assert altered(server, vmid, memory_mib=384) == {}
    at_last(lambda: memory(terminal) > before + (100 << 10), "128 MiB more")
    assert server.ok("POST", "/v/vm", vmid=vmid)["memory_mib"] == 384
    server.ok("PATCH", "/v/vm", vmid=vmid, memory_mib=256)
    at_last(lambda: server.ok("POST", "/v/vm", vmid=vmid)["waiting"] == [], "the guest gives it back")
    at_last(lambda: memory(terminal) < before + (16 << 10), "the guest has no more than before")


def memory(terminal: Terminal) -> int:
    """KiB that the guest has."""
    (found,) = re.findall(r"^MemTotal: +(\d+)", terminal.run("grep MemTotal /proc/meminfo"), re.MULTILINE)
    return int(found)


def its_display(server: Server, vmid: int) -> None:
    """Its text console follows to a size that it has room for, and to no other, which then is as before."""
    for width, height, follows in ((800, 600, True), (1920, 1080, False), (1280, 720, True)):
        why = altered(server, vmid, displays=[{"name": "screen", "width": width, "height": height}])
        assert ("did not follow" in why.get("displays", "")) is not follows, why
        is_shown(server, vmid, (width, height) if follows else (800, 600))


def is_shown(server: Server, vmid: int, size: tuple[int, int]) -> None:
    """In a picture of the guest's screen, sooner or later."""

    def seen() -> bool:
        picture = server.ok("POST", "/v/vm/screen", vmid=vmid)
        return (picture["width"], picture["height"]) == size

    at_last(seen, f"a screen of {size}")
