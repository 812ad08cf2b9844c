"""What the caller sees, requested once in a command where several ask, and what ids are called in messages."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING
from uuid import UUID

import click

from velocity.cli import where
from velocity.cli.words import clean
from velocity.client import ApiError, Client

if TYPE_CHECKING:
    from velocity.contract.events import InitialState
    from velocity.contract.media import Media

USERS, POOLS, HOSTS = "velocity.users", "velocity.pools", "velocity.hosts"


def everything(client: Client) -> InitialState:
    """Everything that the caller sees, in one request."""
    from velocity.contract.events import InitialState

    stream = client.events()
    try:
        first = next(stream)
    finally:
        stream.close()
    assert isinstance(first, InitialState), "a stream begins with it"
    return first


def users(client: Client) -> dict[int, str]:
    return {one.uid: one.name for one in client.list_users().users}


def pools(client: Client) -> dict[int, str]:
    """The visible pools, mpid -> name; requested once in a command."""
    return _once(POOLS, lambda: {one.mpid: one.name for one in everything(client).pools})


def hosts(client: Client) -> dict[int, str]:
    """The visible hosts, id -> name; requested once in a command."""
    return _once(HOSTS, lambda: _hosts(client))


def _hosts(client: Client) -> dict[int, str]:
    with contextlib.suppress(ApiError):
        if found := client.show_host().hosts:
            return {one.id: one.name for one in found}
    with contextlib.suppress(ApiError):  # there is only one host, or the caller may not see it
        return {one.host: one.name for one in client.list_nodes().nodes}
    return {}


def tasks(client: Client) -> dict[int, str]:
    return {one.tid: one.name for one in everything(client).tasks}


def in_group(listed: Media) -> list[tuple[str, UUID]]:
    """The group's own media, and those of its ancestors with other names."""
    own = {one.name for one in listed.media}
    return [
        (one.name, one.mid) for one in [*listed.media, *(one for one in listed.shared or [] if one.name not in own)]
    ]


def _once(key: str, ask: Callable[[], dict[int, str]]) -> dict[int, str]:
    """A cache for the running command."""
    meta = click.get_current_context().meta
    if key not in meta:
        meta[key] = ask()
    found: dict[int, str] = meta[key]
    return found


# What ids are called


def who(client: Client, uid: int) -> str:
    """A user's name, or the id if the caller may not see the name."""
    if uid not in met():
        try:
            met()[uid] = client.show_user(uid=uid).name
        except ApiError:
            return f"user {uid}"
    return clean(met()[uid])


def met() -> dict[int, str]:
    """The users that this command has met, by uid."""
    names: dict[int, str] = click.get_current_context().meta.setdefault(USERS, {})
    return names


def pool_label(client: Client, mpid: int) -> str:
    """A pool's name and id."""
    return _label(mpid, pools(client))


def host_label(client: Client, host: int) -> str:
    """A host's name and id."""
    return _label(host, hosts(client))


def _label(one: int, known: dict[int, str]) -> str:
    name = known.get(one)
    return str(one) if name is None else f"{clean(name)} ({one})"


def media_names(client: Client, gid: int, mids: Sequence[UUID]) -> Callable[[UUID], str]:
    """Names for the media of a VM in that group: name and id, or the id if the caller sees no more."""
    known: dict[UUID, str] = {}
    if mids:
        with contextlib.suppress(ApiError):
            known |= {one: name for name, one in in_group(client.list_media(gid=gid))}
    if not known.keys() >= set(mids):
        known |= {
            one.mid: f"{one.name} in {where.path(client, one.gid)}"
            for one in everything(client).media
            if one.mid not in known
        }
    return lambda mid: f"{clean(known[mid])} ({mid})" if mid in known else str(mid)


def media(client: Client) -> dict[UUID, str]:
    """The names of all visible media."""
    return {one.mid: one.name for one in everything(client).media}


def isos(client: Client) -> dict[UUID, str]:
    """The names of all visible ISOs."""
    return {one.mid: one.name for one in everything(client).media if one.type.upper() == "ISO"}


def vms(client: Client) -> dict[int, str]:
    """The names of all visible VMs."""
    return {one.vmid: one.name for one in everything(client).vms}


def of_history(client: Client) -> dict[str, str]:
    """The names of all visible objects, by ids as the history writes them: `vmid=7`."""
    seen = everything(client)
    return (
        {f"vmid={one.vmid}": f"VM {one.name}" for one in seen.vms}
        | {f"mid={one.mid}": f"medium {one.name}" for one in seen.media}
        | {f"gid={gid}": path if gid == where.ROOT else f"group {path}" for gid, path in where.paths(client).items()}
        | {f"mpid={one.mpid}": f"pool {one.name}" for one in seen.pools}
        | {f"uid={one.uid}": f"user {one.name}" for one in seen.users or []}
    )
