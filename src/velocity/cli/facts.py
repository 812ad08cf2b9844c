"""Facts about one object, for `show` and `doctor`: a label, and a text that wraps beside it."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable, Iterable

import click

from velocity.cli.table import cells
from velocity.cli.words import clean

LABEL = 14
LEAST = 20
"""The least width of the text, in cells, on narrow terminals."""


def show_facts(facts: Iterable[tuple[str, object]], shown: Callable[[str], str] = str) -> None:
    """Print the facts; `shown` is applied to each line of text."""
    for name, value in facts:
        click.echo(click.style(name.ljust(LABEL), bold=True) + beside(LABEL, clean(value), shown))


def beside(indent: int, text: str, shown: Callable[[str], str] = str) -> str:
    """The text, wrapped beside `indent` cells; one line if the output is not a terminal."""
    if not sys.stdout.isatty():
        return shown(text)
    room = shutil.get_terminal_size().columns - indent
    return f"\n{' ' * indent}".join(shown(line) for line in wrapped(text, max(room, LEAST)))


def wrapped(text: str, width: int) -> list[str]:
    """Lines of at most `width` cells, broken at spaces only, so that paths and commands can be copied."""
    lines = [""]
    for word in text.split(" "):
        longer = f"{lines[-1]} {word}" if lines[-1] else word
        if lines[-1] and cells(longer) > width:
            lines.append(word)
        else:
            lines[-1] = longer
    return lines
