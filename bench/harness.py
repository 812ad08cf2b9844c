"""How a bench measures, prints and keeps what it found.

Machines are noisy and differ: only ratios of medians of one interleaved run count. A result is one line of JSON in
`bench/results/<name>.jsonl`; `bench/report.py` reads them.
"""

from __future__ import annotations

import gc
import os
import platform
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

HERE = Path(__file__).parent
RESULTS = HERE / "results"
MOST_SECONDS = 300.0
"""A bench that hangs is worse than one that measures less."""


class Absent(Exception):
    """A peer cannot run here; the message says why."""


class Series(msgspec.Struct, frozen=True):
    """What one contestant took. `low` and `high` are the 10th and 90th percentile."""

    name: str
    unit: str
    n: int
    median: float
    low: float
    high: float


class Goal(msgspec.Struct, frozen=True, kw_only=True):
    """`measured` is to be at most (or at least) `factor` times `against`, plus `plus`. `reached` is the ratio found.

    `met` is None where the peer was absent.
    """

    text: str
    measured: str
    against: str
    factor: float
    plus: float = 0.0
    least: bool = False
    reached: float | None = None
    met: bool | None = None


class Point(msgspec.Struct, frozen=True):
    """A curve's point: `size` of what is scaled, and what it took."""

    curve: str
    unit: str
    size: int
    median: float


class Outcome(msgspec.Struct, kw_only=True):
    """One run of one bench. `at` is UTC."""

    bench: str
    title: str
    at: str
    commit: str
    machine: dict[str, str]
    versions: dict[str, str]
    series: list[Series] = []
    goals: list[Goal] = []
    points: list[Point] = []
    absent: dict[str, str] = {}
    notes: list[str] = []


@dataclass
class Bench:
    """One bench while it runs: contestants' values, and what is to be said of them."""

    name: str
    title: str
    values: dict[str, list[float]] = field(default_factory=dict)
    units: dict[str, str] = field(default_factory=dict)
    goals: list[Goal] = field(default_factory=list)
    points: list[Point] = field(default_factory=list)
    absent: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    versions: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # every `with` block has its end

    def add(self, name: str, unit: str, *values: float) -> None:
        """Keep what a contestant took."""
        self.units[name] = unit
        self.values.setdefault(name, []).extend(values)

    def rounds(
        self, rounds: int, contestants: Sequence[Callable[[], None]], *, warm: int = 1, seconds: float = MOST_SECONDS
    ) -> None:
        """Let each contestant take its turn in each round, every other time in reverse: none always follows the same.

        They `add` what they measured. `warm` rounds are thrown away.
        """
        end = time.monotonic() + seconds
        before = {name: list(values) for name, values in self.values.items()}
        for number in range(-warm, rounds):
            if number == 0:
                self.values = before
            shift = number % len(contestants)
            turns = [*contestants[shift:], *contestants[:shift]]
            for run in reversed(turns) if number % 2 else turns:
                gc.collect()
                run()
            progress(f"{self.name}: round {max(number + 1, 0)} of {rounds}")
            if number >= 2 and time.monotonic() > end:
                self.notes.append(f"cut off after {number + 1} of {rounds} rounds: it took over {seconds:.0f} s")
                break
        progress("")

    def point(self, curve: str, unit: str, size: int, value: float) -> None:
        self.points.append(Point(curve, unit, size, round(value, 6)))

    def goal(
        self, measured: str, against: str, *, factor: float, plus: float = 0.0, least: bool = False, text: str = ""
    ) -> None:
        """State a goal; it is judged at the end."""
        if not text:
            more = f" + {plus:g} {self.units.get(measured, '')}" if plus else ""
            text = f"{'>=' if least else '<='} {factor:g} x {against}{more}"
        goal = Goal(text=text, measured=measured, against=against, factor=factor, plus=plus, least=least)
        self.goals.append(goal)

    def median(self, name: str) -> float:
        return statistics.median(self.values[name])

    def outcome(self) -> Outcome:
        return Outcome(
            bench=self.name,
            title=self.title,
            at=time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
            commit=commit(),
            machine=machine(),
            versions=versions() | self.versions,
            series=[_series(name, self.units[name], values) for name, values in self.values.items()],
            goals=[self._judged(goal) for goal in self.goals],
            points=self.points,
            absent=self.absent,
            notes=[*self.notes, *circumstances()],
        )

    def _judged(self, goal: Goal) -> Goal:
        if goal.measured not in self.values or goal.against not in self.values:
            return goal
        measured, against = self.median(goal.measured), self.median(goal.against)
        bound = goal.factor * against + goal.plus
        met = measured >= bound if goal.least else measured <= bound
        return msgspec.structs.replace(goal, reached=round(measured / against, 4) if against else None, met=met)

    def finish(self) -> Outcome:
        """Print what was found and add it to the results."""
        outcome = self.outcome()
        show(outcome)
        RESULTS.mkdir(exist_ok=True)
        with (RESULTS / f"{self.name}.jsonl").open("ab") as out:
            out.write(msgspec.json.encode(outcome) + b"\n")
        return outcome


