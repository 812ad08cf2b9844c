"""The networks of NAT on this host: chosen once, so that they overlap no route of the host, and stored.

Private addresses (RFC 1918) for IPv4, a unique local prefix for IPv6 (RFC 4193). A guest has the same place in both.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import secrets
import subprocess
from collections.abc import Iterator, Sequence
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path

from msgspec import Struct

from velocity import durable

LENGTH = 20
"""The length of the chosen prefix: 4,093 guests."""
PRIVATE = tuple(map(IPv4Network, ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16")))
IPV6 = Path("/proc/sys/net/ipv6/conf/default/disable_ipv6")


class CannotNat(Exception):
    """NAT by a bridge is not possible; the message has the cure. Nothing of the attempt remains."""


class NatNetworks(Struct, frozen=True):
    """The networks of guests' addresses; without `v6` if the host has no IPv6."""

    v4: IPv4Network
    v6: IPv6Network | None

    @property
    def words(self) -> tuple[str, ...]:
        return (str(self.v4), *([str(self.v6)] if self.v6 else []))


def kept(file: Path) -> NatNetworks | None:
    """Those in the file; None: none were chosen, or the file is unreadable."""
    try:
        said = json.loads(file.read_text())
        return NatNetworks(IPv4Network(said["v4"]), IPv6Network(said["v6"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None


def settled(file: Path, wanted: str, bridge: str, *, stores: bool = True) -> NatNetworks:
    """Those chosen before, otherwise new ones, which it `stores`. `wanted` is the setting nat_subnet, if set.

    A changed setting takes effect when the bridge is created anew: running guests keep their network. Raises
    `CannotNat`, and `OSError`.
    """
    has = kept(file)
    if has is None or (wanted and IPv4Network(wanted) != has.v4 and not in_use(bridge)):
        taken = routes(bridge)
        v4 = _wanted(wanted, taken) if wanted else _chosen(taken)
        has = NatNetworks(v4, has.v6 if has else _local_prefix())
        if stores:
            _keep(file, has)
    return has if ipv6_works() else NatNetworks(has.v4, None)


def check(networks: NatNetworks, bridge: str) -> None:
    """Refuse networks that the host now uses otherwise. A route to a larger network, as of a VPN, does no harm."""
    for net, device in routes(bridge):
        if net.subnet_of(networks.v4):
            raise CannotNat(_overlap(networks.v4, net, device))


def in_use(bridge: str) -> bool:
    """Whether guests are on the bridge of that name."""
    with contextlib.suppress(OSError):
        return bool(os.listdir(f"/sys/class/net/{bridge}/brif"))  # noqa: PTH208 (names are all that is needed)
    return False


def ipv6_works() -> bool:
    """Whether the host enables IPv6 on new links."""
    try:
        return IPV6.read_text().strip() == "0"
    except OSError:
        return False


def routes(bridge: str) -> list[tuple[IPv4Network, str]]:
    """The host's routes by device, except its default route and those of that bridge. Raises `CannotNat`."""
    command = ["ip", "-4", "-json", "route", "show", "table", "all"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=10, check=True)
        listed = json.loads(done.stdout or "[]")
    except (OSError, ValueError, subprocess.SubprocessError) as error:
        raise CannotNat(f"the host's routes cannot be read (`ip route`): {error}") from None
    found = []
    for one in listed:
        with contextlib.suppress(ValueError):  # `default`
            net = IPv4Network(one["dst"])
            if net.prefixlen and one.get("dev") != bridge:
                found.append((net, str(one.get("dev", "nowhere"))))
    return found


def _wanted(subnet: str, taken: Sequence[tuple[IPv4Network, str]]) -> IPv4Network:
    wanted = IPv4Network(subnet)
    for net, device in taken:
        if net.overlaps(wanted):
            raise CannotNat(_overlap(wanted, net, device))
    return wanted


def _overlap(ours: IPv4Network, net: IPv4Network, device: str) -> str:
    return (
        f"the network {ours} of NAT overlaps {net}, which this host reaches by {device} (`ip route show table all`): "
        "set nat_subnet to one that it does not use, and restart the server"
    )


def _chosen(taken: Sequence[tuple[IPv4Network, str]]) -> IPv4Network:
    """One that overlaps no route; if all private addresses have routes, one within that of a larger network."""
    for hinders in (IPv4Network.overlaps, IPv4Network.subnet_of):
        for one in _candidates():
            if not any(hinders(net, one) for net, _ in taken):
                return one
    raise CannotNat("this host has routes into all private networks: set nat_subnet to one that it does not need")


def _candidates() -> Iterator[IPv4Network]:
    """In random order, so that a host within a guest of another, or behind a VPN, is unlikely to have the same one."""
    for private in PRIVATE:
        subnets = list(private.subnets(new_prefix=LENGTH))
        random.SystemRandom().shuffle(subnets)
        yield from subnets


def _local_prefix() -> IPv6Network:
    """RFC 4193: 40 random bits."""
    return IPv6Network(((0xFD << 40 | secrets.randbits(40)) << 80, 64))


def _keep(file: Path, networks: NatNetworks) -> None:
    durable.write(file, f"{json.dumps({'v4': str(networks.v4), 'v6': str(networks.v6)})}\n".encode(), mode=0o644)
