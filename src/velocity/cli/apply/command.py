"""`velocity apply`."""

from __future__ import annotations

from pathlib import Path

import click

from velocity.cli import connection
from velocity.cli.apply.file import read
from velocity.cli.apply.steps import ApplySteps
from velocity.cli.output import as_json, json_option, show_json


@click.command()
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@click.option("--plan", "only_plan", is_flag=True, help="Show what would be done, and change nothing.")
@click.option("--yes", is_flag=True, help="Do not ask for confirmation.")
@json_option
def apply(file: Path, only_plan: bool, yes: bool) -> None:
    """Change groups, grants, media and VMs to match FILE (TOML).

    The plan comes first, then the work; a second run does nothing. What FILE does not name stays as it is.
    """
    steps = ApplySteps(connection.connect(), read(file), file.parent).steps()
    if as_json():
        show_json({"steps": [step.text for step in steps]})
    elif not steps:
        click.echo("nothing to do: everything matches the file")
    else:
        for step in steps:
            click.echo(f"  + {step.text}")
    if only_plan or not steps:
        return
    if not yes:
        click.confirm(f"Carry out these {len(steps)} steps?", abort=True, err=True)
    for number, step in enumerate(steps, start=1):
        click.echo(f"[{number}/{len(steps)}] {step.text}", err=True)
        step.do()
    click.echo(f"done: {len(steps)} steps", err=True)
