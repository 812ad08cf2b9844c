"""`velocity pool show`: a pool on each of its hosts, and what a group may do in it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import click
from msgspec import UNSET, Struct

from velocity.cli import connection, resolve, seen, where
from velocity.cli.facts import show_facts
from velocity.cli.output import NameNotFound, as_json, json_option, show_json, table, warn
from velocity.cli.where import GROUP
from velocity.cli.words import clean
from velocity.client import ApiError, Client
from velocity.contract.hosts import HostPool
from velocity.contract.pools import PoolInfo
from velocity.sizes import size

ROOT = 0


class PoolOnHost(Struct, frozen=True, omit_defaults=True):
    """A pool on a host; sizes are in bytes, 0 if it is away. `declared`: the size that its media may grow to."""

    host: str
    state: str
    size: int = 0
    free: int = 0
    declared: int = 0
    allocated: int = 0
    message: str = ""


class ShownPool(Struct, frozen=True, omit_defaults=True):
    """`media`: how many the group has in it; `given_by`: the group whose assignment applies."""

    pool: PoolInfo
    hosts: Sequence[PoolOnHost]
    media: int | None = None
    given_by: str = ""


@click.command()
@click.argument("pool", metavar="POOL", type=resolve.POOL)
@GROUP
@json_option
def show(pool: int, group: int | None) -> None:
    """Show POOL: its state on each host, its space and media, and what a group may do there."""
    client = connection.connect()
    gid = where.here(client, group)
    use = _use(client, gid, pool)
    if use is None:
        label, path = seen.pool_label(client, pool), where.path(client, gid)
        raise NameNotFound(f"pool {label} is not available to {path}: ask an administrator of that group for it")
    shown = ShownPool(use, list(_on_hosts(client, use)), _media(client, gid, pool), _given_by(client, gid, use))
    if as_json():
        show_json(shown)
        return
    show_facts(_facts(client, gid, shown))
    if len(shown.hosts) > 1:
        click.echo()
        rows = [(one.host, one.state, _size(one.size), _size(one.free)) for one in shown.hosts]
        table(("HOST", "STATE", "SIZE", "FREE"), rows, "")
    told = [one.message for one in shown.hosts if one.message]
    warn(told or [use.message])


def _use(client: Client, gid: int, mpid: int) -> PoolInfo | None:
    return next((one for one in client.list_pools(gid=gid).pools if one.mpid == mpid), None)


def _on_hosts(client: Client, use: PoolInfo) -> Iterator[PoolOnHost]:
    """The pool on each host that declares it, for those who may see hosts."""
    try:
        own = client.show_host()
    except ApiError:
        return
    if own.hosts is UNSET:
        yield from (_on(own.name, one) for one in own.pools if one.mpid == use.mpid)
        return
    declare = {one.id for one in (use.hosts or [use.host] if use.host else use.hosts or [])}
    for host in own.hosts:
        try:
            pools = client.show_host(host=host.id).pools
        except ApiError:
            if host.id in declare:
                words = f"host {clean(host.name)} does not respond: `velocity node show {clean(host.name)}` says why"
                yield PoolOnHost(host.name, "unknown", message=words)
        else:
            yield from (_on(host.name, one) for one in pools if one.mpid == use.mpid)


def _on(host: str, one: HostPool) -> PoolOnHost:
    return PoolOnHost(host, one.state, one.size, one.free, one.declared, one.allocated, one.message or "")


def _media(client: Client, gid: int, mpid: int) -> int | None:
    try:
        return sum(one.mpid == mpid for one in client.list_media(gid=gid).media)
    except ApiError:
        return None


def _given_by(client: Client, gid: int, use: PoolInfo) -> str:
    """The group whose assignment applies; empty if the caller cannot see it."""
    if use.assigned is not UNSET or gid == ROOT:
        return where.path(client, gid)
    for above in where.line(where.seen(client), gid)[1:]:
        try:
            found = _use(client, above.gid, use.mpid)
        except ApiError:
            continue
        if found is not None and (found.assigned is not UNSET or above.gid == ROOT):
            return where.path(client, above.gid)
    return ""


def _facts(client: Client, gid: int, shown: ShownPool) -> Iterator[tuple[str, object]]:
    use, shared = shown.pool, shown.pool.hosts is not UNSET
    yield "name", f"{use.name} (id:{use.mpid}){', shared by hosts' if shared else ''}"
    yield "state", use.state
    if len(shown.hosts) == 1:
        yield "host", shown.hosts[0].host
    there = next((one for one in shown.hosts if one.size), None)
    yield "space", f"{size(use.free)} free" + (f" of {size(there.size)}" if there else "")
    if there:
        yield "used", f"{size(there.allocated)} on the disk; its media may grow to {size(there.declared)}"
    path = where.path(client, gid)
    media = "" if shown.media is None else f"{shown.media} of {path}, "
    yield "media", f"{media}{size(use.used)} with those of the groups below"
    rights = [word for word, has in (("write", use.write), ("manage", use.manage)) if has]
    by = f", given by {shown.given_by}" if shown.given_by else ", given by a group above"
    yield "rights", (" and ".join(rights) or "read") + by
    left = f", {size(use.left)} of it left" if isinstance(use.left, int) else ""
    yield "quota", f"{size(use.quota)}{left}" if use.quota else f"none of its own{left.replace(' of it', '')}"
    yield "page", f"{client.server}/groups/{gid}"


def _size(count: int) -> str:
    return size(count) if count else "-"
