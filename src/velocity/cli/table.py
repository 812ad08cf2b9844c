"""Tables that fit the terminal."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterable, Sequence

import click

from velocity.cli.words import clean, isolated

FREE = frozenset(
    {
        "NAME",
        "GROUP",
        "CONTENT",
        "YOUR PERMISSIONS",
        "PERMISSIONS",
        "WHO",
        "FROM",
        "WHAT",
        "TO",
        "OUTCOME",
        "MESSAGE",
        "WITH",
    }
    | {"DESCRIPTION", "DISPLAY", "LINE"}
)
"""Columns of words, which may be cut short; ids, times and amounts never are."""
LEAST, COMFORT = 12, 24
"""What stays of such a column; and how much of each is worth more than the columns that can be spared."""
GAP = "  "


def table(
    headings: Sequence[str],
    rows: Iterable[Sequence[object]],
    empty: str,
    spare: Sequence[str] = (),
    *,
    headed: bool = True,
) -> None:
    """A table on stdout, `headed` by its columns' names; `empty` is said on stderr when there is nothing.

    What does not fit into a terminal is cut short; then columns are left out, those of `spare` first and then from the
    right, and named on stderr. Into a pipe or a file goes the whole.
    """
    lines = [[clean(cell) for cell in row] for row in rows]
    if not lines:
        click.echo(empty, err=True)
        return
    lines = [list(headings), *lines] if headed else lines
    widths = [max(cells(line[column]) for line in lines) for column in range(len(headings))]
    terminal = sys.stdout.isatty()
    shown = list(range(len(headings)))
    if terminal:
        shown, widths = fitted(headings, widths, spare, shutil.get_terminal_size().columns)
    for number, line in enumerate(lines):
        parts = [_padded(line[column], widths[column], terminal) for column in shown]
        click.secho(GAP.join(parts).rstrip(), bold=headed and number == 0)
    if len(shown) < len(headings):
        left = ", ".join(one for column, one in enumerate(headings) if column not in shown)
        click.echo(f"not shown: {left} (the terminal is narrow; pipes and --json have all)", err=True)


def fitted(
    headings: Sequence[str], widths: Sequence[int], spare: Sequence[str], room: int
) -> tuple[list[int], list[int]]:
    """The columns that are shown in so many cells, and how wide each one is."""
    shown = list(range(len(headings)))
    columns = list(zip(headings, widths, strict=True))
    least, comfort = (
        [min(width, max(kept, cells(one))) if one in FREE else width for one, width in columns]
        for kept in (LEAST, COMFORT)
    )
    for one in map(headings.index, spare):
        if _sum(comfort, shown) > room:
            shown.remove(one)
    while len(shown) > 1 and _sum(least, shown) > room:
        shown.pop()
    fit = list(widths)
    while _sum(fit, shown) > room:
        widest = max(shown, key=lambda one: fit[one] - least[one])
        if fit[widest] <= least[widest]:
            break  # a single column that is wider than the terminal
        fit[widest] -= 1
    return shown, fit


def _sum(widths: Sequence[int], shown: Sequence[int]) -> int:
    return sum(widths[one] for one in shown) + len(GAP) * (len(shown) - 1)


def _padded(cell: str, width: int, terminal: bool) -> str:
    text = cut(cell, width) if terminal else cell
    space = " " * (width - cells(text))
    return (isolated(text) if terminal else text) + space


def cut(text: str, width: int) -> str:
    """What fits into so many cells; that something is missing is shown by its last one."""
    if cells(text) <= width:
        return text
    kept = ""
    for one in text:
        if cells(kept + one) > width - 1:
            break
        kept += one
    return f"{kept}…"


def cells(text: str) -> int:
    """The columns of a terminal that it takes: wide characters two, and those that join others none."""
    if text.isascii():
        return len(text)
    from rich.cells import cell_len

    return cell_len(text)
