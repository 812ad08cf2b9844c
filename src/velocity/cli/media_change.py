"""`velocity media show`, `set`, `move`, `convert` and `compact`."""

from __future__ import annotations

from collections.abc import Iterator
from uuid import UUID

import click
from msgspec import UNSET

from velocity.cli import connection, resolve, seen, where
from velocity.cli.amounts import SIZE, to_bytes
from velocity.cli.facts import show_facts
from velocity.cli.output import as_json, done, json_option, show_json, warn
from velocity.cli.plan import changing
from velocity.cli.task import follow
from velocity.cli.where import GROUP
from velocity.client import Client
from velocity.contract.medium import MediumDetails
from velocity.sizes import size

MEDIUM = click.argument("medium", shell_complete=resolve.complete_media)


@click.command()
@MEDIUM
@GROUP
@json_option
def show(medium: str, group: int | None) -> None:
    """Show everything about MEDIUM."""
    client = connection.connect()
    one = client.show_medium(mid=resolve.medium(client, group, medium, beyond=True).id)
    if as_json():
        show_json(one)
        return
    show_facts(_facts(client, one))
    if one.missing is True:
        warn([f"the file of {one.name} is not in its pool: bring it back from a backup, or delete the medium"])


def _facts(client: Client, one: MediumDetails) -> Iterator[tuple[str, object]]:
    yield "name", one.name
    yield "mid", one.mid
    yield "group", where.path(client, one.gid)
    yield "pool", seen.pool_label(client, one.mpid)
    yield "type", one.type
    yield "size", f"{size(one.size)} ({one.size} bytes)"
    yield "on disk", size(one.allocated)
    layout = f", clusters of {size(one.layout.cluster_size)}" if one.layout else ""
    yield "format", f"{one.format}{layout}"
    yield "writing", "nobody: it is read-only" if one.readonly else "allowed"
    if one.content:
        label = f" {one.content.label}" if one.content.label else ""
        yield "content", f"{one.content.format}{label}"
    yield "boots", "not known" if one.boots is UNSET else "yes" if one.boots else "no"
    for vm in one.used_by:
        yield "used by", f"{vm.name} (vmid {vm.vmid}){', writing' if vm.writing else ''}"
    if one.busy:
        yield "now", one.busy
    if one.content and one.content.warning:
        yield "warning", one.content.warning


@click.command("set")
@MEDIUM
@click.option("--name", help="A new name.")
@click.option("--type", "type_", help="ISO, DISK or any other word.")
@click.option("--size", "size_", metavar="SIZE", help=f"Enlarge it to SIZE, or by +SIZE. {SIZE}")
@click.option("--readonly/--writable", default=None, help="Whether VMs may only read it, or also write to it.")
@GROUP
@changing
def set_(
    medium: str, name: str | None, type_: str | None, size_: str | None, readonly: bool | None, group: int | None
) -> None:
    """Change MEDIUM. Settings that are not given stay."""
    client = connection.connect()
    found = resolve.medium(client, group, medium)
    wanted, revision = None if size_ is None else to_bytes(size_.removeprefix("+")), None
    if wanted is not None and str(size_).startswith("+"):
        now = client.show_medium(mid=found.id)
        wanted, revision = now.size + wanted, now.revision
    answer = client.alter_medium(
        mid=found.id,
        name=UNSET if name is None else name,
        type=UNSET if type_ is None else type_,
        size=UNSET if wanted is None else wanted,
        readonly=UNSET if readonly is None else readonly,
        revision=UNSET if revision is None else revision,
    )
    if as_json():
        show_json(answer)
        return
    warn(answer.warnings or [])
    waits = f"; VMs that run see at their next start: {', '.join(answer.waiting)}" if answer.waiting else ""
    click.echo(f"{found.label} is changed{waits}")


@click.command()
@MEDIUM
@click.option("--to", type=where.TYPE, metavar="GROUP", help="The new group.")
@click.option("--to-pool", type=resolve.POOL, metavar="POOL", help="Its new pool.")
@click.option("--detach", is_flag=True, help="Do not wait: print the task.")
@GROUP
@changing
def move(medium: str, to: int | None, to_pool: int | None, detach: bool, group: int | None) -> None:
    """Move MEDIUM to another group, another pool, or both. Its VMs keep it; one that writes to it keeps running."""
    if to is None and to_pool is None:
        raise click.UsageError("say where to: --to GROUP, --to-pool POOL, or both")
    client = connection.connect()
    found = resolve.medium(client, group, medium)
    moved = client.move_medium(
        mid=found.id, gid=UNSET if to is None else to, mpid=UNSET if to_pool is None else to_pool
    )
    if isinstance(moved.tid, int):
        follow(client, moved.tid, detach)
    else:
        done(f"{found.label} is moved")


@click.command()
@MEDIUM
@click.argument("format_", metavar="FORMAT", type=click.Choice(["raw", "qcow2"]))
@click.option("--detach", is_flag=True, help="Do not wait: print the task.")
@GROUP
@changing
def convert(medium: str, format_: str, detach: bool, group: int | None) -> None:
    """Convert MEDIUM to FORMAT (raw or qcow2) in its place. A running VM that writes to it keeps running."""
    client = connection.connect()
    found = resolve.medium(client, group, medium)
    _convert(client, found.id, format_, detach)


@click.command()
@MEDIUM
@click.option("--detach", is_flag=True, help="Do not wait: print the task.")
@GROUP
@changing
def compact(medium: str, detach: bool, group: int | None) -> None:
    """Rewrite MEDIUM's file without zeros and freed space. A running VM that writes to it keeps running."""
    client = connection.connect()
    found = resolve.medium(client, group, medium)
    _convert(client, found.id, client.show_medium(mid=found.id).format, detach)


def _convert(client: Client, mid: UUID, format_: str, detach: bool) -> None:
    started = client.convert_medium(mid=mid, format="raw" if format_ == "raw" else "qcow2")
    follow(client, started.tid, detach)
