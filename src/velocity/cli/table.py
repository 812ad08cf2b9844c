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
"""Columns of words, which may be truncated; ids, times and amounts never are."""
LEAST, COMFORT = 12, 24
"""The least width of such a column, and the width that matters more than the columns that can be left out."""
GAP = "  "


def table(
    headings: Sequence[str],
    rows: Iterable[Sequence[object]],
    empty: str,
    spare: Sequence[str] = (),
    *,
    headed: bool = True,
) -> None:
    """Print a table on stdout, with column names if `headed`; `empty` is printed on stderr if there are no rows.

    On a terminal, cells are truncated, then columns left out (those in `spare` first, then from the right) and named on
    stderr. Pipes and files get everything.
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
    """The columns that fit, and their widths."""
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
            break  # a single column, wider than the terminal
        fit[widest] -= 1
    return shown, fit


def _sum(widths: Sequence[int], shown: Sequence[int]) -> int:
    return sum(widths[one] for one in shown) + len(GAP) * (len(shown) - 1)


def _padded(cell: str, width: int, terminal: bool) -> str:
    text = cut(cell, width) if terminal else cell
    space = " " * (width - cells(text))
    return (isolated(text) if terminal else text) + space


def cut(text: str, width: int) -> str:
    """The text truncated to `width` cells, the last of which shows that."""
    if cells(text) <= width:
        return text
    kept = ""
    for one in text:
        if cells(kept + one) > width - 1:
            break
        kept += one
    return f"{kept}…"


def cells(text: str) -> int:
    """The cells that the text occupies: wide characters take two, combining ones none."""
    if text.isascii():
        return len(text)
    from rich.cells import cell_len

    return cell_len(text)
