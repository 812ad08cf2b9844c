"""From what a person types to users, pools, VMs and media: verbs take names as well as ids.

An id needs no group. A name is looked for in the group that --group names; where none is named, in the one that is
meant then, and after that in all that the caller sees.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Generic, TypeVar
from uuid import UUID

import click
from click.shell_completion import CompletionItem

from velocity.cli import connection, hints, where
from velocity.cli.output import AmbiguousName, NameNotFound
from velocity.cli.words import clean, program
from velocity.client import ApiError, Client
from velocity.contract.events import InitialState
from velocity.contract.media import Media
from velocity.contract.permissions import Permission

Id = TypeVar("Id", int, UUID)
USERS, POOLS = "velocity.users", "velocity.pools"


@dataclass(frozen=True)
class Found(Generic[Id]):
    """A VM or a medium. `gid` is None where it was named by its id; `label` is what messages call it."""

    id: Id
    gid: int | None
    label: str


@dataclass(frozen=True)
class NamedKind(Generic[Id]):
    """What is named. `of` gives (name, id) of a group's, `every` (gid, name, id) of all that the caller sees."""

    noun: str
    list: str
    of: Callable[[Client, int], Iterable[tuple[str, Id]]]
    every: Callable[[InitialState], Iterable[tuple[int, str, Id]]]


VM: NamedKind[int] = NamedKind(
    "VM",
    "vm list",
    lambda client, gid: [(one.name, one.vmid) for one in client.list_vms(gid=gid).vms],
    lambda seen: [(one.gid, one.name, one.vmid) for one in seen.vms],
)
MEDIUM: NamedKind[UUID] = NamedKind(
    "medium",
    "media list",
    lambda client, gid: _media(client.list_media(gid=gid)),
    lambda seen: [(one.gid, one.name, one.mid) for one in seen.media],
)


def _media(listed: Media) -> list[tuple[str, UUID]]:
    """The group's own, and those of the groups above whose names it has not itself."""
    own = {one.name for one in listed.media}
    return [
        (one.name, one.mid) for one in [*listed.media, *(one for one in listed.shared or [] if one.name not in own)]
    ]


class UserType(click.ParamType[int]):
    """A user: the name, or the uid."""

    name = "user"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> int:
        word = str(value)
        if word.isdigit():
            return int(word)
        with connection.connect() as client:
            return uid(client, word)

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        return where.completing(ctx, incomplete, lambda client: [one.name for one in client.list_users().users])


def uid(client: Client, word: str) -> int:
    """The user of that name; oneself is known without velocity.user.list."""
    me = client.show_user()
    known = {me.name: me.uid}
    if word not in known:
        known |= {one.name: one.uid for one in client.list_users().users}
    if word not in known:
        raise NameNotFound(f"there is no user {clean(word)!r}{hints.meant(word, known)}: `{program()} user list`")
    _names()[known[word]] = word
    return known[word]


def who(client: Client, uid: int) -> str:
    """For people: the name of a user, or the id where one may not see it."""
    if uid not in _names():
        try:
            _names()[uid] = client.show_user(uid=uid).name
        except ApiError:
            return f"user {uid}"
    return clean(_names()[uid])


def _names() -> dict[int, str]:
    """The users that this command has met, by uid."""
    names: dict[int, str] = click.get_current_context().meta.setdefault(USERS, {})
    return names


class PoolType(click.ParamType[int]):
    """A media pool: the name, or the mpid."""

    name = "pool"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> int:
        word = str(value)
        if word.isdigit():
            return int(word)
        with connection.connect() as client:
            return mpid(client, word)

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        return where.completing(ctx, incomplete, lambda client: pools(client).values())


def pools(client: Client) -> dict[int, str]:
    """The names of the pools that the caller sees, by mpid; a command asks for them once."""
    meta = click.get_current_context().meta
    if POOLS not in meta:
        meta[POOLS] = {one.mpid: one.name for one in _everything(client).pools}
    found: dict[int, str] = meta[POOLS]
    return found


