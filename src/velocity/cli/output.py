"""The output of commands: tables for people, the API's JSON for programs, errors with a cure."""

from __future__ import annotations

import contextlib
import functools
import math
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

import click
import msgspec
from msgspec import Struct, UnsetType

from velocity.cli.table import table as table
from velocity.cli.words import clean
from velocity.client import ApiError, ClientError, Unreachable, Untrusted
from velocity.contract.permissions import Permission
from velocity.sizes import duration, size

if TYPE_CHECKING:
    from velocity.contract.users import PermissionInfo

Function = TypeVar("Function", bound=Callable[..., Any])

SIGN_IN_CODES = frozenset({100, 1100, 1400, 1401})


class NameNotFound(click.ClickException):
    """No object has this name."""

    exit_code = 4

    def show(self, file: object = None) -> None:
        click.secho(f"velocity: {self.message}", fg="red", err=True)


class AmbiguousName(NameNotFound):
    """The word has several meanings; the user has to choose one."""

    exit_code = 2


class NoPermissions(NameNotFound):
    """The user has no permissions on any group."""

    exit_code = 3


class NoTerminal(NameNotFound):
    """A question cannot be asked, as there is no terminal."""

    exit_code = 2


def confirm(question: str, cure: str = "--yes answers it with yes") -> None:
    """Ask for confirmation. Raises `Abort` after a no, `NoTerminal` with the cure if nobody can answer."""
    with answerable(cure):
        agreed = click.confirm(question, err=True)
    if not agreed:
        click.echo("nothing was changed", err=True)
        raise click.Abort


@contextlib.contextmanager
def answerable(cure: str) -> Iterator[None]:
    """Within, a question is asked. Raises `NoTerminal` if standard input ends without an answer."""
    try:
        yield
    except click.Abort:
        if sys.stdin.isatty():
            raise
        click.echo(err=True)  # end the line of the question
        raise NoTerminal(f"there is no terminal to ask that question: {cure}") from None


def complain(error: Exception) -> int:
    """Report an error on stderr; returns the exit status."""
    if os.environ.get("VELOCITY_TRACEBACK"):
        raise error
    message = _words(error)
    click.secho(f"velocity: {message}", fg="red", err=True)
    for hint in getattr(error, "__notes__", ()):
        click.echo(hint, err=True)
    if isinstance(error, Unreachable):
        return 5
    if isinstance(error, Untrusted):
        return 6
    if isinstance(error, ApiError):
        if error.status == 404:
            return 4
        if error.code in SIGN_IN_CODES:
            click.echo("Sign in with: velocity login", err=True)
        return 3 if error.status in (401, 403) else 1
    return 1


def _words(error: Exception) -> str:
    match error:
        case ClientError():
            return clean(error)
        case UnicodeEncodeError(reason="surrogates not allowed"):
            return f"{clean(error.object[:200])!r} is not UTF-8 text: write it in UTF-8"
        case OSError(filename=str() | bytes() as name, strerror=str(why)):
            return f"{clean(os.fsdecode(name))}: {why}"
        case _:
            return f"{type(error).__name__}: {clean(error)}"


def as_json() -> bool:
    context = click.get_current_context(silent=True)
    return bool(context and context.find_root().obj and context.find_root().obj.get("json"))


def show_json(value: Any) -> None:
    """In UTF-8, whatever the terminal's encoding: RFC 8259, 8.1"""
    click.echo(msgspec.json.format(msgspec.json.encode(value), indent=2))


def planning() -> bool:
    """Whether `--plan` was given."""
    return "plans" in (click.get_current_context().find_root().obj or {})


def done(message: str) -> None:
    """Report success without a result: on stderr for people, an empty object for programs."""
    if planning():
        return
    click.echo(message, err=True)
    if as_json():
        show_json({})


def made(answer: Any, key: object, sentence: str) -> None:
    """Report a new object: its id on stdout for scripts, a sentence on stderr for people; or the API's JSON."""
    if as_json():
        show_json(answer)
        return
    click.echo(sentence, err=True)
    click.echo(key)


class SizeCell(int):
    """A cell that is shown as a size and sorted as a number."""

    def __str__(self) -> str:
        return size(self)


class UptimeCell(int):
    """A number of seconds that is shown as a duration and sorted as a number."""

    def __str__(self) -> str:
        return duration(self)


def warn(messages: Iterable[str | UnsetType]) -> None:
    """Print warnings on stderr."""
    for message in messages:
        if isinstance(message, str):
            click.secho(f"warning: {clean(message)}", fg="yellow", err=True)


Row = Callable[[Any], Sequence[object]]
SORT, MATCH, COLUMNS, HEADINGS = "velocity.sort", "velocity.match", "velocity.columns", "velocity.headings"
NEXT, MORE = "velocity.next", "velocity.more"
"""Keys for pages: whether it is not the first one, and the id to continue before."""


