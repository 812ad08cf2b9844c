"""Removing what a server made for NAT and has not removed, for instance because it was killed."""

from __future__ import annotations

import click

from velocity.hypervisor.qemu import nat_host
from velocity.hypervisor.qemu.options import Options
from velocity.network.nat_networks import CannotNat


def remove_nat(chosen: Options) -> None:
    """Remove the bridge with all that belongs to it, unless guests use it; it says so."""
    bridge = nat_host.find(chosen, choose=False).bridge
    if bridge is None or not bridge.exists():
        return
    try:
        gone = bridge.remove()
    except (CannotNat, OSError) as error:
        click.echo(f"NAT's bridge {bridge.bridge} cannot be removed: {error}", err=True)
        return
    if gone:
        click.echo(f"removed NAT's bridge {bridge.bridge}", err=True)
    else:
        words = "has guests; it goes after the last one, if the server still runs then"
        click.echo(f"NAT's bridge {bridge.bridge} {words}", err=True)
