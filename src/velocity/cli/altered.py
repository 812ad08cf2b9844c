"""How `vm` commands report a change: made at once, or at the next start, and why."""

from __future__ import annotations

from collections.abc import Iterable

import click

from velocity.cli.output import as_json, show_json
from velocity.cli.words import clean
from velocity.contract.machines import VmAltered


def tell(answer: VmAltered, words: str, *changed: str) -> None:
    """`words` report the change; they are extended if one of the `changed` settings waits for the next start."""
    if as_json():
        show_json(answer)
        return
    for warning in answer.warnings or []:
        click.secho(f"warning: {clean(warning)}", fg="yellow", err=True)
    waiting = [field for field in answer.waiting if field in changed]
    click.echo(f"{words}, from its next start on" if waiting else words)
    tell_waits(answer, waiting)


def tell_waits(answer: VmAltered, waiting: Iterable[str]) -> None:
    """Show why each of these settings waits, if known."""
    waits = answer.waits or {}
    for field in waiting:
        if field in waits:
            click.echo(f"  {field}: {clean(waits[field])}")