def mpid(client: Client, word: str) -> int:
    """The pool of that name."""
    found = [mpid for mpid, name in pools(client).items() if name == word]
    if not found:
        near = hints.meant(word, pools(client).values())
        raise NameNotFound(f"you see no pool named {clean(word)!r}{near}: `{program()} pool list` lists the pools")
    return found[0]


def pool_label(client: Client, mpid: int) -> str:
    """For people: the name of a pool, and its id."""
    name = pools(client).get(mpid)
    return str(mpid) if name is None else f"{clean(name)} ({mpid})"


def permission(word: str) -> str:
    """A permission's full name; `vm.view` will do."""
    return word if word.startswith("velocity.") else f"velocity.{word}"


def vm(client: Client, group: int | None, word: str) -> Found[int]:
    """The VM with that id, or of that name. In a group that is named, a name of digits comes before the id."""
    if not word.isdigit():
        return _find(VM, client, group, word)
    if group is not None and word in (name for name, _ in VM.of(client, group)):
        return _find(VM, client, group, word)
    return Found(int(word), None, word)


def vmid(client: Client, group: int | None, word: str) -> int:
    return vm(client, group, word).id


def medium(client: Client, group: int | None, word: str, *, beyond: bool = False) -> Found[UUID]:
    """The medium with that id, or of that name. `beyond`: it may be of another group than the one that is named."""
    try:
        return Found(UUID(word), None, word)
    except ValueError:
        return _find(MEDIUM, client, group, word, beyond=beyond)


def _find(kind: NamedKind[Id], client: Client, group: int | None, word: str, *, beyond: bool = False) -> Found[Id]:
    beyond = beyond or group is None
    places = where.own(client) if group is None else [group]
    refused: ApiError | None = None
    found: list[tuple[int, Id]] = []
    if len(places) == 1:
        try:
            found = [(places[0], one) for name, one in kind.of(client, places[0]) if name == word]
        except ApiError as error:
            if not beyond:
                raise
            refused = error  # it may yet be seen elsewhere
    if not found and beyond:
        found = [(gid, one) for gid, name, one in kind.every(_everything(client)) if name == word]
    gids = sorted({gid for gid, _ in found})
    if len(found) == 1:
        elsewhere = "" if gids == places else f" in {where.path(client, gids[0])}"
        return Found(found[0][1], gids[0], f"{clean(word)}{elsewhere}")
    if len(gids) > 1:
        choices = ", ".join(where.path(client, gid) for gid in gids)
        raise AmbiguousName(
            f"{choices} each have a {kind.noun} named {clean(word)!r}: choose one with --group, or by its id"
        )
    if found:
        raise AmbiguousName(f"{where.path(client, gids[0])} has several named {clean(word)!r}: choose one by its id")
    if refused is not None:
        raise refused
    if beyond:
        raise NameNotFound(f"you see no {kind.noun} named {clean(word)!r}: `{program()} {kind.list}` lists them")
    raise NameNotFound(
        f"{where.path(client, places[0])} has no {kind.noun} named {clean(word)!r}: see "
        f"`{program()} {kind.list}{where.option(client, group)}`"
    )


def _everything(client: Client) -> InitialState:
    """All that the caller sees, in one request."""
    stream = client.events()
    try:
        first = next(stream)
    finally:
        stream.close()
    assert isinstance(first, InitialState), "a stream begins with it"
    return first


def complete_vms(context: click.Context, _parameter: click.Parameter, begun: str) -> list[CompletionItem]:
    return _complete(VM, context, begun)


def complete_media(context: click.Context, _parameter: click.Parameter, begun: str) -> list[CompletionItem]:
    return _complete(MEDIUM, context, begun)


def complete_permissions(_context: click.Context, _parameter: click.Parameter, begun: str) -> list[CompletionItem]:
    return [CompletionItem(one.value) for one in Permission if one.value.startswith(permission(begun))]


def _complete(kind: NamedKind[Id], context: click.Context, begun: str) -> list[CompletionItem]:
    """The names in the group that is named; of all that the caller sees where none is."""
    gid = context.params.get("group")

    def names(client: Client) -> list[str]:
        if gid is not None:
            return [name for name, _ in kind.of(client, gid)]
        return [name for _, name, _ in kind.every(_everything(client))]

    return where.completing(context, begun, names)
