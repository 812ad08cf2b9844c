"""What the hosts of the hypervisor in memory hold: runs, their ends, and the news of both."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Callable
from uuid import UUID

from velocity.hypervisor.fake.guest import FakeRun
from velocity.hypervisor.port import (
    NOT_NEWER,
    Fact,
    FactCause,
    FactReport,
    HostId,
    HypervisorError,
    Incarnation,
    NotRunning,
    Unknown,
)
from velocity.hypervisor.waits import AWAY, MOVING, OLDER_RUN


class FakeState:
    """Shared by the parts of one `FakeHypervisor`. It outlives `close`, as processes do.

    `ends` are those that nobody has acknowledged, `epochs` the last run of each machine that is over, `keeps` the
    machines for which something is kept. Hosts that are `lost` and machines that are `silent` do not answer. Processes
    of the host have `taken_ports`.
    `changed` is called when something of this is another now, and has been answered.
    """

    def __init__(self) -> None:
        self.runs: dict[UUID, FakeRun] = {}
        self.ends: dict[UUID, FactReport] = {}
        self.epochs: dict[UUID, int] = {}
        self.keeps: set[UUID] = set()
        self.logs: dict[UUID, bytes] = {}
        self.lost: set[HostId] = set()
        self.silent: set[UUID] = set()
        self.taken_ports: set[int] = set()
        self.news: dict[HostId, asyncio.Queue[FactReport | None]] = defaultdict(asyncio.Queue)
        self.number = self.told = 0
        self.changed: Callable[[], None] = lambda: None

    def reach(self, host: HostId) -> None:
        """Raises `Unknown` when it is lost."""
        if host in self.lost:
            raise Unknown(f"host {host} does not respond")

    def running(self, who: Incarnation) -> FakeRun:
        """This very run. Raises `NotRunning`, `Unknown`."""
        self.reach(who.host)
        run = self.runs.get(who.machine)
        if run is None or run.who != who:
            raise NotRunning("this run has ended")
        return run

    def runs_now(self, who: Incarnation) -> bool:
        run = self.runs.get(who.machine)
        return run is not None and run.who == who

    def changeable(self, who: Incarnation) -> FakeRun:
        """This very run, if it is not between two hosts. Raises `HypervisorError`."""
        run = self.running(who)
        if run.moving:
            raise HypervisorError(MOVING)
        if run.fact in AWAY:
            raise HypervisorError(AWAY[run.fact])
        return run

    def hands_over(self, who: Incarnation) -> bool:
        """It stands still between two hosts: nothing is reported until it is known to which it belongs."""
        return self.runs_now(who) and self.runs[who.machine].handing_over

    def check_epoch(self, who: Incarnation) -> None:
        """Raises `HypervisorError` where this one may not begin."""
        last = self.epochs.get(who.machine, 0)
        if who.epoch <= last:
            raise HypervisorError(f"run {who.epoch} {NOT_NEWER} {last}")
        if who.machine in self.runs:
            raise HypervisorError(OLDER_RUN)

    def spend(self, who: Incarnation) -> None:
        """This epoch is never started any more."""
        self.epochs[who.machine] = max(who.epoch, self.epochs.get(who.machine, 0))

    def fact(
        self, who: Incarnation, fact: Fact, why: FactCause, *, devices: bool = False, detail: str = ""
    ) -> FactReport:
        return FactReport(who, fact, why, detail, self.next_number(), devices)

    def next_number(self) -> int:
        self.number += 1
        return self.number

    def tell(self, who: Incarnation, fact: Fact, why: FactCause, *, devices: bool = False) -> None:
        self._tell(self.fact(who, fact, why, devices=devices))

    def _tell(self, changed: FactReport) -> None:
        if changed.who.host not in self.lost:
            self.told = changed.number
            self.news[changed.who.host].put_nowait(changed)

    def end(self, run: FakeRun, why: FactCause, *, seen: bool = True, detail: str = "") -> None:
        self.remove(run)
        end = self.ends[run.who.machine] = self.fact(run.who, Fact.ENDED, why, detail=detail)
        self.silent.discard(run.who.machine)
        if seen:
            self._tell(end)

    def remove(self, run: FakeRun) -> None:
        """It is gone, and nothing says so."""
        machine = run.who.machine
        del self.runs[machine]
        if run.fact in (Fact.INCOMING, Fact.RECEIVED):
            self.keeps.discard(machine)
        self.spend(run.who)
        self.logs[machine] = self.logs.get(machine, b"") + run.said
        for stream in run.streams:
            stream.end()
