"""`velocity history`."""

from __future__ import annotations

import functools
import time

import click
from msgspec import UNSET

from velocity.cli import connection, resolve, seen, where
from velocity.cli.happened import sentence
from velocity.cli.output import listed, listing
from velocity.cli.paging import Page, paged
from velocity.cli.where import GROUP
from velocity.contract.history import LIST, Entry, ListHistory


@click.command()
@GROUP
@click.option("--user", type=resolve.USER, metavar="USER", help="Only entries of this user.")
@click.option("--vm", "vm_", metavar="VM", help="Only entries about this VM: its name or id.")
@click.option("--refused", is_flag=True, help="Only refused requests.")
@paged(50)
@listing
def history(group: int | None, user: int | None, vm_: str | None, refused: bool, page: Page) -> None:
    """Show changes and refused requests in a group and all below it, newest first."""
    client = connection.connect()
    vm = None if vm_ is None else resolve.vm(client, group, vm_)
    wanted = ListHistory(
        gid=where.here(client, group if group is not None or vm is None else vm.gid),
        vmid=UNSET if vm is None else vm.id,
        uid=UNSET if user is None else user,
        refused=True if refused else UNSET,
    )
    names = functools.cache(lambda: seen.of_history(client))
    hosts = functools.cache(lambda: {f"host={host}": f"host {name}" for host, name in seen.hosts(client).items()})
    filtered = refused or user is not None or vm is not None
    listed(
        page.ask(client, LIST, wanted),
        "entries",
        ("NUMBER", "WHEN", "WHO", "FROM", "OPERATION", "WHAT", "OUTCOME"),
        lambda one: (
            one.hid,
            time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(one.at)),
            one.name or _nobody(one),
            one.address,
            one.operation,
            sentence(one, lambda word: (hosts() if word.startswith("host=") else names()).get(word)),
            _outcome(one),
        ),
        empty="there are no such entries" if filtered else "nothing has happened yet",
        noun="entry",
        spare=("OPERATION", "FROM", "NUMBER"),
    )


def _nobody(one: Entry) -> str:
    """Who did what no user did."""
    if not one.address:
        return "the server"
    return "a machine" if one.operation == "join_node" else "-"


def _outcome(one: Entry) -> str:
    if not isinstance(one.code, int):
        return "done" if 200 <= one.status < 300 else f"failed ({one.status})"
    why = one.message if isinstance(one.message, str) else _texts().get(one.code, f"code {one.code}")
    return f"refused {one.code}{'' if one.times is UNSET else f', {one.times} times'}: {why}"


@functools.cache
def _texts() -> dict[int, str]:
    """Explanations by error number, for refusals that the history stores without a message."""
    from velocity.contract.registry import OPERATIONS

    return {failure.code: failure.text for operation in OPERATIONS for failure in operation.failures}
