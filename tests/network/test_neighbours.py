"""What the host has heard of the addresses of bridged NICs, from the kernel itself."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from tests.network.test_network import ip, namespace
from tests.root import as_root

__all__ = ["namespace"]
pytestmark = [
    pytest.mark.guest,
    as_root("namespaces of the network"),
]

HEARD = """
import json, uuid
from velocity.hypervisor.qemu import neighbours
from velocity.hypervisor.qemu.run_note import Run, RunNic
nics = {"vt1n0": RunNic(1, "52:54:00:00:00:01"), "vt1n1": RunNic(2, "52:54:00:00:00:02"),
        "vt1n2": RunNic(3, "52:54:00:00:00:03", ("10.0.0.9",)), "vt1n3": RunNic(4, "52:54:00:00:00:04", ("10.0.0.8",))}
run = Run(machine=uuid.UUID(int=7), epoch=1, boot="", links=tuple(nics), nics=nics)
print(json.dumps([(one.machine.int, one.nic, one.address) for one in neighbours.heard([run])]))
"""


@pytest.mark.holds("NAT-12")
def test_a_guest_is_heard_on_its_own_bridge_only(namespace: str) -> None:
    for bridge, link in (("br0", "vt1n0"), ("br1", "vt1n1"), ("br0", "vt1n2"), ("br0", "vt1n3")):
        if bridge not in ip("-n", namespace, "-brief", "link"):
            ip("-n", namespace, "link", "add", bridge, "type", "bridge")
        ip("-n", namespace, "link", "add", link, "type", "veth", "peer", "name", f"p{link}")
        ip("-n", namespace, "link", "set", link, "master", bridge)
    for mac, address, bridge in (
        ("52:54:00:00:00:01", "192.0.2.7", "br0"),
        ("52:54:00:00:00:01", "2001:db8::7", "br0"),
        ("52:54:00:00:00:01", "192.0.2.8", "br1"),  # another one's, on another network
        ("52:54:00:00:00:02", "192.0.2.9", "br0"),  # likewise
        ("52:54:00:00:00:03", "192.0.2.10", "br0"),  # of NAT, which gave it another one
        ("52:54:00:00:00:04", "10.0.0.8", "br0"),  # of NAT
    ):
        ip("-n", namespace, "neighbour", "add", address, "lladdr", mac, "dev", bridge)
    said = subprocess.run(
        ["ip", "netns", "exec", namespace, sys.executable, "-c", HEARD], check=True, capture_output=True, text=True
    ).stdout
    assert sorted(json.loads(said)) == [[7, 1, "192.0.2.7"], [7, 1, "2001:db8::7"], [7, 4, "10.0.0.8"]]
