"""Ethernet frames as a guest may send them, honest and other ones, made of bytes."""

from __future__ import annotations

import struct
from ipaddress import IPv4Address, IPv6Address
from itertools import count

OTHER = bytes.fromhex("525400000002")
SPANNING_TREE = bytes.fromhex("0180c2000000")
GUEST, HOST = IPv4Address("198.51.100.9"), IPv4Address("198.51.100.1")
NOBODY = IPv4Address(0)
GUEST6, HOST6 = IPv6Address("fe80::9"), IPv6Address("fe80::1")
ARP, RARP, IPV4, IPV6, VLAN, QINQ = 0x0806, 0x8035, 0x0800, 0x86DD, 0x8100, 0x88A8
HOP_BY_HOP, ICMP, TCP, UDP, FRAGMENT, ICMPV6, DESTINATION = 0, 1, 6, 17, 44, 58, 60

_numbers = count(1)


def ether(source: bytes, kind: int, payload: bytes, to: bytes | None = None) -> bytes:
    """A frame to a group that no other frame is to, which everybody gets."""
    target = to or bytes.fromhex("030000000000")[:4] + struct.pack(">H", next(_numbers))
    return (target + source + struct.pack(">H", kind) + payload).ljust(60, b"\0")


def to(frame: bytes) -> bytes:
    """Where it goes: that tells it from others."""
    return frame[:6]


def tagged(vlan: int, kind: int, payload: bytes) -> bytes:
    """What follows a tag."""
    return struct.pack(">HH", vlan, kind) + payload


def llc(source: bytes, kind: int, payload: bytes) -> bytes:
    """A frame that says otherwise what it is: by a length, LLC and SNAP. RFC 1042"""
    inner = bytes.fromhex("aaaa03000000") + struct.pack(">H", kind) + payload
    return ether(source, len(inner), inner)


def arp(mac: bytes, address: IPv4Address = GUEST, operation: int = 2, length: int = 6) -> bytes:
    sizes = struct.pack(">HHBBH", 1, IPV4, length, 4, operation)
    return sizes + mac + bytes(length - 6) + address.packed + bytes(6) + HOST.packed


def rarp(mac: bytes, target: bytes = b"", operation: int = 3, address: IPv4Address = NOBODY) -> bytes:
    head = struct.pack(">HHBBH", 1, IPV4, 6, 4, operation)
    return head + mac + address.packed + (target or mac) + address.packed


def checksum(data: bytes) -> int:
    total: int = sum(struct.unpack(f">{(len(data) + 1) // 2}H", data + bytes(len(data) % 2)))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def ipv4(
    protocol: int,
    payload: bytes,
    source: IPv4Address = GUEST,
    offset: int = 0,
    more: bool = False,
    options: bytes = b"",
) -> bytes:
    words = 5 + len(options) // 4
    fragment = offset // 8 | more << 13
    start = struct.pack(">BBHHHBB", 4 << 4 | words, 0, words * 4 + len(payload), 7, fragment, 64, protocol)
    rest = source.packed + HOST.packed + options
    return start + struct.pack(">H", checksum(start + rest)) + rest + payload


def udp(source: int, to: int) -> bytes:
    return struct.pack(">HHHH", source, to, 16, 0) + b"anything"


def ipv6(kind: int, payload: bytes, source: IPv6Address = GUEST6, to: IPv6Address | None = None) -> bytes:
    target = to or IPv6Address("ff02::1")
    return struct.pack(">IHBB", 6 << 28, len(payload), kind, 255) + source.packed + target.packed + payload


def icmpv6(kind: int, body: bytes, source: IPv6Address = GUEST6, to: IPv6Address | None = None) -> bytes:
    """A whole message, with its checksum."""
    target = to or IPv6Address("ff02::1")
    whole = struct.pack(">BBH", kind, 0, 0) + body
    pseudo = source.packed + target.packed + struct.pack(">II", len(whole), ICMPV6)
    return struct.pack(">BBH", kind, 0, checksum(pseudo + whole)) + body


def option(kind: int, mac: bytes) -> bytes:
    """Of neighbour discovery, 8 bytes."""
    return struct.pack(">BB", kind, 1) + mac


def extended(kind: int, payload: bytes, header: int) -> bytes:
    """Behind a hop-by-hop or destination header of nothing but padding, in an IPv6 packet."""
    return ipv6(header, struct.pack(">BB", kind, 0) + bytes.fromhex("010400000000") + payload)


def fragment(kind: int, payload: bytes, offset: int = 0, more: bool = False) -> bytes:
    return ipv6(FRAGMENT, struct.pack(">BBHI", kind, 0, offset | more, 7) + payload)


