"""Finds users, pools, VMs, media and tasks by what a person types: a name or an id (`naming`).

An id needs no group. A name is looked up in the group of --group; without it, in the default group, then in all that
the caller sees.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, TypeVar
from uuid import UUID

import click
from click.shell_completion import CompletionItem

from velocity.cli import hints, naming, seen, where
from velocity.cli.naming import PREFIX, Named
from velocity.cli.output import AmbiguousName, NameNotFound
from velocity.cli.words import clean, program
from velocity.client import ApiError, Client
from velocity.contract.permissions import Permission

if TYPE_CHECKING:
    from velocity.contract.events import InitialState

Id = TypeVar("Id", int, UUID)


@dataclass(frozen=True)
class Found(Generic[Id]):
    """A VM or medium. `gid` is None if it was given by id; `label` is its description in messages."""

    id: Id
    gid: int | None
    label: str
    name: str


@dataclass(frozen=True)
class NamedKind(Generic[Id]):
    """A kind of named object. `of` lists (name, id) in a group, `every` (gid, name, id) of all that the caller sees."""

    noun: str
    list: str
    read: naming.Read[Id]
    of: Callable[[Client, int], Iterable[tuple[str, Id]]]
    every: Callable[[InitialState], Iterable[tuple[int, str, Id]]]


VM: NamedKind[int] = NamedKind(
    "VM",
    "vm list",
    naming.number,
    lambda client, gid: [(one.name, one.vmid) for one in client.list_vms(gid=gid).vms],
    lambda state: [(one.gid, one.name, one.vmid) for one in state.vms],
)
MEDIUM: NamedKind[UUID] = NamedKind(
    "medium",
    "media list",
    naming.uuid,
    lambda client, gid: seen.in_group(client.list_media(gid=gid)),
    lambda state: [(one.gid, one.name, one.mid) for one in state.media],
)


def uid(client: Client, word: str) -> int:
    """The user that is meant. Oneself is known without velocity.user.list."""
    me = client.show_user()
    known = {me.uid: me.name}
    if me.name != word or naming.number(word) is not None:
        try:
            known |= seen.users(client)
        except ApiError:
            if naming.number(word) is None:
                raise
    found = _pick("user", word, known)
    if found is None:
        near = hints.meant(word, known.values())
        raise NameNotFound(f"there is no user {clean(word)!r}{near}: `{program()} user list`")
    if found in known:
        seen.met()[found] = known[found]
    return found


def _pick(noun: str, word: str, known: dict[int, str]) -> int | None:
    """The id that is meant, of `known` (id -> name); None if the word is neither name nor id."""
    named = [Named(one, clean(name)) for one, name in known.items() if name == word]
    return naming.choose(noun, word, named, known, naming.number)


def mpid(client: Client, word: str) -> int:
    """The pool that is meant."""
    return _one_of("pool", "pool list", word, seen.pools(client))


def _one_of(noun: str, listing: str, word: str, known: dict[int, str]) -> int:
    found = _pick(noun, word, known)
    if found is None:
        near = hints.meant(word, known.values())
        raise NameNotFound(f"you see no {noun} named {clean(word)!r}{near}: `{program()} {listing}` lists the {noun}s")
    return found


def tid(client: Client, word: str) -> int:
    """The task that is meant: by the name of what it makes, or by its id."""
    found = _pick("task", word, seen.tasks(client))
    if found is None:
        raise NameNotFound(f"you see no task that makes {clean(word)!r}: `{program()} task list` lists them")
    return found


def nicid(client: Client, word: str) -> int | None:
    """The host NIC that is meant; None if the word is neither identifier nor id. Who may not list them uses ids."""
    known: dict[int, str] = {}
    with contextlib.suppress(ApiError):
        known = {one.nicid: one.identifier for one in client.list_nics().host_nics}
    return _pick("host NIC", word, known)


def host(client: Client, word: str) -> int:
    """The host that is meant."""
    return _one_of("host", "node list", word, seen.hosts(client))


USER = naming.NumberedType("user", uid, seen.users)
POOL = naming.NumberedType("pool", mpid, seen.pools)
TASK = naming.NumberedType("task", tid, seen.tasks)
HOST = naming.NumberedType("host", host, seen.hosts)


def permission(word: str) -> str:
    """A permission's full name, from a short form such as `vm.view` or its id."""
    pid = naming.explicit("permission", word, naming.number) or naming.number(word)
    if pid is not None and 0 < pid <= len(Permission):
        return str(list(Permission)[pid - 1].value)
    return word if word.startswith("velocity.") else f"velocity.{word}"


