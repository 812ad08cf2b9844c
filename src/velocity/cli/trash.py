"""`velocity trash`: deleted objects."""

from __future__ import annotations

import time

import click
from click.shell_completion import CompletionItem
from msgspec import UNSET

from velocity.cli import connection, naming, resolve, where
from velocity.cli.lazy import Group
from velocity.cli.naming import Named
from velocity.cli.output import NameNotFound, SizeCell, as_json, confirm, done, listed, listing, planning, show_json
from velocity.cli.paging import Page, paged
from velocity.cli.plan import changing
from velocity.cli.task import follow
from velocity.cli.words import clean, program
from velocity.client import Client
from velocity.contract.trash import LIST, ListTrash, TrashItem


def _complete(context: click.Context, _parameter: click.Parameter, begun: str) -> list[CompletionItem]:
    def words(client: Client) -> dict[str, str]:
        return naming.offered(begun, ((one.name, one.trid) for one in client.list_trash().items), naming.number)

    return naming.completing(context, begun, words)


ITEM = click.argument("item", metavar="ITEM", shell_complete=_complete)


@click.group(cls=Group)
def trash() -> None:
    """Deleted objects, which can be restored. ITEM is a name if it is unique, or a number of `trash list` (`id:4`)."""


@trash.command("list")
@paged()
@listing
def list_trash(page: Page) -> None:
    """List deleted objects that you could have deleted yourself, newest first."""
    client = connection.connect()
    listed(
        page.ask(client, LIST, ListTrash()),
        "items",
        ("NUMBER", "KIND", "NAME", "DISKS", "GROUP", "SIZE", "DELETED", "EXPIRES"),
        lambda one: (
            one.trid,
            one.kind,
            one.name,
            "-" if one.disks is UNSET else ", ".join(one.disks),
            where.path(client, one.gid),
            SizeCell(one.size) if one.size else "-",
            _day(one.deleted),
            _day(one.expires),
        ),
        empty="the trash is empty",
        noun="item",
        spare=("DISKS",),
    )


@trash.command()
@ITEM
@click.option("--host", type=resolve.HOST, metavar="HOST", help="The host for a VM whose own host is gone.")
@changing
def restore(item: str, host: int | None) -> None:
    """Restore ITEM under its former id; it counts against quotas again."""
    client = connection.connect()
    answer = client.restore(trid=_find(client, item).trid, host=UNSET if host is None else host)
    if as_json():
        show_json(answer)
    else:
        click.echo(f"restored {answer.kind} {clean(answer.name)} (id {answer.id})")


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
@click.option("--detach", is_flag=True, help="Do not wait: print the task.")
@changing
def empty(yes: bool, detach: bool) -> None:
    """Remove everything that you see in the trash permanently. The server does it as a task: `task cancel` ends it."""
    client = connection.connect()
    items = client.list_trash().items
    if items and not yes and not planning():
        confirm(f"Remove {len(items)} items permanently?")
    follow(client, client.empty_trash(trids=[one.trid for one in items]).tid, detach)


def _find(client: Client, word: str) -> TrashItem:
    items = {one.trid: one for one in client.list_trash().items}
    named = [Named(one.trid, f"{one.kind}, {_day(one.deleted)}") for one in items.values() if one.name == word]
    found = naming.choose("item", word, named, {one.trid: one.name for one in items.values()}, naming.number)
    if found in items:
        return items[found]
    raise NameNotFound(f"there is no {clean(word)!r} in the trash: see `{program()} trash list`")


def _day(at: int) -> str:
    return time.strftime("%Y-%m-%d %H:%M", time.localtime(at))
