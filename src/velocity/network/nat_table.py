"""The packet filter of the NAT bridge: guests reach the outside, but neither the host nor each other.

One table for each server. Packets out of the bridge are masqueraded; packets into it belong to connections that a guest
has opened. Of the host, guests reach DHCP and DNS. That frames carry the guest's own addresses is the filter of its NIC
(`nic_filter`). nft(8)
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from velocity.network import nft
from velocity.network.fence import CLOSED, NAT_BRIDGES
from velocity.network.nat_networks import NatNetworks

FOREVER = "fe80::1"
"""The host's link-local address on the bridge, which guests use as their router."""
CONNECTIONS = 4096
"""Of one guest at a time: the kernel's connection tracking has room for some ten thousands in all."""
FAMILIES = {4: "ip", 6: "ip6"}
QUERIES = 200
"""DNS and DHCP requests of one guest per second: all guests share dnsmasq."""


def name(bridge: str) -> str:
    return f"velocity_{bridge}"


def script(bridge: str, networks: NatNetworks) -> str:
    """The nft script, one transaction."""
    head = [removal(bridge), f"table inet {name(bridge)} {{"]
    return "\n".join([*head, *_sets(), *_forward(bridge), *_input(bridge, networks), *_out(bridge, networks), "}\n"])


def removal(bridge: str) -> str:
    """The nft script that removes it. Idempotent."""
    return f"add table inet {name(bridge)}\ndelete table inet {name(bridge)}\n"


def holds(bridge: str) -> bool:
    """Whether the kernel has it, read back from it."""
    listed = nft.read("table", "inet", name(bridge))
    rules = [json.dumps(one["rule"]) for one in listed if "rule" in one]
    last = {one["rule"]["chain"]: json.dumps(one["rule"]["expr"]) for one in listed if "rule" in one}
    closed = [rule for rule in rules if '"reject"' in rule and f'"{bridge}"' in rule]
    away = any('"masquerade"' in rule for rule in rules)
    leads = any('"dnat"' in rule for rule in rules)
    shut = leads and all('"drop"' in last.get(chain, "") for chain in ("forward", "input"))
    return away and shut and all(any(f'"{net.network_address}"' in rule for rule in closed) for net in CLOSED)


def blockers(bridge: str) -> list[str]:
    """Chains of other tables that may drop what ours accepts: each table decides for itself.

    A table that mentions the bridge is assumed to accept it. firewalld rejects by a rule, others by a policy.
    """
    ruleset = nft.read("ruleset")
    told = {_table(one["rule"]) for one in ruleset if "rule" in one and f'"{bridge}"' in json.dumps(one["rule"])}
    found = []
    for chain in (one["chain"] for one in ruleset if "chain" in one):
        closed = chain.get("policy") == "drop" or chain["table"] == "firewalld"
        foreign = not chain["table"].startswith("velocity") and _table(chain) not in told
        if chain.get("hook") in ("forward", "input") and closed and foreign:
            found.append(f"{chain['family']} {chain['table']} {chain['name']}")
    return found


def _table(one: Mapping[str, Any]) -> tuple[str, str]:
    return one["family"], one["table"]


def _sets() -> Iterator[str]:
    for version in FAMILIES:
        yield f"set connections{version} {{ type ipv{version}_addr; flags dynamic; size 65535; }}"
    yield "set queries { type ether_addr; flags dynamic,timeout; timeout 1m; size 65535; }"


def _forward(bridge: str) -> Iterator[str]:
    yield "chain forward { type filter hook forward priority filter; policy accept;"
    yield f'iifname "{bridge}" oifname "{NAT_BRIDGES}*" drop'
    for version, family in FAMILIES.items():
        closed = ", ".join(str(net) for net in CLOSED if net.version == version)
        yield f'iifname "{bridge}" {family} daddr {{ {closed} }} reject'
    # The way out may carry less than the bridge, as that of a VPN does.
    for way in ("iifname", "oifname"):
        yield f'{way} "{bridge}" tcp flags syn / syn,rst tcp option maxseg size set rt mtu'
    yield "ct state established,related accept"
    for version, family in FAMILIES.items():
        most = f"add @connections{version} {{ {family} saddr ct count over {CONNECTIONS} }}"
        yield f'iifname "{bridge}" ct state new {most} reject'
    yield f'oifname != "{bridge}" accept'
    yield "ct status dnat accept"  # a port of the host that leads to a guest
    yield "drop"
    yield "}"


def _input(bridge: str, networks: NatNetworks) -> Iterator[str]:
    yield "chain input { type filter hook input priority filter; policy accept;"
    yield f'iifname != "{bridge}" accept'
    yield "ip daddr 127.0.0.0/8 ct direction original drop"  # only answers come there: see `port_forwards`
    most = f"update @queries {{ ether saddr limit rate over {QUERIES}/second burst {5 * QUERIES} packets }}"
    yield f"meta l4proto {{ tcp, udp }} th dport {{ 53, 67, 547 }} {most} drop"
    yield "ct state established,related accept"
    yield "icmpv6 type { 133, 135, 136, 143 } accept"
    yield "udp sport 68 udp dport 67 accept"
    yield "udp sport 546 udp dport 547 accept"
    yield from _answers("ip", str(networks.v4[1]))
    if networks.v6 is not None:
        yield from _answers("ip6", f"{{ {networks.v6[1]}, {FOREVER} }}")
    yield "meta pkttype host reject"
    yield "drop"
    yield "}"


def _answers(family: str, host: str) -> Iterator[str]:
    yield f"{family} daddr {host} meta l4proto {{ tcp, udp }} th dport 53 accept"
    yield f"{family} daddr {host} {'icmp type echo-request' if family == 'ip' else 'icmpv6 type 128'} accept"


def _out(bridge: str, networks: NatNetworks) -> Iterator[str]:
    yield "chain out { type nat hook postrouting priority srcnat; policy accept;"
    for net in (networks.v4, networks.v6):
        if net is not None:
            yield f'{"ip" if net.version == 4 else "ip6"} saddr {net} oifname != "{bridge}" masquerade'
    yield "}"