def _series(name: str, unit: str, values: list[float]) -> Series:
    ordered = sorted(values)
    low, high = ordered[len(ordered) // 10], ordered[-1 - len(ordered) // 10]
    return Series(name, unit, len(ordered), *(round(one, 6) for one in (statistics.median(ordered), low, high)))


def show(outcome: Outcome) -> None:
    """The table that a person reads."""
    lines = [f"\n{outcome.title}"]
    wide = max((len(series.name) for series in outcome.series), default=0)
    for one in outcome.series:
        values = f"{figure(one.median):>9} {one.unit:<10} ({figure(one.low)} to {figure(one.high)}, n={one.n})"
        lines.append(f"  {one.name:<{wide}} {values}")
    for point in outcome.points:
        lines.append(f"  {point.curve}: {point.size:>6} -> {figure(point.median)} {point.unit}")
    for goal in outcome.goals:
        met = {True: "met", False: "NOT MET", None: "not measured"}[goal.met]
        reached = "" if goal.reached is None else f" (ratio {goal.reached:.3g})"
        lines.append(f"  {met}: {goal.measured} {goal.text}{reached}")
    lines += [f"  absent: {peer}: {why}" for peer, why in outcome.absent.items()]
    lines += [f"  note: {note}" for note in outcome.notes]
    sys.stdout.write("\n".join(lines) + "\n")
    sys.stdout.flush()


def figure(value: float) -> str:
    """Three figures that count."""
    return f"{value:.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def progress(line: str) -> None:
    """What is under way, on a terminal's one line."""
    if sys.stderr.isatty():
        sys.stderr.write(f"\r\x1b[K{line}")
        sys.stderr.flush()


def commit() -> str:
    """Which code was measured; with a plus when it had changes."""

    def git(*words: str) -> str:
        done = subprocess.run(["git", *words], cwd=HERE, capture_output=True, text=True, check=False)
        return done.stdout.strip()

    changed = git("status", "--porcelain", "--", "../src", ".", ":!results")
    return git("rev-parse", "--short=9", "HEAD") + ("+" if changed else "")


def machine() -> dict[str, str]:
    cpu = next(
        (
            line.partition(":")[2].strip()
            for line in Path("/proc/cpuinfo").read_text().splitlines()
            if line.startswith("model name")
        ),
        platform.machine(),
    )
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    release = platform.freedesktop_os_release().get("PRETTY_NAME", "Linux")
    return {
        "cpu": cpu,
        "cores": str(len(os.sched_getaffinity(0))),
        "memory": f"{memory / 2**30:.0f} GiB",
        "kernel": platform.release(),
        "distribution": release,
    }


def circumstances() -> list[str]:
    """What was chosen for this run, and is not so by itself."""
    found = []
    if os.sched_getscheduler(0) != os.SCHED_OTHER:
        found.append("the run went before whatever else the machine did (`chrt`)")
    if "TMPDIR" in os.environ:
        found.append(f"its files were in {os.environ['TMPDIR']}")
    return found


def versions() -> dict[str, str]:
    from importlib.metadata import version

    found = {name: version(name) for name in ("velocity", "starlette", "uvicorn", "uvloop", "msgspec", "sqlalchemy")}
    qemu = subprocess.run(["qemu-system-x86_64", "--version"], capture_output=True, text=True, check=False).stdout
    return {"python": platform.python_version(), "qemu": qemu.partition("version ")[2].split(" ")[0].strip(), **found}


def timed(work: Callable[[], object]) -> float:
    """Milliseconds that it took."""
    begun = time.perf_counter()
    work()
    return (time.perf_counter() - begun) * 1000


def cpu_seconds(pid: int) -> float:
    """Seconds of CPU that the process's threads have had, in nanoseconds' steps. proc(5), schedstat"""
    total = 0
    for task in Path(f"/proc/{pid}/task").iterdir():
        total += int((task / "schedstat").read_text().split()[0])
    return total / 1e9


def memory_mib(pid: int, field: str = "Pss") -> float:
    """The process's proportional set size, or what else is asked for. proc(5), smaps_rollup"""
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith(f"{field}:"):
            return int(line.split()[1]) / 1024
    raise ProcessLookupError(pid)


def install(*packages: str) -> None:
    """Install packages of the distribution that a peer needs. Raises `Absent`."""
    if os.geteuid() != 0:
        raise Absent(f"install {' '.join(packages)} as root first")
    environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
    for command in (["apt-get", "update", "-qq"], ["apt-get", "install", "-y", "--no-install-recommends", *packages]):
        done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False, timeout=300)
    if done.returncode:
        raise Absent(f"{' '.join(packages)} cannot be installed: {done.stderr.strip().splitlines()[-1]}")
