"""`velocity trash`: what was deleted."""

from __future__ import annotations

import time

import click

from velocity.cli import connection, where
from velocity.cli.output import NameNotFound, SizeCell, as_json, done, listed, listing, planning, show_json
from velocity.cli.plan import changing
from velocity.cli.words import clean, program
from velocity.client import Client
from velocity.contract.trash import TrashItem

ITEM = click.argument("item", metavar="ITEM")


@click.group()
def trash() -> None:
    """Deleted objects, which can be restored. ITEM is a name if it is unique, or a number of `trash list`."""


@trash.command("list")
@listing
def list_trash() -> None:
    """List deleted objects that you could have deleted yourself, newest first."""
    client = connection.connect()
    listed(
        client.list_trash(),
        "items",
        ("NUMBER", "KIND", "NAME", "GROUP", "SIZE", "DELETED", "GONE"),
        lambda one: (
            one.trid,
            one.kind,
            one.name,
            where.path(client, one.gid),
            SizeCell(one.size) if one.size else "-",
            _day(one.deleted),
            _day(one.expires),
        ),
        empty="the trash is empty",
        noun="item",
    )


@trash.command()
@ITEM
@changing
def restore(item: str) -> None:
    """Restore ITEM with its id; it counts against its quotas again."""
    client = connection.connect()
    answer = client.restore(trid=_find(client, item).trid)
    if as_json():
        show_json(answer)
    else:
        click.echo(f"{answer.kind} {clean(answer.name)} is restored, with its id {answer.id}")


@trash.command()
@ITEM
@changing
def rm(item: str) -> None:
    """Remove ITEM permanently."""
    client = connection.connect()
    found = _find(client, item)
    client.purge(trid=found.trid)
    done(f"{found.kind} {clean(found.name)} is removed permanently")


@trash.command()
@click.option("--yes", is_flag=True, help="Do not ask for confirmation.")
@changing
def empty(yes: bool) -> None:
    """Remove everything that you see in the trash permanently."""
    client = connection.connect()
    items = client.list_trash().items
    if items and not yes and not planning():
        click.confirm(f"Remove {len(items)} items permanently?", abort=True, err=True)
    for one in items:
        client.purge(trid=one.trid)
    done(f"removed {len(items)} items permanently")


def _find(client: Client, word: str) -> TrashItem:
    items = client.list_trash().items
    found = [one for one in items if one.name == word] or [one for one in items if str(one.trid) == word]
    if len(found) == 1:
        return found[0]
    if found:
        numbers = ", ".join(str(one.trid) for one in found)
        raise NameNotFound(
            f"several items named {clean(word)!r} are in the trash: choose one by its number ({numbers})"
        )
    raise NameNotFound(f"there is no {clean(word)!r} in the trash: see `{program()} trash list`")


def _day(at: int) -> str:
    return time.strftime("%Y-%m-%d %H:%M", time.localtime(at))
