"""Connects a NIC to a host NIC: a tap on a bridge, a macvtap on an ordinary interface.

https://www.kernel.org/doc/html/latest/networking/tuntap.html; ip-link(8)
"""

from __future__ import annotations

import contextlib
import fcntl
import ipaddress
import json
import os
import re
import shutil
import struct
import subprocess
import tempfile
from pathlib import Path
from typing import Literal

from msgspec import Struct

from velocity.network import nft, nic_filter
from velocity.network.nic_filter import Address

TUNSETIFF = 0x400454CA
IFF_TAP, IFF_MULTI_QUEUE, IFF_NO_PI, IFF_VNET_HDR = 0x0002, 0x0100, 0x1000, 0x4000
FLAGS = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR
CAP_NET_ADMIN = 12

NEEDS_FILTER = "BRIDGE needs a packet filter, so that no guest poses as others"

_NAME = re.compile(r"[^\s/:]{1,15}\Z")
_SYS = Path("/sys/class/net")


class CannotConnect(Exception):
    """The NIC cannot be connected; the message has the reason and the cure. Nothing of the attempt remains."""


class Link(Struct, frozen=True):
    """An open NIC. `device` is a link that must be removed at the end; a tap vanishes with its descriptor."""

    fds: tuple[int, ...]
    device: str | None = None


class HeldTaps:
    """Holds a descriptor of each tap in use.

    Closing the last descriptor of a tap takes the kernel milliseconds: without this one, the end of a guest's process
    would take that much longer. https://docs.kernel.org/networking/tuntap.html
    """

    def __init__(self) -> None:
        self._held: dict[str, int] = {}

    def hold(self, name: str, descriptor: int) -> None:
        """Until it is let go, or this process ends."""
        self.release(name)
        self._held[name] = os.dup(descriptor)

    def release(self, name: str) -> None:
        """Idempotent."""
        with contextlib.suppress(KeyError):
            os.close(self._held.pop(name))

    def close(self) -> None:
        for name in list(self._held):
            self.release(name)


def kind(identifier: str) -> Literal["bridge", "interface", "absent"]:
    """What kind of interface the host has under that name."""
    if not _NAME.match(identifier) or identifier in (".", "..") or not (_SYS / identifier).exists():
        return "absent"
    return "bridge" if (_SYS / identifier / "bridge").is_dir() else "interface"


def connect_nic(identifier: str, mac: str, name: str, *, trusted: bool = False, queues: int = 1) -> Link:
    """Connect to that host NIC under the link name `name`, behind its packet filter. Raises `CannotConnect`."""
    if (reason := can_connect()) is not None:
        raise CannotConnect(reason)
    match kind(identifier):
        case "bridge":
            return _tap(identifier, mac, name, trusted, queues)
        case "interface":
            return _macvtap(identifier, mac, name, trusted, queues)
        case _:
            raise CannotConnect(f"this host has no NIC {identifier!r}: check `ip link` and the setting `nics`")


def disconnect_nic(device: str) -> None:
    """Remove the link and its packet filter. Idempotent."""
    if (_SYS / device).exists():
        with contextlib.suppress(CannotConnect):
            _ip("link", "delete", device)
        if (_SYS / device).exists():
            raise CannotConnect(f"the link {device} cannot be removed: ip link delete {device}")
    with contextlib.suppress(nft.CannotFilter):  # without its link it does nothing: the server's next start tries again
        nft.change(nic_filter.removal(device))


def move(link: str, bridge: str, mac: str, *, trusted: bool) -> None:
    """Move a tap to another bridge, with the filter for that. Raises `CannotConnect`."""
    _ip("link", "set", link, "nomaster")
    _filter(link, mac, bridge, trusted)
    mtu = (_SYS / bridge / "mtu").read_text().strip()
    _ip("link", "set", link, "mtu", mtu, "master", bridge, "up")


def is_tap(link: str) -> bool:
    """Whether a link of ours is a tap, which can be on a bridge; otherwise it is a macvtap, or gone."""
    return (_SYS / link / "tun_flags").exists()


def filter_again(link: str, mac: str, *, trusted: bool) -> None:
    """Restore the packet filter of a link in use; a link that is gone needs none. Raises `CannotConnect`."""
    if (_SYS / link).exists():
        _filter(link, mac, carrier(link), trusted)


def remove_orphans() -> None:
    """Remove the packet filters whose links are gone."""
    for link in nic_filter.links():
        if not (_SYS / link).exists():
            disconnect_nic(link)


def traffic(device: str, links: Path = _SYS) -> tuple[int, int]:
    """Bytes received and sent by the guest behind a link. Raises `OSError`: there is no such link.

    A tap counts from the host's point of view, a macvtap from the guest's.
    """
    came, went = (int((links / device / "statistics" / name).read_text()) for name in ("rx_bytes", "tx_bytes"))
    return (came, went) if (links / device / "macvtap").is_dir() else (went, came)


