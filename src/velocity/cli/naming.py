"""How words name objects: a bare word is a name first, then an id; `id:7` is always an id.

A word that is the name of one object and the id of another is refused, naming both.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar
from uuid import UUID

import click
from click.shell_completion import CompletionItem

from velocity.cli import connection
from velocity.cli.output import AmbiguousName
from velocity.cli.words import clean
from velocity.client import Client, ClientError

Id = TypeVar("Id", int, UUID)
Read = Callable[[str], Id | None]
"""Parses an id; None if the text is none."""
PREFIX = "id:"
FORMS = {"medium": "a UUID", "upload": "a UUID"}


@dataclass(frozen=True)
class Named(Generic[Id]):
    """An object that a word may mean; `label` is its description in messages."""

    id: Id
    label: str


def number(word: str) -> int | None:
    """An id of a user, group, pool, VM or task, without sign or leading zeros."""
    one = int(word) if re.fullmatch(r"0|[1-9][0-9]{0,18}", word) else None
    return one if one is not None and one < 1 << 63 else None


def uuid(word: str) -> UUID | None:
    """An id of a medium."""
    try:
        return UUID(word)
    except ValueError:
        return None


def explicit(noun: str, word: str, read: Read[Id]) -> Id | None:
    """The id in `id:7`; None for a bare word. Raises `BadParameter` if it is not an id."""
    if not word.startswith(PREFIX):
        return None
    one = read(word.removeprefix(PREFIX))
    if one is None:
        form = FORMS.get(noun, "a number")
        raise click.BadParameter(f"{clean(word)!r}: the id of a {noun} is {form}, as in `{PREFIX}...` of its listing")
    return one


def check_one_meaning(noun: str, word: str, named: Sequence[Named[Id]], holder: Named[Id] | None) -> None:
    """Raises `AmbiguousName` if `word` is the name of `named`, and the id of another object, `holder`."""
    if holder is None or not named or any(one.id == holder.id for one in named):
        return
    raise AmbiguousName(
        f"{clean(word)!r} is the name of one {noun} ({', '.join(f'{PREFIX}{one.id}' for one in named)}) and the id of "
        f"another ({holder.label}): write {PREFIX}{named[0].id} for the one of that name, or {PREFIX}{holder.id} for "
        "the other"
    )


def choose(noun: str, word: str, named: Sequence[Named[Id]], known: Mapping[Id, str], read: Read[Id]) -> Id | None:
    """The id that a word means: `named` have that name, and `known` are the visible objects, by id. None: there is
    none.

    An id need not be among the known ones. Raises `AmbiguousName`.
    """
    one = explicit(noun, word, read)
    if one is not None:
        return one
    one = read(word)
    holder = Named(one, clean(known[one])) if one is not None and one in known else None
    check_one_meaning(noun, word, named, holder)
    if len(named) > 1:
        choices = ", ".join(f"{PREFIX}{one.id} {one.label}" for one in named)
        raise AmbiguousName(f"several {noun}s are named {clean(word)!r}: choose one by its id ({choices})")
    return named[0].id if named else one


def unique(name: str, one: Id, read: Read[Id], ids: Container[Id]) -> str:
    """A word for this object: its name, or its id if the name could be taken for one of `ids`."""
    other = read(name)
    if name.startswith(PREFIX) or (other is not None and other != one and other in ids):
        return f"{PREFIX}{one}"
    return name


def offered(begun: str, named: Iterable[tuple[str, Id]], read: Read[Id]) -> dict[str, str]:
    """Completions of a begun word -> the names that they stand for."""
    pairs = list(named)
    if begun.startswith(PREFIX):
        return {f"{PREFIX}{one}": name for name, one in pairs}
    ids = {one for _, one in pairs}
    return {unique(name, one, read, ids): name for name, one in pairs}


def completing(context: click.Context, begun: str, ask: Callable[[Client], dict[str, str]]) -> list[CompletionItem]:
    """Completions from the server, sorted; none if it does not respond."""
    try:
        with context:
            found = ask(connection.connect())
    except (ClientError, click.ClickException, OSError):
        return []
    fits = {word for word, name in found.items() if word.startswith(begun) or name.startswith(begun)}
    return [CompletionItem(word, help=found[word] if found[word] != word else None) for word in sorted(fits)]


class NumberedType(click.ParamType[int]):
    """An argument for an object with a numeric id: `find` resolves a word, `names` lists the visible objects."""

    def __init__(
        self, noun: str, find: Callable[[Client, str], int], names: Callable[[Client], Mapping[int, str]]
    ) -> None:
        self.name = noun
        self._find = find
        self._names = names

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> int:
        if isinstance(value, int):
            return value
        one = explicit(self.name, str(value), number)
        if one is not None:
            return one
        with connection.connect() as client:
            return self._find(client, str(value))

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        def words(client: Client) -> dict[str, str]:
            return offered(incomplete, ((name, one) for one, name in self._names(client).items()), number)

        return completing(ctx, incomplete, words)
