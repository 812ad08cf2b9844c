"""`velocity vm move` and `velocity vm hosts`."""

from __future__ import annotations

import click
from msgspec import UNSET

from velocity.cli import connection, resolve, seen, where
from velocity.cli.output import as_json, done, json_option, show_json
from velocity.cli.plan import changing
from velocity.cli.task import follow
from velocity.cli.which import which
from velocity.cli.words import clean
from velocity.client import Client


@click.command()
@which
@click.option("--to", type=where.TYPE, metavar="GROUP", help="The new group.")
@click.option("--host", type=resolve.HOST, metavar="HOST", help="The new host.")
@click.option("--leave-disks", is_flag=True, help="With --to: leave the disks in their group.")
@click.option("--pool", type=resolve.POOL, metavar="POOL", help="With --host: the pool for its media there.")
@click.option("--detach", is_flag=True, help="With --host: do not wait, print the task.")
@changing
def move(
    vm_: str,
    group: int | None,
    to: int | None,
    host: int | None,
    leave_disks: bool,
    pool: int | None,
    detach: bool,
) -> None:
    """Move VM to another group or host, with its disks, running or not.

    Its disks are the media of its group that are attached writable. A move to another host is a task.
    """
    if (to is None) == (host is None):
        raise click.UsageError("name either its new group (--to) or its new host (--host)")
    if leave_disks and host is not None:
        raise click.UsageError("--leave-disks goes with --to: media of its host move with the VM")
    if host is None and (pool is not None or detach):
        raise click.UsageError("--pool and --detach go with --host")
    client = connection.connect()
    vmid = resolve.vm(client, group, vm_)
    if host is not None:
        started = client.move_vm_to_host(vmid=vmid.id, host=host, mpid=UNSET if pool is None else pool)
        follow(client, started.tid, detach)
        if not detach and not as_json():
            done(f"{vmid.label} is on host {seen.host_label(client, host)} now")
    elif to is not None:
        _move_to_group(client, vmid.id, vmid.label, to, leave_disks)


def _move_to_group(client: Client, vmid: int, label: str, gid: int, leave_disks: bool) -> None:
    moved = client.move_vm(vmid=vmid, gid=gid, disks=not leave_disks)
    if as_json():
        show_json(moved)
        return
    for warning in moved.warnings or []:
        click.secho(f"warning: {clean(warning)}", fg="yellow", err=True)
    disks = f" with {len(moved.media)} disk{'s' if len(moved.media) > 1 else ''}" if moved.media else ""
    done(f"{label} is moved{disks}")


@click.command()
@which
@json_option
def hosts(vm_: str, group: int | None) -> None:
    """List the hosts that VM could move to, and what the others lack."""
    client = connection.connect()
    answer = client.list_vm_targets(vmid=resolve.vm(client, group, vm_).id)
    if as_json():
        show_json(answer)
        return
    for one in answer.hosts:
        copied = f", with {len(one.media)} {'medium' if len(one.media) == 1 else 'media'}" if one.media else ""
        click.echo(f"{clean(one.name)} ({one.host}): {clean(one.lacks) if one.lacks else f'can have it{copied}'}")
    if not answer.hosts:
        click.echo("there is no other host", err=True)
