"""`velocity vm move`."""

from __future__ import annotations

import click

from velocity.cli import connection, resolve, where
from velocity.cli.output import as_json, done, show_json
from velocity.cli.plan import changing
from velocity.cli.which import which
from velocity.cli.words import clean


@click.command()
@which
@click.option("--to", type=where.TYPE, metavar="GROUP", required=True, help="Its new group.")
@click.option("--leave-disks", is_flag=True, help="Its disks stay in the group that they are in.")
@changing
def move(vm_: str, group: int | None, to: int, leave_disks: bool) -> None:
    """Move VM to another group, with its disks, running or not: the media of its group that are attached writable."""
    client = connection.connect()
    found = resolve.vm(client, group, vm_)
    moved = client.move_vm(vmid=found.id, gid=to, disks=not leave_disks)
    if as_json():
        show_json(moved)
        return
    for warning in moved.warnings or []:
        click.secho(f"warning: {clean(warning)}", fg="yellow", err=True)
    disks = f" with {len(moved.media)} disk{'s' if len(moved.media) > 1 else ''}" if moved.media else ""
    done(f"{found.label} is moved{disks}")
