"""Progress bars on stderr, on a single line whatever the terminal's width."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from velocity import sizes
from velocity.cli.words import clean

if TYPE_CHECKING:
    from rich.progress import Progress

FIGURES = 40
"""Columns for the figures beside a bar, with the spaces between."""


def bar(*, shown: bool = True, unit: str = "bytes") -> Progress:
    """A bar with bytes done and total, speed and remaining time.

    With another unit: the amounts, and each task's `beside`; without a unit, only `beside`.
    """
    from rich.console import Console  # takes a tenth of a second
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
        """The speed, in the units of the amount beside it."""

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
    """A description without rich's markup."""
    return clean(text).replace("[", "\\[")
