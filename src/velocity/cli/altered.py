"""How a change of a VM went, for people: at once, or from its next start on, and why."""

from __future__ import annotations

import click

from velocity.cli.output import as_json, show_json
from velocity.cli.words import clean
from velocity.contract.machines import VmAltered


def tell(answer: VmAltered, words: str) -> None:
    """`words`: what is so now."""
    if as_json():
        show_json(answer)
        return
    for warning in answer.warnings or []:
        click.secho(f"warning: {clean(warning)}", fg="yellow", err=True)
    click.echo(f"{words}, from its next start on" if answer.waiting else words)
    for field, why in (answer.waits or {}).items():
        click.echo(f"  {field}: {clean(why)}")
