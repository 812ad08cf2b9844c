"""The packet filter for QEMU's user network: keeps guests from loopback and other addresses of the host.

QEMU's user network opens the guest's connections from its own process, and sends packets for the guest's gateway to
127.0.0.1. Each machine has a uid from one range, so one static rule on that range suffices. It also closes addresses at
which clouds tell their hosts secrets, as every process of the host may ask there, and guests that have NAT by a bridge
(`velocity.network.nat`). The host's other addresses stay reachable, as for any machine on its network. nft(8)
"""

from __future__ import annotations

import ipaddress
import json
from collections.abc import Sequence
from pathlib import Path

from velocity.network import nft

CLOSED = tuple(
    map(
        ipaddress.ip_network,
        (
            "127.0.0.0/8",
            "::1/128",
            "169.254.0.0/16",  # link-local: 169.254.169.254 is the metadata service of most clouds
            "fe80::/10",
            "fd00:ec2::254/128",  # Amazon's over IPv6
            "168.63.129.16/32",  # Azure's
            "100.100.100.200/32",  # Alibaba's
        ),
    )
)


NAT_BRIDGES = "vnat"
"""The prefix of the names of NAT bridges, of all servers on the host."""


_TABLE = "velocity_"


def table(uids: range) -> str:
    """One table per range of uids, so that two servers on one host do not touch each other's."""
    return f"{_TABLE}{uids.start}"


def others(uids: range) -> list[int]:
    """The first uids of the other ranges on this host that have such a table, in order. A table outlives its server."""
    names = [str(one["table"]["name"]) for one in nft.read("tables") if "table" in one]
    starts = {int(name.removeprefix(_TABLE)) for name in names if name.removeprefix(_TABLE).isdecimal()}
    return sorted(starts - {uids.start})


def script(uids: range, resolvers: Sequence[str]) -> str:
    """The nft script, one transaction. Resolvers among the closed addresses stay open for DNS."""
    who = f"meta skuid {uids.start}-{uids.stop - 1}"
    lines = [f"add table inet {table(uids)}", f"delete table inet {table(uids)}", f"table inet {table(uids)} {{"]
    lines += ["chain out { type filter hook output priority 0; policy accept;"]
    lines += [f"{who} ct direction reply accept"]  # to whom a port of the host has led to the guest
    for resolver in resolvers:
        family = "ip6" if ":" in resolver else "ip"
        lines += [f"{who} {family} daddr {resolver} meta l4proto {{ tcp, udp }} th dport 53 accept"]
    lines += [f"{who} {'ip' if net.version == 4 else 'ip6'} daddr {net} reject" for net in CLOSED]
    lines += [f'{who} oifname "{NAT_BRIDGES}*" reject']
    return "\n".join([*lines, "}", "}"]) + "\n"


def raise_fence(uids: range) -> None:
    """Set the filter, replacing an older one for the same range. Raises `nft.CannotFilter`."""
    nft.change(script(uids, closed_resolvers()))


def holds(uids: range) -> bool:
    """Whether the kernel has the filter for that range, read back from it."""
    text = [json.dumps(one["rule"]["expr"]) for one in nft.read("table", "inet", table(uids)) if "rule" in one]
    span = json.dumps({"range": [uids.start, uids.stop - 1]})
    closed = [one for one in text if span in one and '"reject"' in one]
    return all(any(f'"{net.network_address}"' in one for one in closed) for net in CLOSED)


def closed_resolvers(resolv_conf: Path = Path("/etc/resolv.conf")) -> list[str]:
    """The host's resolvers among the closed addresses, such as 127.0.0.53. resolv.conf(5)"""
    found = []
    try:
        lines = resolv_conf.read_text("utf-8", "replace").splitlines()
    except OSError:
        return []
    for line in lines:
        words = line.split()
        if len(words) >= 2 and words[0] == "nameserver":
            try:
                address = ipaddress.ip_address(words[1].partition("%")[0])
            except ValueError:
                continue
            if any(address in net for net in CLOSED):
                found.append(str(address))
    return found
