"""`velocity vm freeze` and `thaw`: file systems of a guest are frozen while its disks are copied."""

from __future__ import annotations

import contextlib
import subprocess

import click

from velocity.cli import connection, ending, resolve
from velocity.cli.output import as_json, show_json
from velocity.cli.plan import changing
from velocity.cli.waiting import waiting
from velocity.cli.which import which
from velocity.cli.words import clean
from velocity.client import ClientError

SIGNALLED = 128


@click.command()
@which
@click.argument("command", nargs=-1, type=click.UNPROCESSED, metavar="[-- COMMAND]...")
@click.option(
    "--timeout", type=click.IntRange(1, 600), metavar="SECONDS", default=60, show_default=True,
    help="Seconds until the server thaws them, whatever happens.",
)  # fmt: skip
@changing
def freeze(vm_: str, group: int | None, command: tuple[str, ...], timeout: int) -> None:
    """Freeze VM's file systems, for a consistent copy of its disks. This needs its guest agent.

    COMMAND is run here while they are frozen, and they are thawed when it ends: `vm freeze web -- lvcreate -s ...`.
    Without it, `vm thaw` does that.
    """
    client = connection.connect()
    found = resolve.vm(client, group, vm_)
    ending.in_order()
    try:
        with waiting(f"freezing {found.label}"):
            frozen = client.freeze_guest(vmid=found.id, timeout=timeout)
    except (KeyboardInterrupt, SystemExit):  # it may be frozen, although nobody waits for it any more
        with contextlib.suppress(ClientError):
            client.thaw_guest(vmid=found.id)
        raise
    if not command:
        if as_json():
            show_json(frozen)
        else:
            click.echo(f"{found.label}: {_systems(frozen.filesystems)} frozen, for {timeout} s at most")
        return
    try:
        status = _run(command)
    finally:
        thawed = client.thaw_guest(vmid=found.id)
    if frozen.filesystems and not thawed.filesystems:
        words = "what it copied may be inconsistent. Give it a longer --timeout"
        raise click.ClickException(f"{found.label} was thawed before the command had ended: {words}")
    click.get_current_context().exit(status)


def _run(command: tuple[str, ...]) -> int:
    """Run the command; returns its exit status as shells do."""
    try:
        status = subprocess.run(command, check=False).returncode
    except OSError as error:
        raise click.ClickException(f"{clean(command[0])}: {error.strerror}") from None
    return status if status >= 0 else SIGNALLED - status


@click.command()
@which
@changing
def thaw(vm_: str, group: int | None) -> None:
    """Thaw VM's file systems, which `vm freeze` froze."""
    client = connection.connect()
    found = resolve.vm(client, group, vm_)
    thawed = client.thaw_guest(vmid=found.id)
    if as_json():
        show_json(thawed)
    else:
        click.echo(f"{found.label}: {_systems(thawed.filesystems)} thawed")


def _systems(count: int) -> str:
    return f"{count or 'no'} file system{'' if count == 1 else 's'}"
