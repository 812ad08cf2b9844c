"""Displays, NICs and port forwards as text: in `vm create`, `vm set` and apply files, and in lines of `vm show`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Literal

import click
from msgspec import UNSET

from velocity.cli import resolve
from velocity.cli.attachments import MediaScope
from velocity.contract.machines import Display, Interface, Nic
from velocity.contract.vm_settings import AddressSource, Forward, NatKind

_PROTOCOLS: Mapping[str, Literal["tcp", "udp"]] = {"tcp": "tcp", "udp": "udp"}
_FORWARD_FORM = re.compile(
    r"(?:(\d{1,3}(?:\.\d{1,3}){3}):)?(\d{1,5}):(\d{1,5})(?:/(tcp|udp))?", re.IGNORECASE | re.ASCII
)
_LINKS: Mapping[str, Literal["up", "down"]] = {"up": "up", "down": "down"}
_NIC_FORM = re.compile(
    r"([^:]*)(?::((?:id:)?[^:=]+?))?(:trusted)?(?::id=(\d+))?(?::link=(up|down))?(?::boot=(\d+))?(?::mac=(.+))?",
    re.IGNORECASE | re.ASCII,
)
_SOURCES = {
    AddressSource.LEASE: "reserved by NAT",
    AddressSource.NEIGHBOUR: "seen by the host",
    AddressSource.AGENT: "reported by its guest agent",
}


def to_display(number: int, text: str) -> Display:
    match = re.fullmatch(r"(?:(.+)=)?(\d+)x(\d+)", text)
    if match is None:
        raise click.BadParameter(f"{text!r} is not a display: write 1280x720, or NAME=1280x720")
    return Display(name=match[1] or f"display{number}", width=int(match[2]), height=int(match[3]))


def display(one: Display) -> str:
    return f"{one.name} {one.width}x{one.height}, {one.ppi} ppi"


def to_nic(place: MediaScope, text: str) -> Nic:
    """The host NIC, by identifier or id."""
    match = _NIC_FORM.fullmatch(text)
    host = None if match is None or match[2] is None else resolve.nicid(place.client, match[2])
    if match is None or (match[2] is not None and host is None):
        raise click.BadParameter(
            f"{text!r} is not a NIC: write nat, bridge:NIC, or bridge:NIC:trusted, with :id=N, :link=down, :boot=N or "
            ":mac=MAC behind"
        )
    return Nic(
        type=match[1].upper(),
        host=UNSET if host is None else host,
        trusted=True if match[3] else UNSET,
        id=int(match[4]) if match[4] else UNSET,
        link=_LINKS[match[5].lower()] if match[5] else UNSET,
        boot=int(match[6]) if match[6] else UNSET,
        mac=match[7] or UNSET,
    )


def nic(one: Nic, stored: Interface) -> str:
    """The NIC, with what the server stores of it."""
    return (
        one.type
        + (f" on host NIC {one.host}" if isinstance(one.host, int) else "")
        + (", trusted" if one.trusted is True else "")
        + (", link down" if one.link == "down" else "")
        + (f", boots as {one.boot}" if one.boot is not UNSET else "")
        + f", id {stored.id}, {stored.mac}"
        + "".join(f", {known.address} ({_SOURCES[known.source]})" for known in stored.known_addresses or ())
        + (", in QEMU's user network" if stored.nat is NatKind.USER else "")
    )


def to_forward(text: str) -> Forward:
    match = _FORWARD_FORM.fullmatch(text)
    if match is None:
        raise click.BadParameter(
            f"{text!r} is not a forward: write HOST-PORT:GUEST-PORT, as in 2222:22, with ADDRESS: before it or /udp "
            "behind"
        )
    return Forward(
        host_port=int(match[2]),
        guest_port=int(match[3]),
        protocol=_PROTOCOLS[(match[4] or "tcp").lower()],
        host_address=match[1] or UNSET,
    )


def forward(one: Forward) -> str:
    """The forward in the form in which it is typed."""
    address = f"{one.host_address}:" if one.host_address else ""
    return f"{address}{one.host_port}:{one.guest_port}{'' if one.protocol == 'tcp' else f'/{one.protocol}'}"
