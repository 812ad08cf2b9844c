"""`velocity nic`."""

from __future__ import annotations

import click

from velocity.cli import connection
from velocity.cli.output import listed, listing


@click.group()
def nic() -> None:
    """Host NICs that virtual machines can be bridged to."""


@nic.command("list")
@listing
def list_() -> None:
    """List the host NICs."""
    answer = connection.connect().list_nics()
    listed(
        answer,
        "host_nics",
        ("NICID", "IDENTIFIER", "DESCRIPTION"),
        lambda one: (one.nicid, one.identifier, one.description),
        empty="no host NICs are declared: see the setting `nics`",
        noun="host NIC",
    )
