"""NAT by a bridge: guests have known addresses, DHCP, DNS, and access to the outside.

The bridge, its packet filter and dnsmasq are created for the first NIC that needs them, or when the server finds guests
on the bridge. What somebody removes is created again; everything is removed some time after the last guest. They
survive the server, as guests do. ip-link(8), bridge(8)
"""

from __future__ import annotations

import contextlib
import hashlib
import logging
import os
import subprocess
import threading
import time
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address
from pathlib import Path

from velocity.network import (
    dnsmasq,
    fence,
    forwarding,
    nat_networks,
    nat_table,
    nft,
    nic_filter,
    port_forwards,
    rules,
    taps,
)
from velocity.network.dnsmasq import Dnsmasq
from velocity.network.host_ports import PortForward
from velocity.network.nat_networks import CannotNat, NatNetworks
from velocity.network.port_forwards import PortForwards
from velocity.network.taps import CannotConnect, Link

log = logging.getLogger(__name__)

PORTS = 1023
"""The most ports of a Linux bridge."""
LINGER = 60.0
"""Seconds from the last guest to the removal: a guest that restarts need not wait for all of it again."""
AGEING = 864_000_000
"""In hundredths of a second: a hundred days. A bridge floods frames for guests that it has forgotten."""
_SYS = Path("/sys/class/net")


@dataclass(frozen=True)
class NatNic:
    """A NIC on the bridge: its link, its addresses, and the ports of the host that lead to it."""

    link: str
    mac: str
    addresses: tuple[str, ...]
    forwards: Sequence[PortForward] = ()


def bridge_name(instance: str) -> str:
    """`instance` distinguishes this server from others on the host."""
    return f"{fence.NAT_BRIDGES}{instance}"


def cannot() -> str | None:
    """None if this host can have it, otherwise why not, and the cure."""
    return taps.can_connect() or dnsmasq.missing()


