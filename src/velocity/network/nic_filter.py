"""The packet filter of a bridged NIC: which frames its guest may send.

Each NIC has a chain at its link, where the guest's frames arrive: before the bridge, which learns MAC addresses from
them. What no rule accepts is dropped. nft(8)

- Frames have the NIC's own MAC address.
- They are ARP, IPv4 or IPv6, without a VLAN tag. ARP and neighbour discovery contain the NIC's own MAC address, too. Of
  RARP, only the announcement by which bridges learn the NIC's port is accepted.
- They have none of the host's own addresses on that network.
- They are neither a router's (advertisements, redirects) nor a DHCP server's.

A NAT NIC may in addition only use its own IP addresses; for a trusted one, only the first rule applies. The rules
accept what they have parsed, and nothing that they cannot parse, because filters for router advertisements can be
evaded by fragments, extension headers, tags and LLC headers. RFC 7113
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from ipaddress import IPv4Address, IPv6Address
from typing import Any, Literal

from velocity.network import nft

TABLE = "velocity"
"""One for all servers of the host: no two links have the same name."""

RARP = "0x8035"
Hook = Literal["ingress", "egress"]
"""Where frames of a guest come: into the host by a tap, out to the host NIC by a macvtap."""
Address = IPv4Address | IPv6Address


def rules(mac: str, *, trusted: bool, hosts: Sequence[Address], own: Sequence[Address] = ()) -> Iterator[str]:
    """The rules for the frames of one NIC; `hosts` are the addresses that the host has on its network.

    `own` are those that the NIC was given, if it was given any: it may have no other.
    """
    yield f"ether saddr != {mac} drop"
    if trusted:
        yield "accept"
        return
    if own:
        yield from _own_addresses(mac, own)
    yield from (f"ether type arp arp saddr ip {one} drop" for one in hosts if one.version == 4)
    yield f"ether type arp arp htype 1 arp ptype ip arp hlen 6 arp plen 4 arp saddr ether {mac} accept"
    yield f"ether type {RARP} {_announcement(mac)} accept"
    yield from (f"ether type ip {rule}" for rule in _ipv4(hosts))
    yield from (f"ether type ip6 {rule}" for rule in _ipv6(hosts))
    yield from (f"ether type ip6 ip6 nexthdr icmpv6 {rule}" for rule in _neighbours(mac, hosts))


def _announcement(mac: str) -> str:
    """What QEMU says of a NIC that has come from another host, so that bridges learn where it is. RFC 903"""
    own = mac.replace(":", "")
    return f"@nh,0,64 0x0001080006040003 @nh,64,48 0x{own} @nh,112,32 0 @nh,144,48 0x{own} @nh,192,32 0"


def _own_addresses(mac: str, own: Sequence[Address]) -> Iterator[str]:
    """What is not from one of these is dropped. It may besides have link-local addresses, of which those that are made
    of a MAC address must be made of its own: nobody can guess the others, as no guest hears another. RFC 4291, 7217"""
    yield "ether type ip ip daddr 127.0.0.0/8 drop"
    for one in own:
        if one.version == 4:
            yield f"ether type arp arp saddr ip != {{ 0.0.0.0, {one} }} drop"
            yield f"ether type ip ip saddr != {{ 0.0.0.0, {one} }} drop"
    six = next((one for one in own if one.version == 6), None)
    if six is None:
        yield "ether type ip6 drop"
        return
    local, head = link_local(mac), "ether type ip6 ip6 nexthdr icmpv6 icmpv6 type 136"
    yield f"ether type ip6 ip6 saddr != {{ ::, fe80::/10, {six} }} drop"
    yield f"ether type ip6 ip6 saddr fe80::/10 @nh,152,16 0xfffe ip6 saddr != {local} drop"
    yield f"{head} @th,64,64 != 0xfe80000000000000 @th,64,128 != {int(six):#x} drop"
    yield f"{head} @th,64,64 0xfe80000000000000 @th,152,16 0xfffe @th,64,128 != {int(local):#x} drop"


def link_local(mac: str) -> IPv6Address:
    """The link-local address that is made of it. RFC 4291, appendix A"""
    first, *others = bytes.fromhex(mac.replace(":", ""))
    interface = bytes((first ^ 2, *others[:2], 0xFF, 0xFE, *others[2:]))
    return IPv6Address(b"\xfe\x80" + bytes(6) + interface)


def _ipv4(hosts: Sequence[Address]) -> Iterator[str]:
    yield from (f"ip saddr {one} drop" for one in hosts if one.version == 4)
    yield "ip frag-off & 0x1fff != 0 accept"  # the first fragment decides
    yield "meta l4proto != { icmp, udp } accept"
    yield "udp sport 67 drop"
    yield "udp dport != 68 accept"  # not in one rule: older versions of nft make one comparison of two like these
    yield "icmp type != { redirect, router-advertisement } accept"


def _ipv6(hosts: Sequence[Address]) -> Iterator[str]:
    yield from (f"ip6 saddr {one} drop" for one in hosts if one.version == 6)
    yield "frag nexthdr { 0, 43, 44, 60 } drop"  # more headers: the message itself could come in a later fragment
    yield "frag frag-off != 0 accept"
    yield "meta l4proto != { icmpv6, udp } accept"
    yield "udp sport 547 drop"
    yield "udp dport != 546 accept"
    yield "icmpv6 type != 133-137 accept"


def _neighbours(mac: str, hosts: Sequence[Address]) -> Iterator[str]:
    """Neighbour discovery, in the forms that hosts say it in: without an option, or with one. RFC 4861, 7527"""
    own = mac.replace(":", "")
    solicit, neighbours, advert = "icmpv6 type 133", "icmpv6 type { 135, 136 }", "icmpv6 type 136"
    yield from (f"{advert} @th,64,128 {int(one):#x} drop" for one in hosts if one.version == 6)
    yield f"{solicit} ip6 length 8 accept"
    yield f"{solicit} ip6 length 16 @th,64,64 0x0101{own} accept"
    yield f"{neighbours} ip6 length 24 accept"
    yield f"icmpv6 type 135 ip6 length 32 @th,192,64 0x0101{own} accept"
    yield "icmpv6 type 135 ip6 length 32 @th,192,16 0x0e01 accept"  # the nonce with which one looks for a double
    yield f"{advert} ip6 length 32 @th,192,64 0x0201{own} accept"


def script(link: str, hook: Hook, wanted: Iterator[str]) -> str:
    """The nft script that sets the chain of a link, in place of an older one."""
    base = f'type filter hook {hook} device "{link}" priority 0; policy drop;'
    lines = [removal(link), f"table netdev {TABLE} {{", f"chain {link} {{", base, *wanted, "}", "}"]
    return "\n".join(lines) + "\n"


def removal(link: str) -> str:
    """The nft script that removes the chain of a link; gone already is success."""
    chain = f"chain netdev {TABLE} {link}"
    return f"add table netdev {TABLE}\nadd {chain}\nflush {chain}\ndelete {chain}\n"


def links() -> list[str]:
    """Those that have a chain, or had one when they were there."""
    listed = nft.read("chains", "netdev")
    return [one["name"] for one in _each(listed, "chain") if one["table"] == TABLE]


def holds(link: str, mac: str, *, trusted: bool, own: Sequence[str] = ()) -> bool:
    """Whether the kernel holds that NIC to its rules, those of a trusted one or more, read back from it."""
    listed = nft.read("chain", "netdev", TABLE, link)
    drops = any(one.get("policy") == "drop" for one in _each(listed, "chain"))
    first, *others = [json.dumps(one["expr"]) for one in _each(listed, "rule")] or [""]
    speaks = all(any(f'"{one}"' in rule and '"drop"' in rule for rule in others) for one in own)
    return drops and f'"{mac}"' in first and '"drop"' in first and speaks and (trusted or len(others) > 1)


def _each(listed: Sequence[Mapping[str, Any]], kind: str) -> Iterator[Mapping[str, Any]]:
    return (one[kind] for one in listed if kind in one)
