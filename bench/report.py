"""`make bench-report`: the latest results as the tables and plots of docs/performance.md.

Only what stands between the page's marks is written; the words around it are a person's.
"""

from __future__ import annotations

import math
import re
import sys
from collections.abc import Iterable, Sequence
from itertools import groupby

import msgspec
import pygal
from pygal.style import Style

from bench.__main__ import BENCHES
from bench.harness import HERE, RESULTS, Goal, Outcome, figure

PAGE = HERE.parent / "docs/performance.md"
PLOTS = PAGE.parent / "performance"
MARK = r"(<!-- (goals|figures|curves|history): written by make bench-report -->\n)"
MARKED = re.compile(MARK + r".*?(<!-- end -->)", re.DOTALL)
STYLE = Style(
    background="transparent",
    plot_background="transparent",
    foreground="#808080",
    foreground_strong="#808080",
    foreground_subtle="#808080",
    guide_stroke_color="#80808060",
    major_guide_stroke_color="#80808060",
    opacity=".9",
    colors=("#2f81f7", "#e5534b", "#3fb950", "#d29922", "#a371f7", "#39c5cf", "#f778ba", "#8b949e"),
)
"""Greys and colours that are read on white and on black."""


def main() -> int:
    outcomes = {name: load(name) for name in BENCHES}
    latest = [found[-1] for found in outcomes.values() if found]
    if not latest:
        sys.stderr.write("there are no results yet: make bench\n")
        return 1
    PLOTS.mkdir(exist_ok=True)
    for old in PLOTS.glob("*.svg"):
        old.unlink()
    sections = {
        "goals": goals(latest),
        "figures": figures(latest),
        "curves": "\n".join(curves(latest)),
        "history": "\n".join(history(outcomes)),
    }
    PAGE.write_text(MARKED.sub(lambda mark: f"{mark[1]}\n{sections[mark[2]].strip()}\n\n{mark[3]}", PAGE.read_text()))
    return 0


def load(name: str) -> list[Outcome]:
    file = RESULTS / f"{name}.jsonl"
    if not file.exists():
        return []
    return [msgspec.json.decode(line, type=Outcome) for line in file.read_bytes().splitlines()]


def goals(outcomes: Sequence[Outcome]) -> str:
    rows = ["| | against | goal | reached | |", "|---|---|---|---|---|"]
    for outcome in outcomes:
        for goal in outcome.goals:
            met = {True: "met", False: "**not met**", None: "not measured"}[goal.met]
            rows.append(f"| {goal.measured} | {goal.against} | {bound(goal)} | {reached(goal)} | {met} |")
    machine = outcomes[0].machine
    where = f"{machine['cores']} cores of {machine['cpu']}, {machine['memory']}, {machine['distribution']}"
    absent = [f"- {peer}: {why}" for outcome in outcomes for peer, why in outcome.absent.items()]
    return "\n".join([f"Measured on {outcomes[0].at[:10]}: {where}.", "", *rows, *(["", *absent] if absent else [])])


def bound(goal: Goal) -> str:
    if goal.factor < 1 and not goal.least and not goal.plus:
        return f"{1 / goal.factor:.3g} times faster"
    more = f" + {goal.plus:g} ms" if goal.plus else ""
    return f"{'at least' if goal.least else 'at most'} {goal.factor:.3g} times{more}"


def reached(goal: Goal) -> str:
    if goal.reached is None:
        return ""
    if goal.factor < 1 and not goal.least and not goal.plus:
        return f"{1 / goal.reached:.3g} times faster"
    return f"{goal.reached:.3g} times"


def figures(outcomes: Sequence[Outcome]) -> str:
    lines = []
    for outcome in outcomes:
        lines += [f"### {outcome.title[0].upper()}{outcome.title[1:]}", "", "`make bench-" + outcome.bench + "`", ""]
        if outcome.series:
            lines += ["| | median | 10th to 90th percentile | n |", "|---|---|---|---|"]
        for one in outcome.series:
            spread = f"{figure(one.low)} to {figure(one.high)}" if one.n > 1 else ""
            lines.append(f"| {one.name} | {figure(one.median)} {one.unit} | {spread} | {one.n} |")
        lines += ["", *(f"- {note}" for note in outcome.notes), ""]
    return "\n".join(lines)


