"""What a run found: for the terminal, and as the table in docs/reliability.md."""

from __future__ import annotations

import os
import platform
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from tests.crash import points
from tests.crash.lane import Tally

BEGIN, END = "<!-- made by `make crash`: begin -->", "<!-- made by `make crash`: end -->"


@dataclass(frozen=True)
class Facts:
    """Of the run."""

    seed: int
    seconds: float


def missed(tally: Tally, bridge: str) -> list[str]:
    """The points of the table at which nothing was killed."""
    seams = [*points.SEAMS, *([points.BRIDGED] if bridge else [])]
    killed = {point for _, point in tally.kills}
    return [point for seam in seams for point in seam.points if point not in killed]


def summary(tally: Tally, facts: Facts) -> str:
    kills, hurts = sum(tally.kills.values()), sum(tally.hurts.values())
    return (
        f"{tally.rounds} rounds in {facts.seconds:.0f} s, {kills} kills of the server, {hurts} of its database or the "
        f"way to it, {len(tally.violations)} violations, seed {facts.seed}"
    )


def spoken(tally: Tally, facts: Facts) -> str:
    lines = []
    for one in tally.violations:
        lines += [f"VIOLATION lane {one.lane}, round {one.round}: {one.operation}, {one.point}", *one.what]
    return "\n".join([*lines, summary(tally, facts)])


def table(tally: Tally, facts: Facts) -> Iterator[str]:
    """One row for each point: kills, violations, and the operations that were under way."""
    yield f"{summary(tally, facts)}."
    yield ""
    model = platform.processor() or platform.machine()
    yield f"{datetime.now(UTC):%Y-%m-%d}, {os.cpu_count()} cores ({model}), Python {platform.python_version()}."
    yield ""
    yield "| killed | kills | violations | while under way |"
    yield "|---|---|---|---|"
    rows: dict[str, Counter[str]] = {}
    for counted in (tally.kills, tally.hurts):
        for (operation, point), count in counted.items():
            rows.setdefault(point, Counter())[operation] += count
    wrong = Counter(one.point for one in tally.violations)
    for point in sorted(rows, key=lambda point: (point.partition(" ")[2], point)):
        ways = ", ".join(f"{operation} {count}" for operation, count in sorted(rows[point].items()))
        yield f"| {point} | {rows[point].total()} | {wrong[point]} | {ways} |"


def write(document: Path, tally: Tally, facts: Facts) -> None:
    """Between the marks; all else is by hand."""
    text = document.read_text()
    before, after = text[: text.index(BEGIN)], text[text.index(END) :]
    document.write_text(before + "\n".join([BEGIN, "", *table(tally, facts), "", ""]) + after)