def vm(client: Client, group: int | None, word: str) -> Found[int]:
    """The VM that is meant."""
    return _find(VM, client, group, [word])


def vmid(client: Client, group: int | None, word: str) -> int:
    return vm(client, group, word).id


def medium(client: Client, group: int | None, *words: str, beyond: bool = False) -> Found[UUID]:
    """The medium that one of the words means; if none is a name, the last one as an id.

    `beyond`: it may be in another group than the named one.
    """
    return _find(MEDIUM, client, group, words, beyond=beyond)


def _find(
    kind: NamedKind[Id], client: Client, group: int | None, words: Sequence[str], *, beyond: bool = False
) -> Found[Id]:
    word = words[-1]
    one = naming.explicit(kind.noun, word, kind.read)
    if one is not None:
        return Found(one, None, clean(word), str(one))
    beyond = beyond or group is None
    places = where.own(client) if group is None else [group]
    refused: ApiError | None = None
    found: list[tuple[int, str, Id]] = []
    if len(places) == 1:
        try:
            found = [(places[0], name, one) for name, one in kind.of(client, places[0]) if name in words]
        except ApiError as error:
            if not beyond:
                raise
            refused = error  # it may be visible elsewhere
    as_id = kind.read(word)
    every = list(kind.every(seen.everything(client))) if as_id is not None or (beyond and not found) else []
    if not found and beyond:
        found = [one for one in every if one[1] in words]
    if as_id is not None:
        holder = next((one for one in every if one[2] == as_id and (beyond or one[0] == group)), None)
        _check_one_meaning(kind, word, found, holder)
        if not found:
            return Found(as_id, None, clean(word), word)
    if found:
        return _only(kind, client, found, places)
    if refused is not None:
        raise refused
    if beyond:
        raise NameNotFound(f"you see no {kind.noun} named {clean(word)!r}: `{program()} {kind.list}` lists them")
    raise NameNotFound(
        f"{where.path(client, places[0])} has no {kind.noun} named {clean(word)!r}: see "
        f"`{program()} {kind.list}{where.option(client, group)}`"
    )


def _check_one_meaning(
    kind: NamedKind[Id], word: str, found: list[tuple[int, str, Id]], holder: tuple[int, str, Id] | None
) -> None:
    named = [Named(one, clean(name)) for _, name, one in found]
    naming.check_one_meaning(kind.noun, word, named, holder and Named(holder[2], clean(holder[1])))


def _only(kind: NamedKind[Id], client: Client, found: list[tuple[int, str, Id]], places: list[int]) -> Found[Id]:
    """The only one found. Raises `AmbiguousName` if there are several."""
    gids = sorted({gid for gid, _, _ in found})
    gid, name, one = found[0]
    if len(found) == 1:
        elsewhere = "" if gids == places else f" in {where.path(client, gid)}"
        return Found(one, gid, f"{clean(name)}{elsewhere}", name)
    ids = ", ".join(f"{PREFIX}{one}" for _, _, one in found)
    names = " and ".join(sorted({repr(clean(name)) for _, name, _ in found}))
    if len(gids) > 1:
        choices = ", ".join(where.path(client, gid) for gid in gids)
        raise AmbiguousName(
            f"{choices} each have a {kind.noun} named {names}: choose one with --group, or by its id ({ids})"
        )
    raise AmbiguousName(f"{where.path(client, gid)} has several named {names}: choose one by its id ({ids})")


def complete_vms(context: click.Context, _parameter: click.Parameter, begun: str) -> list[CompletionItem]:
    return _complete(VM, context, begun)


def complete_media(context: click.Context, _parameter: click.Parameter, begun: str) -> list[CompletionItem]:
    return _complete(MEDIUM, context, begun)


def complete_permissions(_context: click.Context, _parameter: click.Parameter, begun: str) -> list[CompletionItem]:
    if begun.startswith(PREFIX):
        return [CompletionItem(f"{PREFIX}{one.pid}", help=one.value) for one in Permission]
    return [CompletionItem(one.value) for one in Permission if one.value.startswith(permission(begun))]


def _complete(kind: NamedKind[Id], context: click.Context, begun: str) -> list[CompletionItem]:
    """The names in the given group; of everything visible if none is given."""
    gid = context.params.get("group")

    def words(client: Client) -> dict[str, str]:
        if gid is not None:
            return naming.offered(begun, kind.of(client, gid), kind.read)
        return naming.offered(begun, ((name, one) for _, name, one in kind.every(seen.everything(client))), kind.read)

    return naming.completing(context, begun, words)
