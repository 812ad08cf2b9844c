"""`make crash`: the whole matrix. Ends with 0 when nothing is wrong; see `--help`."""

from __future__ import annotations

import argparse
import os
import random
import signal
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Callable
from pathlib import Path

from tests.crash import report
from tests.crash.database import DatabaseLane
from tests.crash.lane import Lane, Tally, Violation
from tests.crash.operations import OF_GUESTS, OPERATIONS
from tests.crash.server import Server
from tests.postgres import Postgres

BRIDGE = "vcbr0"
SHARES = {"memory": 0.5, "postgresql": 0.25, "database": 0.25}
"""Of the time; those with real guests have all of it, beside these."""


def main() -> None:
    options = _options()
    if os.geteuid() == 0 and not options.inside:
        sys.exit(_apart(["--inside", *sys.argv[1:]]))
    if options.inside:
        _be_the_first()
    bridge = _bridge() if options.inside else ""
    seed = random.SystemRandom().randrange(10**6) if options.seed is None else options.seed
    print(f"seed {seed}", flush=True)
    tally, begun = Tally(), time.monotonic()
    _run(options, seed, bridge, tally)
    if options.lanes == LANES and not options.rounds:
        tally.violations += [
            Violation("all", 0, "all", point, ("nothing was killed at this point",))
            for point in report.missed(tally, bridge)
        ]
    facts = report.Facts(seed, time.monotonic() - begun)
    print(report.spoken(tally, facts))
    if options.report:
        report.write(options.report, tally, facts)
    sys.exit(1 if tally.violations else 0)


def _apart(words: list[str]) -> int:
    """Run it in namespaces of its own: a bridge, taps and fences are seen by nobody, and it ends with all it began."""
    command = ["setpriv", "--pdeathsig", "KILL"]
    command += ["unshare", "--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"]
    inside = subprocess.Popen([*command, sys.executable, "-m", "tests.crash", *words])
    signal.signal(signal.SIGTERM, lambda *_: inside.kill())
    try:
        return inside.wait()
    finally:
        inside.kill()


def _be_the_first() -> None:
    """The first process of a namespace waits for those whose parents are gone; the work is done by a child of it."""
    child = os.fork()
    while child:
        ended, status = os.wait()
        if ended == child:
            sys.exit(os.waitstatus_to_exitcode(status) & 255)


LANES = ["memory", "postgresql", "database", "qemu"]


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.crash", description=__doc__)
    parser.add_argument("--seconds", type=float, default=600, help="how long (600)")
    parser.add_argument(
        "--rounds", type=int, default=0, help="most rounds, of guests and of all else (as many as the time allows)"
    )
    parser.add_argument("--seed", type=int, help="of an earlier run: the same operations and points in the same order")
    parser.add_argument("--lanes", nargs="+", choices=LANES, default=LANES, help="those to run (all)")
    parser.add_argument("--report", type=Path, help="the document to write the table into")
    parser.add_argument("--inside", action="store_true", help=argparse.SUPPRESS)
    return parser.parse_args()


def _bridge() -> str:
    for words in (
        "mount -t sysfs sysfs /sys",  # that of this network: it names its links
        "ip link set lo up", f"ip link add {BRIDGE} type bridge", f"ip link set {BRIDGE} up",
    ):  # fmt: skip
        subprocess.run(words.split(), check=True)
    return BRIDGE


def _run(options: argparse.Namespace, seed: int, bridge: str, tally: Tally) -> None:
    """The lanes, those with real guests beside the others."""
    begun, others = time.monotonic(), [lane for lane in options.lanes if lane != "qemu"]
    apart = Tally()
    beside = threading.Thread(target=_lanes, args=(["qemu"], options, begun, seed, bridge, apart))
    if "qemu" in options.lanes:
        beside.start()
    _lanes(others, options, begun, seed, bridge, tally)
    if "qemu" in options.lanes:
        beside.join()
    tally.add(apart)


def _lanes(names: list[str], options: argparse.Namespace, begun: float, seed: int, bridge: str, tally: Tally) -> None:
    end = begun
    whole = sum(SHARES.get(name, 1) for name in names)
    for name in names:
        end += options.seconds * SHARES.get(name, 1) / whole
        try:
            _lane(name, seed, bridge, tally, _until(end, options.rounds, tally))
        except Exception:
            tally.violations.append(Violation(name, 0, "the lane itself", "", (traceback.format_exc(),)))


def _until(end: float, rounds: int, tally: Tally) -> Callable[[], bool]:
    """Whether the time is over; or so many rounds are done."""
    return lambda: time.monotonic() > end or 0 < rounds <= tally.rounds


def _lane(name: str, seed: int, bridge: str, tally: Tally, stop: Callable[[], bool]) -> None:
    if name == "qemu":
        Lane(name, lambda: Server(qemu=True, bridge=bridge), OF_GUESTS, seed, tally).run(stop)
    elif name == "memory":
        Lane(name, lambda: Server(qemu=False), OPERATIONS, seed, tally).run(stop)
    else:
        postgres = Postgres()
        postgres.start()
        try:
            if name == "postgresql":
                Lane(name, lambda: Server(qemu=False, database=postgres.database()), OPERATIONS, seed, tally).run(stop)
            else:
                DatabaseLane(postgres, [one for one in OPERATIONS if one not in OF_GUESTS], seed, tally).run(stop)
        finally:
            postgres.stop()


if __name__ == "__main__":
    main()