def advertisement(mac: bytes) -> bytes:
    """A router's: it has a prefix, and is the way out."""
    prefix = struct.pack(">BBBBIII", 3, 4, 64, 0xC0, 86400, 14400, 0) + IPv6Address("2001:db8:666::").packed
    return icmpv6(134, struct.pack(">BBHII", 64, 0, 1800, 0, 0) + option(1, mac) + prefix)


def neighbour(kind: int, *options: bytes, target: IPv6Address = GUEST6) -> bytes:
    """A solicitation (135) or an advertisement (136)."""
    return icmpv6(kind, struct.pack(">I", 0x20000000 if kind == 136 else 0) + target.packed + b"".join(options))


REDIRECT = icmpv6(137, bytes(4) + GUEST6.packed + GUEST6.packed)
ECHO = icmpv6(128, b"\0\1\0\1" + b"anything" * 2)
REPORT = icmpv6(143, bytes(4))


def honest(own: bytes) -> dict[str, bytes]:
    """What every guest may say."""
    return {
        "ARP": ether(own, ARP, arp(own)),
        "ARP, looking for a double": ether(own, ARP, arp(own, address=IPv4Address(0), operation=1)),
        "RARP of a NIC that has moved": ether(own, RARP, rarp(own)),
        "DNS": ether(own, IPV4, ipv4(UDP, udp(5353, 53))),
        "TCP": ether(own, IPV4, ipv4(TCP, bytes(20))),
        "an echo": ether(own, IPV4, ipv4(ICMP, b"\x08\0\0\0\0\1\0\1")),
        "a later fragment": ether(own, IPV4, ipv4(UDP, b"the rest", offset=8)),
        "another IP protocol": ether(own, IPV4, ipv4(47, bytes(8))),
        "a DHCP client": ether(own, IPV4, ipv4(UDP, udp(68, 67), source=IPv4Address(0))),
        "DNS, IPv6": ether(own, IPV6, ipv6(UDP, udp(5353, 53))),
        "TCP, IPv6": ether(own, IPV6, ipv6(TCP, bytes(20))),
        "a DHCPv6 client": ether(own, IPV6, ipv6(UDP, udp(546, 547))),
        "an IPv6 echo": ether(own, IPV6, ipv6(ICMPV6, ECHO)),
        "an IPv6 echo's first fragment": ether(own, IPV6, fragment(ICMPV6, ECHO, more=True)),
        "an IPv6 echo's later fragment": ether(own, IPV6, fragment(ICMPV6, b"the rest", offset=24)),
        "a later fragment, IPv6": ether(own, IPV6, fragment(UDP, b"the rest", offset=24)),
        "multicast groups": ether(own, IPV6, extended(ICMPV6, REPORT, HOP_BY_HOP)),
        "looking for a router": ether(own, IPV6, ipv6(ICMPV6, icmpv6(133, bytes(4)))),
        "looking for a router, by name": ether(own, IPV6, ipv6(ICMPV6, icmpv6(133, bytes(4) + option(1, own)))),
        "looking for a double": ether(own, IPV6, ipv6(ICMPV6, neighbour(135))),
        "looking for a double, with a nonce": ether(own, IPV6, ipv6(ICMPV6, neighbour(135, option(14, b"random")))),
        "looking for a neighbour": ether(own, IPV6, ipv6(ICMPV6, neighbour(135, option(1, own)))),
        "answering a neighbour": ether(own, IPV6, ipv6(ICMPV6, neighbour(136))),
        "answering a neighbour, by name": ether(own, IPV6, ipv6(ICMPV6, neighbour(136, option(2, own)))),
    }


