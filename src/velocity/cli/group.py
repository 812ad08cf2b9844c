"""`velocity group`: the tree, and the quotas of groups."""

from __future__ import annotations

import click
from msgspec import UNSET, UnsetType

from velocity.cli import connection, where
from velocity.cli.amounts import MEMORY, to_mebibytes
from velocity.cli.lazy import Group
from velocity.cli.output import (
    as_json,
    confirm,
    done,
    held,
    json_option,
    listed,
    listing,
    made,
    planning,
    show_json,
    table,
)
from velocity.cli.paging import Page, paged
from velocity.cli.plan import changing
from velocity.cli.words import clean
from velocity.client import Client
from velocity.contract.groups import LIST, Groups, ListGroups, Quota, QuotaInfo
from velocity.sizes import size

GROUP = click.argument("group_", metavar="GROUP", type=where.TYPE)


@click.group(cls=Group)
def group() -> None:
    """Groups. GROUP is a path such as team/web, a name if it is unique, or an id (`id:3`)."""


@group.command("list")
@paged()
@listing
def list_groups(page: Page) -> None:
    """List the groups where you have permissions, and those above them."""
    client = connection.connect()
    listed(
        page.ask(client, LIST, ListGroups()) if page.is_page else Groups(groups=list(where.seen(client).values())),
        "groups",
        ("GID", "GROUP", "YOUR PERMISSIONS"),
        lambda one: (one.gid, where.path(client, one.gid), _held(client, one.gid)),
        empty="you have no permissions yet",
        noun="group",
    )


def _held(client: Client, gid: int) -> str:
    """The permissions held on it, nearest first; inherited ones only if they are not held directly."""
    parts: list[str] = []
    known: set[str] = set()
    for place in where.line(where.seen(client), gid):
        names = {one.name for one in place.permissions}
        if not names <= known:
            source = "" if place.gid == gid else f" (from {where.path(client, place.gid)})"
            parts.append(f"{held(place.permissions)}{source}")
            known |= names
    return ", ".join(parts)


@group.command()
@GROUP
@json_option
def show(group_: int) -> None:
    """Show GROUP and its members."""
    client = connection.connect()
    answer = client.show_group(gid=group_)
    if as_json():
        show_json(answer)
        return
    click.echo(f"{where.path(client, group_)} (gid {group_})")
    rows = [(one.uid, one.name, held(one.permissions)) for one in answer.memberships]
    table(("UID", "NAME", "PERMISSIONS"), rows, "nobody has permissions directly on it")


@group.command()
@click.argument("name")
@click.option(
    "--parent", type=where.TYPE, metavar="GROUP", help="The parent group. Default: as with --group elsewhere."
)
@changing
def create(name: str, parent: int | None) -> None:
    """Create the group NAME."""
    client = connection.connect()
    above = where.here(client, parent, "--parent")
    answer = client.create_group(name=name, parent_gid=above)
    path = clean(name) if above == where.ROOT else f"{where.path(client, above)}/{clean(name)}"
    made(answer, answer.gid, f"created group {path} (gid {answer.gid})")


@group.command()
@GROUP
@click.option("--force", is_flag=True, help="Power off its running VMs.")
@click.option("--purge", is_flag=True, help="Delete permanently, without the trash.")
@click.option("--yes", is_flag=True, help="Do not ask for confirmation.")
@changing
def rm(group_: int, force: bool, purge: bool, yes: bool) -> None:
    """Move GROUP with its subgroups, VMs and media to the trash."""
    client = connection.connect()
    path = where.path(client, group_)
    if not yes and not planning():
        whole = f"Delete the group {path} (gid {group_}) with its subgroups, VMs and media"
        confirm(f"{whole}{' permanently' if purge else ''}?")
    client.delete_group(gid=group_, force=force, purge=purge)
    done(f"deleted group {path}{' permanently' if purge else ''}")


@group.command()
@GROUP
@click.option("--cpus", metavar="COUNT", help="`none` removes the limit.")
@click.option("--memory", metavar="SIZE", help=f"{MEMORY} `none` removes the limit.")
@click.option("--vms", metavar="COUNT", help="`none` removes the limit.")
@click.option(
    "--forward-ports",
    metavar="FIRST-LAST",
    help="Ports of the host that its VMs may forward; `none` removes the limit.",
)
@changing
def quota(
    group_: int, cpus: str | None, memory: str | None, vms: str | None, forward_ports: str | None
) -> None:  # fmt: skip
    """Show or set the quota of GROUP with its subgroups. Limits that are not given stay."""
    client = connection.connect()
    answer = client.show_quota(gid=group_)
    if (cpus, memory, vms, forward_ports) != (None, None, None, None):
        limits = answer.limits
        mebibytes = memory if memory is None or memory == "none" else str(to_mebibytes(memory))
        answer = client.set_quota(
            gid=group_,
            cpus=_limit(cpus, limits.cpus),
            memory_mib=_limit(mebibytes, limits.memory_mib),
            vms=_limit(vms, limits.vms),
            forward_ports=UNSET if forward_ports == "none" else forward_ports or limits.forward_ports,
        )
    if planning():
        return
    if as_json():
        show_json(answer)
        return
    table(("OF", "LIMIT", "USED", "LEFT"), _rows(answer), "")


def _limit(word: str | None, present: int | UnsetType) -> int | UnsetType:
    if word is None:
        return present
    if word == "none":
        return UNSET
    if not (word.isascii() and word.isdigit()):
        raise click.BadParameter(f"{word!r} is not a number; `none` removes a limit")
    return int(word)


def _rows(answer: QuotaInfo) -> list[tuple[str, str, str, str]]:
    def shown(quota: Quota, name: str) -> str:
        value = getattr(quota, name)
        if not isinstance(value, int):
            return "-"
        return size(value << 20) if name == "memory_mib" else str(value)

    usage = answer.usage
    used = {"cpus": str(usage.cpus), "memory_mib": size(usage.memory_mib << 20), "vms": str(usage.vms)}
    labels = {"cpus": "CPUs", "memory_mib": "memory", "vms": "VMs"}
    rows = [(labels[name], shown(answer.limits, name), used[name], shown(answer.left, name)) for name in used]
    ports = [one.forward_ports or "-" for one in (answer.limits, answer.left)]
    return [*rows, ("ports of the host", ports[0], "-", ports[1])]
