"""A host without lists of protocols and services (as /etc/protocols, of the package netbase): every rule holds."""

from __future__ import annotations

import subprocess
from ipaddress import IPv4Network, IPv6Network, ip_address

import pytest

from tests.root import as_root
from velocity.hypervisor.port import ForwardSpec
from velocity.network import fence, nat_table, nic_filter, port_forwards
from velocity.network.nat_networks import NatNetworks

pytestmark = as_root("namespaces of the network")

BRIDGE, LINK, MAC, UIDS = "velocity0", "tap0", "52:54:00:12:34:56", range(52000, 53000)
NETWORKS = NatNetworks(IPv4Network("10.1.0.0/24"), IPv6Network("fd00:1::/64"))
HOSTS, OWN = [ip_address("10.1.0.1"), ip_address("fd00:1::1")], [ip_address("10.1.0.2"), ip_address("fd00:1::2")]
WITHOUT = (
    "for one in /etc/protocols /etc/services /etc/ethertypes; do test ! -e $one || mount --bind /dev/null $one; done; "
    f"ip link add {BRIDGE} type bridge && ip tuntap add {LINK} mode tap && exec nft -f -"
)
FORWARDS = [ForwardSpec(host_port=2222, guest_port=22, protocol=protocol) for protocol in ("tcp", "udp")]
SCRIPTS = {
    "NAT": nat_table.script(BRIDGE, NETWORKS),
    "forwards": port_forwards.script(BRIDGE, LINK, "10.1.0.2", FORWARDS, UIDS),
    "closed to guests": fence.script(UIDS, ["127.0.0.53", "::1"]),
    "own addresses": nic_filter.script(
        LINK, "ingress", nic_filter.rules(MAC, trusted=False, hosts=HOSTS, own=OWN)
    ),
    "any address": nic_filter.script(LINK, "egress", nic_filter.rules(MAC, trusted=False, hosts=HOSTS)),
    "trusted": nic_filter.script(LINK, "ingress", nic_filter.rules(MAC, trusted=True, hosts=HOSTS)),
}  # fmt: skip


@pytest.mark.holds("NAT-21")
@pytest.mark.parametrize("name", SCRIPTS)
def test_the_packet_filter_needs_no_list_of_protocols(name: str) -> None:
    words = ["unshare", "--mount", "--net", "sh", "-c", WITHOUT]
    done = subprocess.run(words, input=SCRIPTS[name], capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, "")
