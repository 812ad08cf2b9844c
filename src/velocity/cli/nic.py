"""`velocity nic`."""

from __future__ import annotations

import click

from velocity.cli import session
from velocity.cli.output import as_json, json_option, show_json, table


@click.group()
def nic() -> None:
    """Host NICs that virtual machines can be bridged to."""


@nic.command("list")
@json_option
def list_() -> None:
    """List them."""
    answer = session.connect().list_nics()
    if as_json():
        show_json(answer)
        return
    rows = [(one.nicid, one.identifier, one.description) for one in answer.host_nics]
    table(("NICID", "IDENTIFIER", "DESCRIPTION"), rows, "none is declared: see the setting `nics`")
