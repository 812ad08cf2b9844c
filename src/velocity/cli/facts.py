"""Facts about one thing, as `show` and `doctor` print them: a label, and a text that a terminal wraps beside it."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable, Iterable

import click

from velocity.cli.table import cells
from velocity.cli.words import clean

LABEL = 14
LEAST = 20
"""Cells that a text has at least, in a terminal that is too narrow for both."""


def show_facts(facts: Iterable[tuple[str, object]], shown: Callable[[str], str] = str) -> None:
    """Print them; `shown` is applied to each line of a text."""
    for name, value in facts:
        click.echo(click.style(name.ljust(LABEL), bold=True) + beside(LABEL, clean(value), shown))


def beside(indent: int, text: str, shown: Callable[[str], str] = str) -> str:
    """The text in lines that fit into the terminal behind so many cells; one line if the output is no terminal."""
    if not sys.stdout.isatty():
        return shown(text)
    room = shutil.get_terminal_size().columns - indent
    return f"\n{' ' * indent}".join(shown(line) for line in wrapped(text, max(room, LEAST)))


def wrapped(text: str, width: int) -> list[str]:
    """Lines of at most so many cells, broken at spaces only: paths and commands can be copied whole."""
    lines = [""]
    for word in text.split(" "):
        longer = f"{lines[-1]} {word}" if lines[-1] else word
        if lines[-1] and cells(longer) > width:
            lines.append(word)
        else:
            lines[-1] = longer
    return lines