def accepts_routers(nic: str, settings: Path = Path("/proc/sys/net/ipv6/conf")) -> bool:
    """Whether the host accepts IPv6 router advertisements on that NIC.

    https://www.kernel.org/doc/html/latest/networking/ip-sysctl.html
    """
    try:
        off, forwards, accepts = (
            int((settings / nic / name).read_text()) for name in ("disable_ipv6", "forwarding", "accept_ra")
        )
    except OSError:  # the kernel has no IPv6
        return False
    return not off and accepts > (1 if forwards else 0)


def can_connect() -> str | None:
    """None if this process may connect NICs, otherwise why not, and the cure."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("CapEff:") and not int(line.split()[1], 16) >> CAP_NET_ADMIN & 1:
            return "BRIDGE needs permission to administer the network: run the server as root, or use NAT"
    if not Path("/dev/net/tun").exists():
        return "this host has no /dev/net/tun: run `modprobe tun`"
    if shutil.which("nft") is None:
        return f"{NEEDS_FILTER}: install nftables"
    return None


def _tap(bridge: str, mac: str, name: str, trusted: bool, queues: int) -> Link:
    with contextlib.ExitStack() as undo:
        descriptors = open_tap(Path("/dev/net/tun"), name, queues)
        undo.callback(disconnect_nic, name)
        for descriptor in descriptors:
            undo.callback(os.close, descriptor)
        _filter(name, mac, bridge, trusted)
        mtu = (_SYS / bridge / "mtu").read_text().strip()
        _ip("link", "set", name, "mtu", mtu, "master", bridge, "up")
        undo.pop_all()
    return Link(descriptors)


def _macvtap(interface: str, mac: str, name: str, trusted: bool, queues: int) -> Link:
    if (_SYS / interface / "wireless").exists() or (_SYS / interface / "phy80211").exists():
        raise CannotConnect(f"{interface} is a Wi-Fi interface, which carries only one MAC address: use NAT")
    with contextlib.ExitStack() as undo:
        _ip("link", "add", "link", interface, "name", name, "address", mac, "type", "macvtap", "mode", "bridge")
        undo.callback(disconnect_nic, name)
        _filter(name, mac, interface, trusted)
        _ip("link", "set", name, "up")
        with tempfile.TemporaryDirectory(prefix="velocity-") as private:
            device = next((_SYS / name / "macvtap").iterdir())
            major, _, minor = (device / "dev").read_text().strip().partition(":")
            node = Path(private) / "tap"
            os.mknod(node, 0o600 | 0o020000, os.makedev(int(major), int(minor)))
            descriptors = open_tap(node, "", queues)
        undo.pop_all()
    return Link(descriptors, name)


def open_tap(node: Path, name: str, queues: int = 1) -> tuple[int, ...]:
    """A descriptor for each queue of the tap, which exists as long as one of them is open. Raises `CannotConnect`."""
    flags = FLAGS | (IFF_MULTI_QUEUE if queues > 1 else 0)
    with contextlib.ExitStack() as undo:
        descriptors = []
        for _ in range(queues):
            descriptor = os.open(node, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
            undo.callback(os.close, descriptor)
            descriptors.append(descriptor)
            try:
                fcntl.ioctl(descriptor, TUNSETIFF, struct.pack("16sH22x", name.encode(), flags))
            except OSError as error:
                raise CannotConnect(f"the kernel refused to create a tap: {error.strerror}") from None
        undo.pop_all()
    return tuple(descriptors)


def _filter(link: str, mac: str, carrier: str | None, trusted: bool) -> None:
    """Allow only what a guest may send on the host NIC `carrier`."""
    hosts = [] if carrier is None else addresses(carrier)
    hook: nic_filter.Hook = "egress" if (_SYS / link / "macvtap").is_dir() else "ingress"
    try:
        nft.change(nic_filter.script(link, hook, nic_filter.rules(mac, trusted=trusted, hosts=hosts)))
    except nft.CannotFilter as error:
        raise CannotConnect(f"{NEEDS_FILTER}: {error}") from None


def carrier(link: str) -> str | None:
    """The host NIC of a link of ours; None: it is not on one any more."""
    below = [path.name.removeprefix("lower_") for path in (_SYS / link).glob("lower_*")]  # of a macvtap
    master = _SYS / link / "master"
    return below[0] if below else master.resolve().name if master.exists() else None


def addresses(nic: str) -> list[Address]:
    """The host's addresses on that NIC."""
    (about,) = json.loads(_ip("-json", "address", "show", "dev", nic))
    return [ipaddress.ip_address(one["local"]) for one in about["addr_info"]]


def _ip(*words: str) -> str:
    try:
        done = subprocess.run(["ip", *words], capture_output=True, text=True, timeout=10, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise CannotConnect(f"`ip {' '.join(words[:3])} ...` cannot be run: {error}") from None
    if done.returncode:
        raise CannotConnect(f"`ip {' '.join(words[:3])} ...` says: {done.stderr.strip()}")
    return done.stdout