def curves(outcomes: Iterable[Outcome]) -> Iterable[str]:
    """A plot for each bench and unit, and the figures below it for who cannot see it."""
    for outcome in outcomes:
        points = sorted(outcome.points, key=lambda point: (point.unit, point.curve, point.size))
        for number, (unit, found) in enumerate(groupby(points, key=lambda point: point.unit)):
            group = list(found)
            sizes = sorted({point.size for point in group})
            name = f"{outcome.bench}-{number}.svg"
            chart = plot(f"{unit}, by number", [f"{size:,}" for size in sizes])
            bounds(chart, [point.median for point in group])
            yield f"![{outcome.title}, in {unit}](performance/{name})\n"
            yield "| | " + " | ".join(f"{size:,}" for size in sizes) + " |"
            yield "|---|" + "---|" * len(sizes)
            for curve, along in groupby(group, key=lambda point: point.curve):
                values = {point.size: point.median for point in along}
                chart.add(curve, [values.get(size) for size in sizes])
                cells = (f"{figure(values[size])} {unit}" if size in values else "" for size in sizes)
                yield f"| {curve} | " + " | ".join(cells) + " |"
            yield ""
            write(name, chart)


def history(outcomes: dict[str, list[Outcome]]) -> Iterable[str]:
    """The ratio of each goal over the runs: 1 is the goal itself, below it is better."""
    for name, found in outcomes.items():
        if len(found) < 2:
            continue
        chart = plot("of the goal, by run", [outcome.at[:10] for outcome in found])
        shares = {}
        for goal in found[-1].goals:
            line = [share(outcome, goal) for outcome in found]
            if any(line):
                shares[f"{goal.measured} / {goal.against}"] = line
        bounds(chart, [value for line in shares.values() for value in line if value])
        for label, line in shares.items():
            chart.add(label, line)
        if shares:
            write(f"{name}-history.svg", chart)
            yield f"![{found[-1].title}: share of each goal, by run](performance/{name}-history.svg)\n"


def share(outcome: Outcome, wanted: Goal) -> float | None:
    """What was reached, as a part of what was allowed."""
    medians = {series.name: series.median for series in outcome.series}
    if wanted.measured not in medians or not medians.get(wanted.against):
        return None
    allowed = wanted.factor * medians[wanted.against] + wanted.plus
    part = medians[wanted.measured] / allowed
    return 1 / part if wanted.least else part


def plot(title: str, labels: Sequence[str]) -> pygal.Line:
    chart = pygal.Line(
        style=STYLE, js=[], width=800, height=380, title=title, logarithmic=True, legend_at_bottom=True,
        legend_at_bottom_columns=2, truncate_legend=60, include_x_axis=False, disable_xml_declaration=True,
    )  # fmt: skip
    chart.x_labels = labels
    chart.value_formatter = figure
    return chart


def bounds(chart: pygal.Line, values: Sequence[float]) -> None:
    """A guide for each power of ten that is touched."""
    positive = [value for value in values if value > 0]
    if positive:
        low, high = math.floor(math.log10(min(positive))), math.ceil(math.log10(max(positive)))
        chart.y_labels = [10.0**power for power in range(low, max(high, low + 1) + 1)]


def write(name: str, chart: pygal.Line) -> None:
    """Without what changes from run to run or points elsewhere: the same results give the same file."""
    text = chart.render()
    text = re.sub(r"<!--.*?-->", "", text if isinstance(text, str) else text.decode(), flags=re.DOTALL)
    text = re.sub(r"<script.*?</script>", "", text, flags=re.DOTALL)
    text = re.sub(r"chart-[0-9a-f-]{36}", "chart", text)
    (PLOTS / name).write_text(text)


if __name__ == "__main__":
    sys.exit(main())
