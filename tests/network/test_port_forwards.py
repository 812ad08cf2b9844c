"""Ports of the host that lead to guests with NAT by a bridge, in namespaces."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.network import forward_host
from tests.network.nat_host import HOST, WORLD
from tests.network.test_nat import ROOT, place, world
from tests.root import as_root

__all__ = ["place", "world"]
pytestmark = [
    pytest.mark.guest,
    as_root("namespaces of the network"),
]

NOBODY = {"UDP": "nobody", "guest": "refused", "bridge": "refused", "process": "refused"}


def seen(gateway: str, *ports: int) -> dict[str, str]:
    """As whom each comes to the guest while these ports lead to it: 2223 at 127.0.0.1 alone, 2224 at another one."""
    ways: dict[str, Any] = {"world": (WORLD, 2223), "127.0.0.1": (gateway, 2224), "host itself": (HOST, 2223)}
    return {
        **{
            f"{way}, {port}": name if port in ports and port != closed else "refused"
            for way, (name, closed) in ways.items()
            for port in (2222, 2223, 2224)
        },
        "world, UDP": WORLD if 2225 in ports else "nobody",
        "127.0.0.1, UDP": gateway if 2225 in ports else "nobody",
        "other guest": "refused",
        "other guest, bridge": "refused",
        "QEMU's process": "refused",
    }


@pytest.mark.holds("NAT-17", "NAT-18", "NAT-19")
def test_ports_of_the_host_lead_to_one_port_of_one_guest(world: tuple[str, str], place: Path) -> None:
    host, beyond = world
    command = ["ip", "netns", "exec", host, sys.executable, "-m", forward_host.__name__, str(place), beyond]
    done = subprocess.run(command, check=False, capture_output=True, text=True, cwd=ROOT, timeout=240)
    assert done.returncode == 0, done.stderr[-4000:]
    told = json.loads(done.stdout)
    gateway = told["gateway"]
    assert told["before"] == seen(gateway)
    assert told["set"] == seen(gateway, 2222, 2223, 2224, 2225)
    assert set(told["loopback"].values()) <= {"silence", "refused"}, "no guest comes to the host's loopback addresses"
    assert told["restored"] == {"lost": "refused", "there": WORLD, "links": True}
    assert told["fewer"] == seen(gateway, 2224, 2225)
    assert told["none"] == [[], "0"], "of no NIC, and the bridge routes no loopback addresses any more"
    assert told["left"] == []
    taken, other, free, foreign = told["hindrances"]
    assert (other, free) == ("", "")
    assert "a process of the host has its port" in taken
    assert f"the host has no address {WORLD}" in foreign