def listing(command: Function) -> Function:
    """Adds `--sort`, `--match`, `--columns` and so on to a command that lists; `listed` applies them."""

    @functools.wraps(command)
    def wrapped(
        *args: Any, sort: str | None, match: str | None, columns: str | None, no_headings: bool, **kwargs: Any
    ) -> Any:
        told = {SORT: sort, MATCH: match, COLUMNS: columns, HEADINGS: not no_headings}
        click.get_current_context().meta.update(told)
        return command(*args, **kwargs)

    wrapped = click.option("--no-headings", is_flag=True, help="Leave out the column names.")(wrapped)
    wrapped = click.option("--columns", metavar="COLUMN,...", help="Only these columns, in this order.")(wrapped)
    wrapped = click.option("--match", metavar="TEXT", help="Only lines that contain TEXT.")(wrapped)
    wrapped = click.option("--sort", metavar="COLUMN", help="Sort by this column.")(wrapped)
    return json_option(wrapped)  # type: ignore[return-value]


def listed(
    answer: Struct,
    field: str,
    headings: Sequence[str],
    row: Row,
    *,
    empty: str,
    noun: str,
    spare: Sequence[str] = (),
) -> None:
    """Print a list of the response, filtered by `--match` and sorted by `--sort`: a table, or the API's JSON.

    Filtering and sorting use the table's cells in both cases. `noun` is the singular; `spare`: see `table`.
    """
    chosen = click.get_current_context().meta
    match, sort, columns = chosen[MATCH], chosen[SORT], chosen[COLUMNS]
    shown = None if columns is None else [_column(headings, one, "--columns") for one in columns.split(",")]
    if as_json() and (shown is not None or not chosen[HEADINGS]):
        raise click.UsageError("--columns and --no-headings are for the table: leave them out, or --json")
    if as_json() and match is None and sort is None:
        show_json(answer)
        return
    every = getattr(answer, field)
    if NEXT in chosen:
        noun, empty = f"{noun} among these {len(every)}", "there are no more" if chosen[NEXT] else empty
    rows = _chosen(headings, [(one, row(one)) for one in every], match or "", sort)
    if as_json():
        show_json(msgspec.structs.replace(answer, **{field: [one for one, _ in rows]}))
    elif every and not rows:
        click.echo(f"no {noun} matches {clean(match)!r}", err=True)
    else:
        lines = [cells for _, cells in rows]
        if shown is not None:
            headings, spare = [headings[at] for at in shown], ()
            lines = [[cells[at] for at in shown] for cells in lines]
        table(headings, lines, empty, spare, headed=chosen[HEADINGS])
    if MORE in chosen:
        click.echo(f"there are more: continue with --before {chosen[MORE]}", err=True)


Rows = list[tuple[Any, Sequence[object]]]


def _chosen(headings: Sequence[str], rows: Rows, match: str, sort: str | None) -> Rows:
    if sort is not None:
        at = _column(headings, sort, "--sort")
        rows = sorted(rows, key=lambda one: _order(one[1][at]))
    return [one for one in rows if any(match.casefold() in clean(cell).casefold() for cell in one[1])]


def _column(headings: Sequence[str], name: str, option: str) -> int:
    """The index of a column. Raises `BadParameter`."""
    wanted = name.strip().upper()
    if wanted not in headings:
        columns = ", ".join(headings)
        raise click.BadParameter(f"there is no column {name!r}; the columns are: {columns}", param_hint=option)
    return list(headings).index(wanted)


def _order(cell: object) -> tuple[float, str]:
    """A sort key: numbers by value, before words."""
    return (cell, "") if isinstance(cell, int | float) else (math.inf, str(cell))


VIEW = ("user.view", "group.view", "pool.list", "media.list", "vm.view")
OPERATE = (*VIEW, "vm.state", "vm.interact")
MAKE = (*OPERATE, "vm.create", "vm.alter", "vm.remove", "media.create", "media.remove", "nic.list")
SETS: dict[str, frozenset[str]] = {
    "viewer": frozenset(f"velocity.{one}" for one in VIEW),
    "operator": frozenset(f"velocity.{one}" for one in OPERATE),
    "maker": frozenset(f"velocity.{one}" for one in MAKE),
    "admin": frozenset(permission.value for permission in Permission),
}
"""Names for common sets of permissions."""


def held(permissions: Iterable[PermissionInfo]) -> str:
    """The permissions in words: the name of a set if they are exactly that set."""
    names = [one.name for one in permissions]
    for name, members in SETS.items():
        if members == set(names):
            return name
    return ", ".join(name.removeprefix("velocity.") for name in names)


def json_option(command: Function) -> Function:
    """Adds `--json`, which is accepted before and after the verb."""

    @functools.wraps(command)
    def wrapped(*args: Any, as_json: bool, **kwargs: Any) -> Any:
        if as_json:
            click.get_current_context().find_root().obj["json"] = True
        return command(*args, **kwargs)

    return click.option("--json", "as_json", is_flag=True, help="Print the JSON of the API.")(wrapped)  # type: ignore[return-value]
