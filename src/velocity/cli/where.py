"""The group: the option --group of all commands, the argument GROUP, and the default."""

from __future__ import annotations

import contextlib
import functools
import shlex
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, TypeVar

import click

from velocity.cli import connection, hints, naming
from velocity.cli.naming import Named
from velocity.cli.output import AmbiguousName, NameNotFound, NoPermissions
from velocity.cli.words import clean, program
from velocity.client import ApiError, Client, ClientError
from velocity.contract import names

if TYPE_CHECKING:
    from velocity.contract.groups import GroupSummary
    from velocity.contract.operation import Operation
    from velocity.contract.permissions import Permission

Function = TypeVar("Function", bound=Callable[..., Any])
SEEN = "velocity.groups"
ROOT = 0


def _grouped(command: Function) -> Function:
    """Adds the option --group. If the default group lacks a permission, the error suggests groups that have it."""

    @functools.wraps(command)
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        try:
            return command(*args, **kwargs)
        except ApiError as error:
            with contextlib.suppress(ClientError):
                for hint in _elsewhere(error):
                    error.add_note(hint)
            raise

    return click.option(
        "--group",
        type=TYPE,
        metavar="GROUP",
        help="The group: path, name or id. Default: / if you have permissions there, else the one group that you are "
        "in.",
    )(wrapped)  # type: ignore[return-value]


GROUP = _grouped


def _elsewhere(error: ApiError) -> Iterator[str]:
    """A hint for callers who lack a permission on the group, and have it on others."""
    from velocity.contract.registry import OPERATIONS

    wanted = {one.value for operation in OPERATIONS if (one := _refuses(operation, error.code))}
    if not wanted:
        return
    client = connection.connect()
    found = [gid for gid, one in seen(client).items() if wanted & {held.name for held in one.permissions}]
    words = sorted(shlex.quote(word(client, gid)) for gid in found)
    if len(words) == 1:
        yield f"choose your group with --group {words[0]}"
    elif words:
        yield f"choose one of your groups with --group: {', '.join(words)}"


def _refuses(operation: Operation[Any, Any], code: int) -> Permission | None:
    """The permission on the group that the operation refuses for want of, if this is its error number."""
    from velocity.contract.operation import Holds, On
    from velocity.contract.problems import Problem

    refusal, needs = operation.by_problem.get(Problem.NO_PERMISSION), operation.needs
    if refusal is None or refusal.code != code or not isinstance(needs, Holds) or needs.on is not On.GROUP:
        return None
    return needs.permission


def seen(client: Client) -> Mapping[int, GroupSummary]:
    """The visible groups; requested once in a command."""
    meta = click.get_current_context().meta
    if SEEN not in meta:
        meta[SEEN] = {one.gid: one for one in client.list_groups().groups}
    found: Mapping[int, GroupSummary] = meta[SEEN]
    return found


def line(groups: Mapping[int, GroupSummary], gid: int) -> list[GroupSummary]:
    """A group and its ancestors, the root last."""
    found = [groups[gid]]
    while found[-1].gid != ROOT and found[-1].parent_gid in groups:
        found.append(groups[found[-1].parent_gid])
    return found


def paths(client: Client) -> dict[int, str]:
    """The visible groups: gid -> path, from names below the root."""
    groups = seen(client)
    return {
        gid: names.path(one.name for one in reversed(line(groups, gid)) if one.gid != ROOT) or "/" for gid in groups
    }


def path(client: Client, gid: int) -> str:
    """The path of a group for people, or its id if the caller cannot see it."""
    return "/" if gid == ROOT else clean(paths(client).get(gid, f"group {gid}"))


def own(client: Client) -> list[int]:
    """The topmost groups where the caller holds something directly; for holders on the root, the root alone.

    Root needs no request for this; for others, the groups are requested once in a command.
    """
    if connection.as_root(client):
        return [ROOT]
    groups = seen(client)
    held = {gid for gid, one in groups.items() if one.permissions}
    return [gid for gid in sorted(held) if not any(above.gid in held for above in line(groups, gid)[1:])]


def here(client: Client, named: int | None, by: str = "--group") -> int:
    """The group that is meant; `by` is the option that would name it.

    Raises `AmbiguousName` for members of several groups, `NoPermissions` for members of none.
    """
    if named is not None:
        return named
    found = own(client)
    if len(found) == 1:
        return found[0]
    if not found:
        raise NoPermissions("you have no permissions on any group yet: ask an administrator for some")
    groups = ", ".join(path(client, one) for one in found)
    raise AmbiguousName(f"you are in several groups ({groups}): choose one with {by}")


def option(client: Client, named: int | None) -> str:
    """The option that makes a hint mean the same group; empty if none was given."""
    return "" if named is None else f" --group {shlex.quote(word(client, named))}"


def word(client: Client, gid: int) -> str:
    """What a person would type for this group: its path if that is unambiguous, otherwise its id."""
    known = paths(client)
    typed = known.get(gid, str(gid))
    if len(_named(client, typed)) > 1:
        return f"{naming.PREFIX}{gid}"
    return naming.unique(clean(typed), gid, naming.number, known)


def gid(client: Client, word: str) -> int:
    """The group that is meant: by path, name or id."""
    known = paths(client)
    named = [Named(one, clean(known[one])) for one in _named(client, word)]
    found = naming.choose("group", word, named, known, naming.number)
    if found is None:
        near = hints.meant(word.strip("/"), [*known.values(), *(one.name for one in seen(client).values())])
        raise NameNotFound(f"you see no group named {clean(word)!r}{near}: see `{program()} group list`")
    return found


def _named(client: Client, word: str) -> list[int]:
    """The groups with this path, and a group whose name looks like it (`a/b`); otherwise those with this name."""
    known, groups = paths(client), seen(client)
    wanted = word if word in known.values() else word.strip("/") or "/"
    by_path = [one for one, path in known.items() if path == wanted]
    if wanted == "/":
        return by_path
    by_name = [one for one, group in groups.items() if group.name == wanted and one not in by_path and one != ROOT]
    return by_path + by_name if "/" in wanted or not by_path else by_path


TYPE = naming.NumberedType("group", gid, paths)
