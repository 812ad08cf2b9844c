"""Addresses: public ones, this host's own, and those of a name."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address, ip_network

AT_ONCE = 32
"""Names that are resolved at a time."""

_NOT_PUBLIC = [
    ip_network(one)
    for one in (
        # IPv4: IANA's special-purpose registry, multicast, reserved addresses, and Azure's service for its VMs
        "0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "168.63.129.16/32", "169.254.0.0/16",
        "172.16.0.0/12", "192.0.0.0/24", "192.0.2.0/24", "192.88.99.0/24", "192.168.0.0/16", "198.18.0.0/15",
        "198.51.100.0/24", "203.0.113.0/24", "224.0.0.0/4", "240.0.0.0/4",
        # within IPv6's public range: special purposes with Teredo, documentation, and 6to4 with an IPv4 address
        "2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20",
    )
]  # fmt: skip
_PUBLIC_V6 = IPv6Network("2000::/3")
_NAT64 = IPv6Network("64:ff9b::/96")
"""RFC 6052: the last four bytes are an IPv4 address."""


def is_public(text: str) -> bool:
    """Whether the address is reachable from anywhere. A list of our own, as Python's differs between versions."""
    address = ip_address(text)
    if isinstance(address, IPv6Address):
        if address.ipv4_mapped is not None:
            return is_public(str(address.ipv4_mapped))
        if address in _NAT64:
            return is_public(str(IPv4Address(int(address) & 0xFFFF_FFFF)))
        if address not in _PUBLIC_V6 or address.scope_id is not None:
            return False
    return address.is_global and not any(address in one for one in _NOT_PUBLIC)


def is_own(text: str) -> bool:
    """Whether the address is this host's: the kernel would use it as its own source address. Nothing is sent."""
    address = ip_address(text)
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        address = address.ipv4_mapped
    family = socket.AF_INET if address.version == 4 else socket.AF_INET6
    with contextlib.suppress(OSError), socket.socket(family, socket.SOCK_DGRAM) as probe:
        probe.connect((str(address), 9))
        return ip_address(probe.getsockname()[0]) == address
    return False


class Resolver:
    """Resolves names, each in a thread of its own, so that one that hangs does not delay others."""

    def __init__(self, timeout: float) -> None:
        """`seconds`: the limit for one name."""
        self._timeout = timeout
        self._looking = 0

    async def __call__(self, host: str, port: int) -> list[str]:
        """The name's addresses, the best first; empty if there are none, or none within the time."""
        if self._looking >= AT_ONCE:
            return []
        loop = asyncio.get_running_loop()
        found: asyncio.Future[list[str]] = loop.create_future()

        def tell(addresses: list[str]) -> None:
            self._looking -= 1
            if not found.done():
                found.set_result(addresses)

        def look() -> None:
            addresses: list[str] = []
            with contextlib.suppress(OSError, UnicodeError):
                told = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
                addresses = list(dict.fromkeys(str(one[4][0]) for one in told))
            with contextlib.suppress(RuntimeError):  # the loop has ended
                loop.call_soon_threadsafe(tell, addresses)

        self._looking += 1
        threading.Thread(target=look, name="look-up", daemon=True).start()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._timeout):
                return await found
        return []
