"""Port forwards to guests on the NAT bridge, by the kernel's address translation.

One table for each server, with chains for each NIC that a port leads to: it works without the server, and guests see
the caller's own address. From 127.0.0.1 it works only while the bridge routes loopback addresses (`route_localnet`);
what guests send to loopback addresses is dropped before (`nat_table`, `nic_filter`).
docs/decisions/0039-port-forwards.md. nft(8)
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from velocity.network import nft
from velocity.network.fence import NAT_BRIDGES
from velocity.network.host_ports import PortForward

log = logging.getLogger(__name__)

HOOKS = {
    "in": "type nat hook prerouting priority dstnat; policy accept;",
    "out": "type nat hook output priority -100; policy accept;",
    "back": "type nat hook postrouting priority srcnat; policy accept;",
}


def name(bridge: str) -> str:
    return f"velocity_{bridge}_forwards"


def script(bridge: str, link: str, guest: str, forwards: Sequence[PortForward], uids: range | None) -> str:
    """The nft script, one transaction, that sets exactly these forwards to the guest with that address.

    `uids` are those of QEMU's processes, whose guests must not reach others that way.
    """
    lines = [removal(bridge, link), f"table inet {name(bridge)} {{"]
    for kind, hook in HOOKS.items():
        lines += [f"chain {link}_{kind} {{", hook, *_rules(kind, bridge, guest, forwards, uids), "}"]
    return "\n".join([*lines, "}"]) + "\n"


def _rules(kind: str, bridge: str, guest: str, forwards: Sequence[PortForward], uids: range | None) -> Iterator[str]:
    if kind == "back":
        yield f'oifname "{bridge}" ip saddr 127.0.0.0/8 ip daddr {guest} masquerade'
        return
    if kind == "in":
        yield f'iifname "{NAT_BRIDGES}*" return'
    elif uids is not None:
        yield f"meta skuid {uids.start}-{uids.stop - 1} return"
    for one in forwards:
        here = f"ip daddr {one.host_address}" if one.host_address else "meta nfproto ipv4 fib daddr type local"
        yield f"{here} {one.protocol} dport {one.host_port} dnat ip to {guest}:{one.guest_port}"


def removal(bridge: str, link: str) -> str:
    """The nft script that removes the forwards to that link. Idempotent."""
    lines = [f"add table inet {name(bridge)}"]
    for kind, hook in HOOKS.items():
        chain = f"chain inet {name(bridge)} {link}_{kind}"
        lines += [f"add {chain} {{ {hook} }}", f"flush {chain}", f"delete {chain}"]
    return "\n".join(lines) + "\n"


def end(bridge: str) -> str:
    """The nft script that removes the table. Idempotent."""
    return f"add table inet {name(bridge)}\ndelete table inet {name(bridge)}\n"


def links(bridge: str) -> set[str]:
    """Links with forwards, read back from the kernel."""
    chains = [one["chain"]["name"] for one in nft.read("table", "inet", name(bridge)) if "chain" in one]
    whole = [{one.removesuffix(f"_{kind}") for one in chains if one.endswith(f"_{kind}")} for kind in HOOKS]
    return set.intersection(*whole)


class PortForwards:
    """Those of one server's bridge. `uids` are those of QEMU's processes."""

    def __init__(self, bridge: str, uids: range | None) -> None:
        self._bridge = bridge
        self._uids = uids

    def set(self, link: str, guest: str, forwards: Sequence[PortForward]) -> None:
        """Set exactly these forwards to the guest with that address. Raises `nft.CannotFilter`."""
        if not forwards:
            nft.change(removal(self._bridge, link))
            return
        self._route_loopback(on=True)
        nft.change(script(self._bridge, link, guest, forwards, self._uids))

    def restore(self, wanted: Mapping[str, tuple[str, Sequence[PortForward]]]) -> None:
        """Restore what is missing of these, by links with the guests' addresses, and remove all others.

        Raises `nft.CannotFilter`.
        """
        has = links(self._bridge)
        for link in wanted.keys() - has:
            self.set(link, *wanted[link])
            log.warning("the port forwards to %s were missing, and have been set again", link)
        for link in has - wanted.keys():
            nft.change(removal(self._bridge, link))
        self._route_loopback(on=bool(wanted))

    def _route_loopback(self, *, on: bool) -> None:
        """Let the host's own programs reach guests by 127.0.0.1."""
        setting = Path(f"/proc/sys/net/ipv4/conf/{self._bridge}/route_localnet")
        try:
            if (setting.read_text().strip() == "1") is not on:
                setting.write_text("1" if on else "0")
        except OSError as error:
            log.warning("port forwards do not work from 127.0.0.1: %s", error.strerror)
