"""`velocity apply`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from velocity.cli import connection, ending
from velocity.cli.apply.file import STDIN, read
from velocity.cli.apply.steps import ApplyStep, ApplySteps
from velocity.cli.output import as_json, confirm, json_option, show_json, warn
from velocity.client import ClientError


@click.command()
@click.argument("file", type=click.Path(dir_okay=False, allow_dash=True, path_type=Path))
@click.option("--plan", "only_plan", is_flag=True, help="Show what would be done, and change nothing.")
@click.option("--yes", is_flag=True, help="Do not ask for confirmation.")
@json_option
def apply(file: Path, only_plan: bool, yes: bool) -> None:
    """Change groups, grants, media and VMs to match FILE (TOML); `-` is standard input.

    The plan comes first, then the work; a second run does nothing. Objects that FILE does not name stay as they are.
    Differences that cannot be removed are reported, and the exit status is then 1.
    """
    base = Path() if file == STDIN else file.parent
    wanted = ApplySteps(connection.connect(), read(file), base)
    steps = wanted.steps()
    told: dict[str, Any] = {"steps": [step.text for step in steps]}
    if wanted.differences:
        told["differences"] = wanted.differences
    _show(steps, wanted)
    ending.in_order()
    try:
        if steps and not only_plan:
            if not yes:
                what = "this step" if len(steps) == 1 else f"these {len(steps)} steps"
                confirm(f"Carry out {what}?", "--yes carries the plan out, --plan only shows it")
            _carry_out(steps, told)
    finally:
        if wanted.passwords:  # even if a step has failed: they are stored nowhere else
            told["passwords"] = wanted.passwords
        if as_json():
            show_json(told)
    if wanted.differences:
        count = len(wanted.differences)
        raise ClientError(f"{count} difference{'' if count == 1 else 's'} from the file cannot be changed by apply")


def _show(steps: list[ApplyStep], wanted: ApplySteps) -> None:
    """Show the plan; on stderr if standard output is for JSON."""
    lines = [*(f"  + {step.text}" for step in steps), *(f"  ! {one}" for one in wanted.differences)]
    for line in lines or ["nothing to do: everything matches the file"]:
        click.echo(line, err=as_json())
    warn(wanted.notes)


def _carry_out(steps: list[ApplyStep], told: dict[str, Any]) -> None:
    for number, step in enumerate(steps, start=1):
        click.echo(f"[{number}/{len(steps)}] {step.text}", err=True)
        step.do()
        told["done"] = number
    click.echo(f"done: {len(steps)} steps", err=True)