def of_the_network(own: bytes) -> dict[str, bytes]:
    """What is for those to say that the network belongs to, and for trusted NICs."""
    ra = advertisement(own)
    return {
        "ARP for the host": ether(own, ARP, arp(own, address=HOST)),
        "ARP in another's name": ether(own, ARP, arp(OTHER)),
        "ARP of another length": ether(own, ARP, arp(OTHER, length=7)),
        "RARP in another's name": ether(own, RARP, rarp(OTHER)),
        "RARP for another": ether(own, RARP, rarp(own, target=OTHER)),
        "a RARP server": ether(own, RARP, rarp(own, operation=4)),
        "RARP with an address": ether(own, RARP, rarp(own, address=GUEST)),
        "IPv4 as the host": ether(own, IPV4, ipv4(UDP, udp(5353, 53), source=HOST)),
        "IPv6 as the host": ether(own, IPV6, ipv6(UDP, udp(5353, 53), source=HOST6)),
        "a DHCP server": ether(own, IPV4, ipv4(UDP, udp(67, 68))),
        "a DHCP server on another port": ether(own, IPV4, ipv4(UDP, udp(1067, 68))),
        "a DHCP server, behind options": ether(own, IPV4, ipv4(UDP, udp(1067, 68), options=bytes.fromhex("01010100"))),
        "a DHCP server, in fragments": ether(own, IPV4, ipv4(UDP, udp(67, 68), more=True)),
        "a DHCP relay": ether(own, IPV4, ipv4(UDP, udp(67, 67))),
        "a DHCPv6 server": ether(own, IPV6, ipv6(UDP, udp(547, 546))),
        "a DHCPv6 server on another port": ether(own, IPV6, ipv6(UDP, udp(1547, 546))),
        "a DHCPv6 server, behind a header": ether(own, IPV6, extended(UDP, udp(1547, 546), DESTINATION)),
        "a DHCPv6 server, in fragments": ether(own, IPV6, fragment(UDP, udp(547, 546), more=True)),
        "UDP whose ports come later": ether(
            own, IPV6, fragment(DESTINATION, bytes.fromhex("1100010400000000"), more=True)
        ),
        "ICMPv6 whose kind comes later": ether(
            own, IPV6, fragment(DESTINATION, bytes.fromhex("3a00010400000000"), more=True)
        ),
        "a redirect": ether(own, IPV4, ipv4(ICMP, b"\x05\1\0\0" + HOST.packed)),
        "a router, IPv4": ether(own, IPV4, ipv4(ICMP, b"\x09\0\0\0\1\2\0\x09" + GUEST.packed + bytes(4))),
        "a router": ether(own, IPV6, ipv6(ICMPV6, ra)),
        "a router, behind hop-by-hop": ether(own, IPV6, extended(ICMPV6, ra, HOP_BY_HOP)),
        "a router, behind a header": ether(own, IPV6, extended(ICMPV6, ra, DESTINATION)),
        "a router, in fragments": ether(own, IPV6, fragment(ICMPV6, ra, more=True)),
        "a router, in one fragment": ether(own, IPV6, fragment(ICMPV6, ra)),
        "an IPv6 redirect": ether(own, IPV6, ipv6(ICMPV6, REDIRECT)),
        "looking for a router in another's name": ether(
            own, IPV6, ipv6(ICMPV6, icmpv6(133, bytes(4) + option(1, OTHER)))
        ),
        "looking for a neighbour in another's name": ether(own, IPV6, ipv6(ICMPV6, neighbour(135, option(1, OTHER)))),
        "answering in another's name": ether(own, IPV6, ipv6(ICMPV6, neighbour(136, option(2, OTHER)))),
        "answering in two names": ether(own, IPV6, ipv6(ICMPV6, neighbour(136, option(2, own), option(2, OTHER)))),
        "answering in another's name, later": ether(
            own, IPV6, ipv6(ICMPV6, neighbour(136, option(9, own), option(2, OTHER)))
        ),
        "answering in another's name, behind a header": ether(
            own, IPV6, extended(ICMPV6, neighbour(136, option(2, OTHER)), HOP_BY_HOP)
        ),
        "answering in another's name, in a fragment": ether(
            own, IPV6, fragment(ICMPV6, neighbour(136, option(2, OTHER)))
        ),
        "answering for the host": ether(own, IPV6, ipv6(ICMPV6, neighbour(136, option(2, own), target=HOST6))),
        "a router of a VLAN": ether(own, VLAN, tagged(5, IPV6, ipv6(ICMPV6, ra))),
        "a router of VLAN 0": ether(own, VLAN, tagged(0, IPV6, ipv6(ICMPV6, ra))),
        "a VLAN": ether(own, VLAN, tagged(5, IPV4, ipv4(UDP, udp(5353, 53)))),
        "a VLAN in a VLAN": ether(own, QINQ, tagged(5, VLAN, tagged(6, IPV6, ipv6(ICMPV6, ra)))),
        "a router, by LLC": llc(own, IPV6, ipv6(ICMPV6, ra)),
        "ARP in another's name, by LLC": llc(own, ARP, arp(OTHER)),
        "another protocol": ether(own, 0x88B5, b"anything"),
        "MPLS": ether(own, 0x8847, b"\0\1\1\x40" + ipv4(UDP, udp(67, 68))),
    }


def posing(own: bytes) -> dict[str, bytes]:
    """What no guest may say, be it trusted or not."""
    ra = advertisement(own)
    return {
        "ARP from another MAC": ether(OTHER, ARP, arp(OTHER)),
        "IPv4 from another MAC": ether(OTHER, IPV4, ipv4(UDP, udp(5353, 53))),
        "IPv6 from another MAC": ether(OTHER, IPV6, ipv6(ICMPV6, ECHO)),
        "a router from another MAC": ether(OTHER, IPV6, ipv6(ICMPV6, ra)),
        "another protocol from another MAC": ether(OTHER, 0x88B5, b"anything"),
        "a VLAN from another MAC": ether(OTHER, VLAN, tagged(5, ARP, arp(own))),
        "a spanning tree from another MAC": ether(OTHER, 38, b"BB\3" + bytes(35), to=SPANNING_TREE),
    }
