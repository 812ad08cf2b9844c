"""A guest without QEMU: a namespace whose only NIC is the other end of a tap, and asks for addresses as guests do."""

from __future__ import annotations

import contextlib
import fcntl
import os
import select
import socket
import struct
import subprocess
import threading
import time
import uuid

from tests.journeys.server import in_namespace
from velocity.network.taps import FLAGS, TUNSETIFF

NIC = "eth0"
PATIENCE, TRIES = 20.0, 5


class NatGuest:
    """`tap` is the descriptor that its QEMU would have."""

    def __init__(self, tap: int, mac: str) -> None:
        self.name = f"vg{uuid.uuid4().hex[:8]}"
        self.mac = mac
        run("ip", "netns", "add", self.name)
        # No second of waiting whether another has its link-local address.
        run("ip", "netns", "exec", self.name, "sysctl", "-qw", "net.ipv6.conf.default.accept_dad=0")
        self._own = in_namespace(self.name, open_nic)
        self.ip(f"link set {NIC} address {mac}", "link set lo up", f"link set {NIC} up")
        self._ends = threading.Event()
        self._copying = threading.Thread(target=self._copy, args=(tap,))
        self._copying.start()

    def close(self) -> None:
        self._ends.set()
        self._copying.join()
        os.close(self._own)
        run("ip", "netns", "delete", self.name)

    def ip(self, *lines: str) -> None:
        for line in lines:
            run("ip", "-n", self.name, *line.split())

    def _copy(self, tap: int) -> None:
        """Frames with the headers that virtio puts before them, both ways."""
        other = {tap: self._own, self._own: tap}
        while not self._ends.is_set():
            for readable in select.select(list(other), [], [], 0.05)[0]:
                with contextlib.suppress(BlockingIOError, OSError):
                    os.write(other[readable], os.read(readable, 1 << 17))

    def lease(self) -> dict[str, str]:
        """What DHCP gives it: address, length, router, DNS."""
        return in_namespace(self.name, lambda: dhcp(self.mac))

    def lease6(self) -> str:
        """What DHCPv6 gives it."""
        return in_namespace(self.name, lambda: dhcp6(self.mac))

    def take(self, lease: dict[str, str], six: str | None = None) -> None:
        self.ip(
            f"address add {lease['address']}/{lease['length']} dev {NIC}", f"route add default via {lease['router']}"
        )
        if six:
            self.ip(f"address add {six}/64 dev {NIC} nodad")

    def reaches(self, address: str, port: int, patience: float = PATIENCE) -> str:
        """What a server says there: `refused` and `silence` are answers, too."""
        return in_namespace(self.name, lambda: said(address, port, patience))

    def asks(self, server: str, name: str) -> bool:
        """Whether a DNS server answers a question."""
        return in_namespace(self.name, lambda: dns(server, name))


def open_nic() -> int:
    descriptor = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
    fcntl.ioctl(descriptor, TUNSETIFF, struct.pack("16sH22x", NIC.encode(), FLAGS))
    return descriptor


def dhcp(mac: str) -> dict[str, str]:
    """RFC 2131: discover, offer, request, acknowledgement."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as plug:
        plug.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, NIC.encode())
        plug.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
        plug.settimeout(PATIENCE)
        plug.bind(("0.0.0.0", 68))
        offer = exchange(plug, mac, 1)
        wanted = bytes((50, 4)) + offer[0] + bytes((54, 4)) + offer[1][54]
        address, options = exchange(plug, mac, 3, wanted)
    return {
        "address": socket.inet_ntoa(address),
        "length": str(bin(int.from_bytes(options[1], "big")).count("1")),
        "router": socket.inet_ntoa(options[3]),
        "dns": socket.inet_ntoa(options[6]),
    }


def exchange(plug: socket.socket, mac: str, kind: int, more: bytes = b"") -> tuple[bytes, dict[int, bytes]]:
    hardware = bytes.fromhex(mac.replace(":", ""))
    head = struct.pack(">BBBBIHH16x16s192xI", 1, 1, 6, 0, 7, 0, 0x8000, hardware, 0x63825363)
    asked = bytes((53, 1, kind, 55, 3, 1, 3, 6)) + more + b"\xff"
    plug.sendto(head + asked, ("255.255.255.255", 67))
    answer = plug.recv(2048)
    while answer[28:34] != hardware:  # a broadcast, for another guest
        answer = plug.recv(2048)
    options, rest = {}, answer[240:]
    while rest and rest[0] != 255:
        size = rest[1] if rest[0] else -1
        options[rest[0]] = rest[2 : 2 + size]
        rest = rest[2 + size :]
    assert options[53] in (b"\x02", b"\x05"), options
    return answer[16:20], options


def dhcp6(mac: str) -> str:
    """RFC 8415: solicit, advertise, request, reply."""
    own = option(1, struct.pack(">HH", 3, 1) + bytes.fromhex(mac.replace(":", "")))
    wants = option(3, struct.pack(">III", 1, 0, 0))
    with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as plug:
        plug.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, NIC.encode())
        plug.settimeout(PATIENCE)
        plug.bind(("::", 546))
        there = ("ff02::1:2", 547, 0, socket.if_nametoindex(NIC))
        plug.sendto(b"\x01\0\0\x07" + own + wants + option(8, b"\0\0"), there)
        offered = options6(plug.recv(2048)[4:])
        plug.sendto(b"\x03\0\0\x08" + own + option(2, offered[2]) + wants + option(8, b"\0\0"), there)
        given = options6(plug.recv(2048)[4:])
    return socket.inet_ntop(socket.AF_INET6, options6(given[3][12:])[5][:16])


def option(kind: int, data: bytes) -> bytes:
    return struct.pack(">HH", kind, len(data)) + data


def options6(data: bytes) -> dict[int, bytes]:
    found = {}
    while data:
        kind, size = struct.unpack_from(">HH", data)
        found[kind], data = data[4 : 4 + size], data[4 + size :]
    return found


def said(address: str, port: int, patience: float = PATIENCE) -> str:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as plug:
        plug.settimeout(patience)
        try:
            scope = (0, socket.if_nametoindex(NIC)) if address.startswith("fe80") else ()
            plug.connect((address, port, *scope))
            return plug.recv(64).decode()
        except TimeoutError:
            return "silence"
        except OSError:
            return "refused"


def dns(server: str, name: str) -> bool:
    question = b"".join(bytes((len(part),)) + part.encode() for part in name.split(".")) + b"\0\0\1\0\1"
    family = socket.AF_INET6 if ":" in server else socket.AF_INET
    for _ in range(TRIES):  # as every resolver does: a question may be lost
        with contextlib.suppress(OSError), socket.socket(family, socket.SOCK_DGRAM) as plug:
            plug.settimeout(PATIENCE / TRIES)
            plug.sendto(struct.pack(">HHHHHH", 7, 0x0100, 1, 0, 0, 0) + question, (server, 53))
            return plug.recv(512)[:2] == b"\0\x07"
        time.sleep(0.2)
    return False


def run(*command: str) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout
