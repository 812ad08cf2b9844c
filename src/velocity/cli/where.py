"""The group: the option --group of every command, the argument GROUP, and the default."""

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
    """The option --group. A refusal on the group that was meant is told with those that would do."""

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
        help="The group: path, name or id. Absent: / if you have permissions there, else the one group that you are "
        "in.",
    )(wrapped)  # type: ignore[return-value]


GROUP = _grouped


def _elsewhere(error: ApiError) -> Iterator[str]:
    """What helps who lacks a permission on the group that was meant, and holds it on others."""
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
    """The permission that is missing on the group that the operation names, if that is what its code says."""
    from velocity.contract.operation import Holds, On
    from velocity.contract.problems import Problem

    refusal, needs = operation.by_problem.get(Problem.NO_PERMISSION), operation.needs
    if refusal is None or refusal.code != code or not isinstance(needs, Holds) or needs.on is not On.GROUP:
        return None
    return needs.permission


def seen(client: Client) -> Mapping[int, GroupSummary]:
    """The groups that the caller sees; a command asks for them once."""
    meta = click.get_current_context().meta
    if SEEN not in meta:
        meta[SEEN] = {one.gid: one for one in client.list_groups().groups}
    found: Mapping[int, GroupSummary] = meta[SEEN]
    return found


def line(groups: Mapping[int, GroupSummary], gid: int) -> list[GroupSummary]:
    """A group and those above it, the root last."""
    found = [groups[gid]]
    while found[-1].gid != ROOT and found[-1].parent_gid in groups:
        found.append(groups[found[-1].parent_gid])
    return found


def paths(client: Client) -> dict[int, str]:
    """The groups that the caller sees, by their path of names from below the root group."""
    groups = seen(client)
    return {
        gid: names.path(one.name for one in reversed(line(groups, gid)) if one.gid != ROOT) or "/" for gid in groups
    }


def path(client: Client, gid: int) -> str:
    """For people: the path of a group, or its id where one does not see it."""
    return "/" if gid == ROOT else clean(paths(client).get(gid, f"group {gid}"))


def own(client: Client) -> list[int]:
    """The topmost groups where the caller holds something directly: the root alone for whoever holds something there.

    Nothing is asked for who is known to be root; for others the groups, which is never older than the command.
    """
    if connection.as_root(client):
        return [ROOT]
    groups = seen(client)
    held = {gid for gid, one in groups.items() if one.permissions}
    return [gid for gid in sorted(held) if not any(above.gid in held for above in line(groups, gid)[1:])]


def here(client: Client, named: int | None, by: str = "--group") -> int:
    """The group that is meant, where `by` is the option that would name it.

    Raises `Unclear` for who is in several, `Stranger` for who is in none.
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
    """What a hint needs behind its verb to mean the same group: nothing where none was named."""
    return "" if named is None else f" --group {shlex.quote(word(client, named))}"


def word(client: Client, gid: int) -> str:
    """What a person types to name that group: its path where that can mean nothing else, else its id."""
    known = paths(client)
    typed = known.get(gid, str(gid))
    if len(_named(client, typed)) > 1:
        return f"{naming.PREFIX}{gid}"
    return naming.unique(clean(typed), gid, naming.number, known)


def gid(client: Client, word: str) -> int:
    """The group that is meant: by its path, by its name, or by its id."""
    known = paths(client)
    named = [Named(one, clean(known[one])) for one in _named(client, word)]
    found = naming.choose("group", word, named, known, naming.number)
    if found is None:
        near = hints.meant(word.strip("/"), [*known.values(), *(one.name for one in seen(client).values())])
        raise NameNotFound(f"you see no group named {clean(word)!r}{near}: see `{program()} group list`")
    return found


def _named(client: Client, word: str) -> list[int]:
    """Those of that path, and one whose very name is written like it (`a/b`); else those of that name."""
    known, groups = paths(client), seen(client)
    wanted = word if word in known.values() else word.strip("/") or "/"
    by_path = [one for one, path in known.items() if path == wanted]
    if wanted == "/":
        return by_path
    by_name = [one for one, group in groups.items() if group.name == wanted and one not in by_path and one != ROOT]
    return by_path + by_name if "/" in wanted or not by_path else by_path


TYPE = naming.NumberedType("group", gid, paths)
