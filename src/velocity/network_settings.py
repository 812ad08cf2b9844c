"""Checks and parses the settings about addresses and ports. Pure functions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

# ipaddress is imported by the few that name a network: each start of a verb would pay for it.


def ports(text: str) -> range:
    """The ports in `20000-29999`, a single port, or `none`."""
    if text == "none":
        return range(0)
    first, _, last = text.partition("-")
    return range(int(first), int(last or first) + 1)


def is_address(text: str) -> bool:
    """Whether it is an IP address other than the unspecified one (0.0.0.0, ::)."""
    from ipaddress import ip_address

    try:
        return not ip_address(text).is_unspecified
    except ValueError:
        return False


class NetworkSettings(Protocol):
    """The fields of `velocity.config.Settings` that are checked here."""

    @property
    def address(self) -> tuple[str, int]: ...
    @property
    def node_port(self) -> int: ...
    @property
    def nat_subnet(self) -> str: ...
    @property
    def forward_ports(self) -> str: ...
    @property
    def trusted_proxies(self) -> Sequence[str]: ...
    @property
    def move_address(self) -> str: ...
    @property
    def move_ports(self) -> str: ...


def check(settings: NetworkSettings) -> None:
    """Raises `ValueError`, with a message for the administrator."""
    for name, port in (("listen", settings.address[1]), ("node_listen", settings.node_port)):
        if port > 65535:
            raise ValueError(f"{name}: there is no port {port}")
    if settings.nat_subnet not in ("", "none"):
        _check_subnet(settings.nat_subnet)
    if settings.forward_ports != "none" and not _are_ports(settings.forward_ports, 1):
        raise ValueError("forward_ports: write ports from 1 to 65535, the lower one first, as 20000-29999, or none")
    for one in settings.trusted_proxies:
        _check_proxy(one)
    if settings.move_address and not is_address(settings.move_address):
        raise ValueError("move_address: name one address of this host, as 10.0.0.5")
    if not _are_ports(settings.move_ports, 2):
        raise ValueError("move_ports: write two ports or more from 1 to 65535, the lower one first, as 8100-8131")


def _are_ports(text: str, least: int) -> bool:
    found = ports(text)
    return len(found) >= least and found[0] >= 1 and found[-1] <= 65535


def _check_proxy(text: str) -> None:
    from ipaddress import ip_network

    try:
        ip_network(text)
    except ValueError as error:
        raise ValueError(f"trusted_proxies: {error}: name an address or a network, as 10.0.0.5 or fd00::/64") from None


def _check_subnet(text: str) -> None:
    from ipaddress import IPv4Network

    try:
        subnet = IPv4Network(text)
    except ValueError as error:
        raise ValueError(f"nat_subnet: {error}; write a network such as 10.80.0.0/20") from None
    if not any(subnet.subnet_of(IPv4Network(one)) for one in ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16")):
        raise ValueError(f"nat_subnet: {subnet} is not private: use 10.0.0.0/8, 172.16.0.0/12 or 192.168.0.0/16")
    if not 16 <= subnet.prefixlen <= 29:
        raise ValueError(f"nat_subnet: {subnet} must have a prefix of 16 to 29")
