"""Progress bars on stderr that keep to one line, however narrow the terminal."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from velocity import sizes
from velocity.cli.words import clean

if TYPE_CHECKING:
    from rich.progress import Progress

FIGURES = 40
"""Columns of a terminal that the figures beside a bar take at most, with the spaces between."""


def bar(*, shown: bool = True, unit: str = "bytes") -> Progress:
    """Bytes that are done, of so many, how fast, and how long it will take.

    Of another unit, how many, and what each task's `beside` says; without a unit, that alone.
    """
    from rich.console import Console  # a tenth of a second that only who waits has to pay
    from rich.progress import (
        BarColumn,
        DownloadColumn,
        MofNCompleteColumn,
        Progress,
        ProgressColumn,
        Task,
        TextColumn,
        TimeRemainingColumn,
    )
    from rich.table import Column
    from rich.text import Text

    class Speed(ProgressColumn):
        """In the units of the amount beside it."""

        def render(self, task: Task) -> Text:
            speed = task.finished_speed or task.speed
            return Text("" if speed is None else f"{sizes.size(int(speed))}/s", style="progress.data.speed")

    console = Console(file=sys.stderr)
    width = max(5, min(40, console.width // 4))
    text = Column(no_wrap=True, overflow="ellipsis", max_width=max(8, console.width - width - FIGURES))
    figures: tuple[ProgressColumn, ...]
    if unit == "bytes":
        figures = DownloadColumn(binary_units=True), Speed(), TimeRemainingColumn()
    elif unit:
        figures = MofNCompleteColumn(), TextColumn(f"{unit} {{task.fields[beside]}}"), TimeRemainingColumn()
    else:
        figures = (TextColumn("{task.fields[beside]}"),)
    return Progress(
        TextColumn("{task.description}", table_column=text),
        BarColumn(bar_width=width),
        *figures,
        console=console,
        disable=not shown,
    )


def label(text: str) -> str:
    """A description that rich takes as it is."""
    return clean(text).replace("[", "\\[")
