"""The faults that a test injects into the hypervisor in memory."""

from __future__ import annotations

import asyncio
import contextlib
import enum
from collections import deque
from collections.abc import Callable
from uuid import UUID

from velocity.hypervisor.fake.state import FakeState
from velocity.hypervisor.port import HostId, HypervisorError, Incarnation, Unknown


class Answer(enum.Enum):
    """How a call ends that does not end as done.

    LATE: it is done, and the answer comes too late. LOST: it never arrives. UNDER_WAY: it arrives with `arrive`.
    """

    LATE = "late"
    LOST = "lost"
    UNDER_WAY = "under way"


class Faults:
    """What happens to hosts and machines, and to calls.

    A test may set `refuse` (the words with which the next start or picture fails), `refuse_changes` (those with which
    the next change of a run does), `hold` (an event that starts and
    pictures wait for), `deaf` (whether new guests hear the power button), `answers` (how the next calls end that change
    something, one after the other; None: as done).
    """

    def __init__(self, state: FakeState) -> None:
        self.refuse: str | None = None
        self.refuse_changes: str | None = None
        self.hold: asyncio.Event | None = None
        self.held = 0
        """How many wait for it."""
        self.deaf = False
        self.answers: deque[Answer | None] = deque()
        self._state = state
        self._under_way: list[tuple[UUID, Callable[[], None], bool]] = []

    def lose(self, host: HostId) -> None:
        """The host does not answer any more, if it did. Its machines keep running."""
        if host not in self._state.lost:
            self._state.lost.add(host)
            self._state.news[host].put_nowait(None)

    def heal(self, host: HostId) -> None:
        """It responds again. News that was sent meanwhile is lost."""
        self._state.lost.discard(host)

    def reboot(self, host: HostId) -> None:
        """Its machines end, and it remembers nothing. It is lost while it does so."""
        state = self._state
        self.lose(host)
        for machine, run in list(state.runs.items()):
            if run.who.host == host:
                state.remove(run)
                state.silent.discard(machine)
        for machine, end in list(state.ends.items()):
            if end.who.host == host:
                del state.ends[machine]
        self._under_way.clear()
        state.epochs.clear()
        self.heal(host)

    def hang(self, machine: UUID) -> None:
        """Its monitor does not respond. It carries out the requests when it responds again."""
        self._state.silent.add(machine)

    def wake(self, machine: UUID) -> None:
        """It responds again, carries out the requests, and reports what it does."""
        self._state.silent.discard(machine)
        self.arrive(machine)
        if (run := self._state.runs.get(machine)) is not None:
            self._state.tell(run.who, run.fact, run.why)

    def arrive(self, machine: UUID) -> None:
        """What is under way to it is done now, or refused."""
        coming = [work for of, work, _ in self._under_way if of == machine]
        self._under_way = [one for one in self._under_way if one[0] != machine]
        for work in coming:
            with contextlib.suppress(HypervisorError):
                work()

    # What the parts of the hypervisor ask

    def has_under_way(self, machine: UUID) -> bool:
        """A request to it has not arrived yet."""
        return any(of == machine for of, _, _ in self._under_way)

    def deed(self, who: Incarnation, work: Callable[[], None], *, heard: bool = False, begins: bool = False) -> int:
        """Do it; `heard`: also by one whose monitor does not answer; `begins`: it is the begin of a run."""
        self._state.reach(who.host)
        answer = self.answers.popleft() if self.answers else None
        if answer is Answer.LOST:
            raise Unknown("no answer in time")
        if answer is Answer.UNDER_WAY or (who.machine in self._state.silent and not heard):
            self._under_way.append((who.machine, work, begins))
            raise Unknown("no answer in time")
        work()
        if answer is Answer.LATE:
            raise Unknown("no answer in time")
        self._state.changed()
        return self._state.told

    def drop_starts(self) -> None:
        """No start that is under way arrives any more."""
        self._under_way = [one for one in self._under_way if not one[2]]

    async def hinder(self) -> None:
        """Wait as long as a test holds it. Raises `HypervisorError` if the test has it fail."""
        if self.hold is not None:
            self.held += 1
            try:
                await self.hold.wait()
            finally:
                self.held -= 1
        if self.refuse is not None:
            words, self.refuse = self.refuse, None
            raise HypervisorError(words)