class Nat:
    """The NAT of one server. Its methods may be called in any thread, and block while `ip`, `nft` and dnsmasq work."""

    def __init__(self, bridge: str, networks: NatNetworks, names: Dnsmasq, uids: range | None = None) -> None:
        """`uids` are those of QEMU's processes."""
        self.bridge = bridge
        self.forwards = PortForwards(bridge, uids)
        self.networks = networks
        self._names = names
        self._turn = threading.RLock()
        self._used = time.monotonic()

    def addresses(self, place: int) -> tuple[str, ...]:
        """The addresses of the NIC with that place in the networks. Raises `CannotConnect`: they are too small."""
        given = rules.addresses(self.networks.words, place)
        if not given:
            raise CannotConnect(
                f"the network {self.networks.v4} of NAT has no address left for it: set nat_subnet to a larger one"
            )
        return given

    def connect(self, nic: NatNic, queues: int = 1) -> Link:
        """Connect it, behind its packet filter. Raises `CannotConnect`, and then nothing of it remains."""
        with contextlib.ExitStack() as undo:
            try:
                self.ensure()
                with self._turn:
                    self._names.reserve(nic.mac, nic.addresses)
                undo.callback(self.release, nic)
                descriptors = taps.open_tap(Path("/dev/net/tun"), nic.link, queues)
                undo.callback(taps.disconnect_nic, nic.link)  # not before it is ours
                for descriptor in descriptors:
                    undo.callback(os.close, descriptor)
                self.filter(nic)
                self._attach([nic.link])
                self._lead(nic)
            except (CannotNat, nft.CannotFilter, OSError) as error:
                raise CannotConnect(f"NAT is not possible now: {error}") from None
            undo.pop_all()
        return Link(tuple(descriptors))

    def take_over(self, nic: NatNic) -> None:
        """Move a tap here from another bridge, with its filter. Raises `CannotConnect`: it may be on no bridge now."""
        with contextlib.ExitStack() as undo:
            try:
                self.ensure()
                with self._turn:
                    self._names.reserve(nic.mac, nic.addresses)
                undo.callback(self.release, nic)
                _ip(f"link set {nic.link} nomaster")
                self.filter(nic)
                self._attach([nic.link])
                self._lead(nic)
            except (CannotNat, nft.CannotFilter, OSError) as error:
                raise CannotConnect(f"NAT is not possible now: {error}") from None
            undo.pop_all()

    def disconnect(self, nic: NatNic) -> None:
        """Remove what remains of it without its tap. Idempotent."""
        taps.disconnect_nic(nic.link)
        self.release(nic)

    def release(self, nic: NatNic) -> None:
        """Release its addresses on this host. Idempotent."""
        with self._turn:
            self._used = time.monotonic()
            self._names.release(nic.mac, nic.addresses)
            if nic.forwards:
                with contextlib.suppress(nft.CannotFilter):  # a look at the others finds it
                    self.forwards.set(nic.link, nic.addresses[0], ())

    def given(self, mac: str) -> tuple[str, ...]:
        """The addresses given to the NIC with that MAC address; empty: it is not on the bridge."""
        return self._names.given(mac)

    def filter(self, nic: NatNic) -> None:
        """Set its packet filter. Raises `nft.CannotFilter`."""
        own = [ip_address(one) for one in nic.addresses]
        wanted = nic_filter.rules(nic.mac, trusted=False, hosts=self.hosts, own=own)
        nft.change(nic_filter.script(nic.link, "ingress", wanted))

    @property
    def hosts(self) -> list[IPv4Address | IPv6Address]:
        """The host's own addresses on the bridge."""
        v4, v6 = self.networks.v4, self.networks.v6
        return [v4[1], *([v6[1], IPv6Address(nat_table.FOREVER)] if v6 else [])]

    def holds(self) -> bool:
        """Whether guests on it are kept from the host and from each other, read back from the kernel."""
        return nat_table.holds(self.bridge)

    def nic_holds(self, nic: NatNic) -> bool:
        """The same for one NIC: that it uses its own addresses only, and that the bridge isolates it from others."""
        return self._alone(nic.link) and nic_filter.holds(nic.link, nic.mac, trusted=False, own=nic.addresses)

    # Made, made again, and removed

    def ensure(self) -> None:
        """Create what is missing. Raises `CannotNat`, `nft.CannotFilter`, `OSError`."""
        with self._turn:
            self._used = time.monotonic()
            if not (_SYS / self.bridge).exists():
                self._make()
            self._names.ensure(self.networks)

    def restore(self, nics: Collection[NatNic], filtered: Collection[str]) -> None:
        """Restore what is missing of everything that these NICs, of running guests, need. Logs what it does.

        `filtered` are the links that have a packet filter.
        """
        with self._turn:
            self._used = time.monotonic()
            there = [nic for nic in nics if (_SYS / nic.link).exists()]
            try:
                if not (_SYS / self.bridge).exists():
                    self._make()
                    log.warning("the NAT bridge %s was missing, and has been created again", self.bridge)
                elif not self.holds():
                    self._fence()
                    log.warning("the packet filter of NAT was missing, and has been set again")
                reserved = self._names.reserved()
                for nic in there:
                    self._restore_nic(nic, filtered=nic.link in filtered, reserved=nic.addresses[0] in reserved)
                self.forwards.restore({nic.link: (nic.addresses[0], nic.forwards) for nic in there if nic.forwards})
                if self._names.ensure(self.networks):
                    log.warning("NAT's dnsmasq had ended, and was started again")
            except (CannotNat, CannotConnect, nft.CannotFilter, OSError) as error:
                log.debug("NAT cannot be restored: %s", error)

    def _restore_nic(self, nic: NatNic, *, filtered: bool, reserved: bool) -> None:
        if not filtered:
            self.filter(nic)
            log.warning("the packet filter of %s was missing, and has been set again", nic.link)
        if not self._alone(nic.link):
            self._attach([nic.link])
            log.warning("%s was not on the NAT bridge, and has been attached again", nic.link)
        if not reserved:
            self._names.make()
            self._names.reserve(nic.mac, nic.addresses)

    def _alone(self, link: str) -> bool:
        """Whether it is on the bridge, isolated from other guests."""
        try:
            isolated = (_SYS / link / "brport" / "isolated").read_text().strip() == "1"
        except OSError:
            return False
        return isolated and (_SYS / link / "master").resolve().name == self.bridge

    def remove(self, *, after: float = 0.0) -> bool:
        """Remove everything, if nobody has used it for that many seconds; returns whether nothing of it is left."""
        with self._turn:
            if nat_networks.in_use(self.bridge) or time.monotonic() - self._used < after:
                return False
            self._names.end()
            if (_SYS / self.bridge).exists():
                _ip(f"link delete {self.bridge}")
            with contextlib.suppress(nft.CannotFilter):  # none was ever set without nft
                nft.change(nat_table.removal(self.bridge) + port_forwards.end(self.bridge))
            return True

    def exists(self) -> bool:
        """Whether something of it is there, as far as can be seen without starting a program."""
        return (_SYS / self.bridge).exists() or self._names.directory.exists()

    def _make(self) -> None:
        """The filter comes first: nothing is ever on the bridge without it."""
        nat_networks.check(self.networks, self.bridge)
        forwarding.ensure(ipv6=self.networks.v6 is not None)
        self._fence()
        v4, v6 = self.networks.v4, self.networks.v6
        six = [f"address add {v6[1]}/64 dev {self.bridge} nodad"] if v6 else []
        six += [f"address add {nat_table.FOREVER}/64 dev {self.bridge} nodad"] if v6 else []
        try:
            _ip(
                f"link add {self.bridge} address {_mac(self.bridge)} type bridge stp_state 0 forward_delay 0 "
                f"mcast_snooping 0 ageing_time {AGEING}",
                f"link set {self.bridge} addrgenmode none",
                f"address add {v4[1]}/{v4.prefixlen} dev {self.bridge}",
                *six,
                f"link set {self.bridge} up",
            )
        except CannotNat:
            with contextlib.suppress(CannotNat):
                _ip(f"link delete {self.bridge}")
            raise

    def _fence(self) -> None:
        nft.change(nat_table.script(self.bridge, self.networks))

    def _lead(self, nic: NatNic) -> None:
        if nic.forwards:
            self.forwards.set(nic.link, nic.addresses[0], nic.forwards)

    def _attach(self, links: Sequence[str]) -> None:
        """Attach to the bridge, isolated. Raises `CannotNat`, for instance if it has no port left."""
        lines = []
        for link in links:
            lines.append(f"link set {link} master {self.bridge}")
            lines.append(f"link set {link} type bridge_slave isolated on flood off")
            lines.append(f"link set {link} up")
        try:
            _ip(*lines)
        except CannotNat:
            if len(os.listdir(_SYS / self.bridge / "brif")) >= PORTS:  # noqa: PTH208 (names are all that is needed)
                raise CannotNat(f"{PORTS} NICs are on the NAT bridge, the most that it can have") from None
            raise


def _mac(bridge: str) -> str:
    """A MAC address of its own; otherwise it would be the lowest of its ports'."""
    tail = hashlib.sha256(bridge.encode()).digest()[:5]
    return ":".join(f"{byte:02x}" for byte in b"\x02" + tail)


def _ip(*lines: str) -> None:
    """Run several commands of ip(8) at once. Raises `CannotNat`: those before the failed one have taken effect."""
    text = "".join(f"{line}\n" for line in lines)
    try:
        done = subprocess.run(
            ["ip", "-batch", "-"], input=text, capture_output=True, text=True, timeout=10, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise CannotNat(f"`ip` cannot be run: {error}") from None
    if done.returncode:
        raise CannotNat(f"`ip` says: {(done.stderr.strip() or 'no reason').splitlines()[0]}")
