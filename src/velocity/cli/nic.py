"""`velocity nic`."""

from __future__ import annotations

import click

from velocity.cli import connection
from velocity.cli.lazy import Group
from velocity.cli.output import listed, listing
from velocity.cli.paging import Page, paged
from velocity.contract.nics import LIST, ListNics


@click.group(cls=Group)
def nic() -> None:
    """Host NICs that virtual machines can be bridged to."""


@nic.command("list")
@paged()
@listing
def list_(page: Page) -> None:
    """List the host NICs."""
    answer = page.ask(connection.connect(), LIST, ListNics())
    hosts = ("HOSTS",) if any(one.hosts for one in answer.host_nics) else ()
    listed(
        answer,
        "host_nics",
        ("NICID", "IDENTIFIER", "DESCRIPTION", *hosts),
        lambda one: (
            one.nicid,
            one.identifier,
            one.description,
            *((", ".join(host.name for host in one.hosts or []),) if hosts else ()),
        ),
        empty="no host NICs are declared: see the setting `nics`",
        noun="host NIC",
    )
