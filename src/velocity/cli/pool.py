"""`velocity pool`."""

from __future__ import annotations

import click
from msgspec import UNSET

from velocity.cli import connection, resolve, seen, where
from velocity.cli.amounts import SIZE, to_quota
from velocity.cli.lazy import Group
from velocity.cli.output import SizeCell, as_json, done, listed, listing, warn
from velocity.cli.paging import Page, paged
from velocity.cli.plan import changing
from velocity.cli.pool_show import show
from velocity.cli.where import GROUP
from velocity.contract.pools import LIST_POOLS, Assigned, ListPools, PoolInfo
from velocity.sizes import size

POOL = click.argument("pool", metavar="POOL", type=resolve.POOL)
OF = click.argument("group", metavar="GROUP", type=where.TYPE)


@click.group(cls=Group)
def pool() -> None:
    """Media pools. POOL is a name, or an id (`id:1`)."""


pool.add_command(show)


@pool.command("list")
@GROUP
@paged()
@listing
def list_pools(group: int | None, page: Page) -> None:
    """List the pools available to a group."""
    client = connection.connect()
    answer = page.ask(client, LIST_POOLS, ListPools(gid=where.here(client, group)))
    hosts = ("HOST",) if any(one.host or one.hosts for one in answer.pools) else ()
    listed(
        answer,
        "pools",
        ("MPID", "NAME", "WRITE", "MANAGE", "QUOTA", "USED", "LEFT", "FREE", "STATE", *hosts),
        lambda one: (
            one.mpid,
            one.name,
            "yes" if one.write else "no",
            "yes" if one.manage else "no",
            SizeCell(one.quota) if one.quota else "-",
            SizeCell(one.used),
            SizeCell(one.left) if isinstance(one.left, int) else "-",
            SizeCell(one.free),
            one.state,
            *((_hosts(one),) if hosts else ()),
        ),
        empty="no pools are available to the group: ask an administrator for one",
        noun="pool",
    )
    if not as_json():
        warn(one.message for one in answer.pools)


def _hosts(one: PoolInfo) -> str:
    if one.hosts is UNSET:
        return one.host.name if one.host else ""
    return ", ".join(host.name for host in one.hosts) or "none"


@pool.command()
@POOL
@OF
@click.option("--quota", metavar="SIZE", help=f"{SIZE} `none` removes the limit.")
@click.option("--write/--no-write", default=None, help="Whether VMs of GROUP may write to media in the pool.")
@click.option("--manage/--no-manage", default=None, help="Whether GROUP may create and upload media in the pool.")
@changing
def assign(pool: int, group: int, quota: str | None, write: bool | None, manage: bool | None) -> None:
    """Assign POOL to GROUP, or change its assignment. Options that are not given stay (at first: none and no)."""
    client = connection.connect()
    now = None
    if quota is None or write is None or manage is None:
        now = next((one for one in client.list_pools(gid=group).pools if one.mpid == pool), None)
    kept = _own(now)
    wanted = Assigned(
        quota=kept.quota if quota is None else to_quota(quota),
        write=kept.write if write is None else write,
        manage=kept.manage if manage is None else manage,
    )
    client.assign_pool(
        mpid=pool,
        gid=group,
        quota=wanted.quota,
        write=wanted.write,
        manage=wanted.manage,
        revision=UNSET if now is None else now.revision,
    )
    done(f"assigned pool {seen.pool_label(client, pool)} to {where.path(client, group)}: {_said(wanted)}")


def _own(now: PoolInfo | None) -> Assigned:
    """The group's own assignment; without one, what it inherits."""
    if now is None:
        return Assigned(quota=0, write=False, manage=False)
    return Assigned(quota=0, write=now.write, manage=now.manage) if now.assigned is UNSET else now.assigned


def _said(one: Assigned) -> str:
    quota = size(one.quota) if one.quota else "none"
    return f"quota {quota}, write {'yes' if one.write else 'no'}, manage {'yes' if one.manage else 'no'}"


@pool.command()
@POOL
@OF
@changing
def revoke(pool: int, group: int) -> None:
    """Remove the assignment of POOL to GROUP and its subgroups; their media remain."""
    client = connection.connect()
    client.revoke_pool(mpid=pool, gid=group)
    done(f"took pool {seen.pool_label(client, pool)} away from {where.path(client, group)}")
