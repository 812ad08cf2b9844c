"""One running QEMU: requests to it, the facts about it, and its end.

https://www.qemu.org/docs/master/interop/qemu-qmp-ref.html
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from pathlib import Path
from typing import Any

from qemu.qmp import ExecuteError, QMPError

from velocity.hypervisor.port import (
    DiskLimits,
    Fact,
    FactCause,
    FactReport,
    HypervisorError,
    Incarnation,
    NotRunning,
    Unknown,
)
from velocity.hypervisor.qemu.deadline import within
from velocity.hypervisor.qemu.disk_limits import limit
from velocity.hypervisor.qemu.event_interpreter import EventInterpreter, plain
from velocity.hypervisor.qemu.fact_stream import FactStream
from velocity.hypervisor.qemu.link_state import set_links
from velocity.hypervisor.qemu.monitor import FIRST_PAUSE, LAST_PAUSE, Broken, Monitor
from velocity.hypervisor.qemu.process_watch import ProcessWatch
from velocity.hypervisor.qemu.qemu_log import FollowedLog
from velocity.hypervisor.qemu.releases import Releases
from velocity.hypervisor.qemu.run_note import RunEnd
from velocity.hypervisor.qemu.screen import Screendumps
from velocity.hypervisor.qemu.serial import SerialHub
from velocity.hypervisor.qemu.status import StatusQuery

log = logging.getLogger(__name__)

QUIT_PATIENCE = 2.0
"""Seconds that QEMU gets to quit before it is killed."""
BREAK_PATIENCE = 1.0
"""Seconds in which a process ends whose monitor has closed the connection, if that is why."""


class WatchedRun:
    """One QEMU process and its monitor, from its start or adoption on; facts are reported from then on.

    It ends in three steps: `gone`, the process has ended; `ended`, `on_end` has reported how; `cleared`, its remains
    are removed, too, and the next run may begin.
    """

    serial: SerialHub
    """Its console; set once, after construction."""

    def __init__(self, who: Incarnation, pid: int, qmp: Path, log: FollowedLog, news: FactStream) -> None:
        """Raises `OSError`: its process cannot be watched."""
        self.who = who
        self.pid = pid
        self.gone = False
        self.ended = asyncio.Event()
        self.cleared = asyncio.Event()
        self.begun = False
        """Its start is complete, or it was adopted."""
        self.awaited = False
        """Somebody waits for the end that they have requested."""
        self.noted = False
        """It is recorded that its end was requested."""
        self.acknowledged = asyncio.Event()
        """Its end is stored."""
        self.dropped = False
        """Its remains were removed together with the note of its end."""
        self.on_asked: Callable[[], Coroutine[Any, Any, None]] = _nothing
        """Records that its end was requested, while QEMU quits."""
        self.on_end: Callable[[RunEnd | None], Awaitable[None]] = _nothing
        """Receives how it ended; None: its start failed."""
        self.heard: Callable[[str, Mapping[str, Any]], None] = lambda name, data: None
        """Receives each event while it is moved to another host."""
        self.process = ProcessWatch(pid, self._on_process_end)
        self.observed = EventInterpreter(self._report_fact)
        name = f"vm-{str(who.machine)[:8]}"
        self.monitor = Monitor(name, qmp, self._on_qmp_event, self._on_connect, self._on_disconnect)
        self.lend = self.monitor.lend
        self.give = self.monitor.give
        self.status = StatusQuery(self.monitor, self.observed, news, self._run_task)
        self.screens = Screendumps(self)
        self.releases = Releases(self._report_release)
        self.last_words = log.last_words
        self._log = log
        self._news = news
        self._tasks: set[asyncio.Task[Any]] = set()
        self._ending: asyncio.Task[None] | None = None
        self._asked_to_end = False

    @property
    def starting(self) -> bool:
        return not self.begun

    def on_output(self) -> None:
        """QEMU has written to one of its files."""
        self.serial.heard()
        self._log.on_output()

    # Start and adoption

    async def begin(
        self, limits: Mapping[int, DiskLimits], links: Mapping[int, bool], *, held: bool, deadline: float
    ) -> None:
        """Complete a start; `limits` are those of disks, by their places; `links` of NICs, by their ids.

        Raises `HypervisorError`, `NotRunning`, `Unknown`, `OSError`.
        """
        command = "query-status" if held else "cont"
        at_once = not limits and not links
        await self.serial.connect()
        try:
            async with asyncio.timeout(deadline):
                await self.monitor.connect(command if at_once else "")
        except TimeoutError:
            raise Unknown("QEMU does not respond") from None
        except ExecuteError as error:
            raise HypervisorError(plain(error)) from None
        except (QMPError, OSError, EOFError) as error:
            raise HypervisorError(await self.last_words() or f"QEMU ended at its start: {plain(error)}") from None
        self.monitor.keep()
        if not at_once:
            await limit(self.execute, limits, deadline)
            await set_links(self.execute, links, deadline)
            await self.execute(command, deadline=deadline)
        if self.gone:
            raise NotRunning("it ended immediately")
        self.begun = True
        last = self.observed.last
        if last is None:
            stands = Fact.INCOMING if self.observed.arriving else Fact.HELD
            self.observed.record_fact(stands if held else Fact.RUNNING, FactCause.ASKED)
        else:
            self.observed.record_fact(last.fact, last.why, last.detail)

    def adopt(self) -> None:
        """Watch a process that an earlier server started; connections that fail now are retried."""
        self.begun = True
        self.screens.left = True  # an earlier server may have left what it had lent
        self.monitor.keep()
        self._run_task(self._connect_serial())
        self.status.ask()

    async def _connect_serial(self) -> None:
        pause = FIRST_PAUSE
        while not self.gone:
            try:
                await self.serial.connect()
                return
            except (HypervisorError, OSError) as error:
                if pause == FIRST_PAUSE:
                    log.warning("machine %s: its console cannot be read yet: %s", self.who.machine, error)
                await asyncio.sleep(pause)
                pause = min(2 * pause, LAST_PAUSE)

    # Requests

    async def execute(self, command: str, *, deadline: float, **arguments: Any) -> Any:
        """Execute one command. Raises `HypervisorError`, `NotRunning`, `Unknown`."""
        if self.gone:
            raise NotRunning("QEMU has ended")
        try:
            return await self.monitor.execute(command, deadline=deadline, **arguments)
        except Unknown as error:
            if isinstance(error, Broken):
                await self._ends_within(min(BREAK_PATIENCE, deadline))
            if self.gone:
                raise NotRunning("QEMU has ended") from None
            if self.begun:
                self.status.ask()  # the result is reported as soon as it answers
            raise

    async def pause(self, *, deadline: float) -> None:
        until = asyncio.get_running_loop().time() + deadline
        self.observed.pausing = True
        try:
            await self.execute("stop", deadline=deadline)
        except Unknown:
            raise  # it may still stop, for this reason
        except HypervisorError:
            self.observed.pausing = False
            raise
        self.observed.pausing = False
        if not self.observed.does(Fact.PAUSED, Fact.HELD) and (await self._fact(until)).fact is Fact.RUNNING:
            raise HypervisorError("the guest is suspended (ACPI S3): wake it first")

    async def resume(self, *, deadline: float) -> None:
        until = asyncio.get_running_loop().time() + deadline
        await self.execute("cont", deadline=deadline)
        if not self.observed.does(Fact.RUNNING):
            await self._fact(until)

    async def reset(self, *, deadline: float) -> None:
        """Return when it has been reset; its state is reported afterwards. Raises `Unknown`: it may still be reset."""
        until = asyncio.get_running_loop().time() + deadline
        self.observed.reset.clear()
        await self.execute("system_reset", deadline=deadline)
        async with within(until - asyncio.get_running_loop().time(), "it was not reset in time"):
            await self.observed.reset.wait()
        await self._fact(until)  # there is no event for a paused machine that was reset

    async def _fact(self, until: float) -> FactReport:
        return await self.status.facts(deadline=max(0.0, until - asyncio.get_running_loop().time()))

    async def end(self, *, deadline: float) -> None:
        """End QEMU now: by `quit` if it responds, otherwise by SIGKILL. Returns when its end is reported."""
        until = asyncio.get_running_loop().time() + deadline
        self._asked_to_end = True
        if not self.monitor.hangs and self.begun:
            self.awaited = True
            self._run_task(self.on_asked())
            with contextlib.suppress(TimeoutError, HypervisorError):
                async with asyncio.timeout(min(QUIT_PATIENCE, deadline / 2)):
                    await self.monitor.execute("quit", deadline=None)
                    await self.ended.wait()
        self.kill()
        if not await self._ends_within(until - asyncio.get_running_loop().time()):
            raise Unknown("QEMU's process does not end")

    def kill(self) -> None:
        self._asked_to_end = True
        self.process.kill()

    # Events

    def _report_fact(self, fact: Fact, why: FactCause, detail: str) -> FactReport:
        if self.begun:
            return self._news.publish_fact(self.who, fact, why, detail)
        return FactReport(self.who, fact, why, detail)  # reported when the start is complete

    def _report_release(self) -> None:
        """The guest has released an unplugged device after nobody waited for it any more."""
        if self.begun and (last := self.observed.last) is not None:
            self._news.publish_fact(self.who, last.fact, last.why, last.detail, devices=True)

    def _on_qmp_event(self, name: str, data: Mapping[str, Any]) -> None:
        self.observed.on_qmp_event(name, data)
        self.releases.on_qmp_event(name, data)
        self.heard(name, data)
        if not self.begun:
            return
        if self.observed.why_is_open:
            self.status.ask()
        if name == "RESUME" and self.screens.left:
            self._run_task(self.screens.sweep())

    def _on_connect(self) -> None:
        self.observed.pausing = False  # an earlier `stop` has been carried out by now, or never will be
        self.status.ask()
        if self.screens.left:
            self._run_task(self.screens.sweep())

    def _on_disconnect(self) -> None:
        self.status.ask()

    def _run_task(self, work: Any) -> asyncio.Task[Any]:
        task: asyncio.Task[Any] = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._on_task_end)
        return task

    def _on_task_end(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None and not isinstance(error, HypervisorError):
            log.error("the machine %s: %r", self.who.machine, error)

    # Its end

    async def close(self) -> None:
        """Stop watching; QEMU keeps running. If it ends at this moment, the next server notices."""
        if self._ending is not None:
            self._ending.cancel()
            await asyncio.wait({self._ending})
        self.process.close()
        await self._disconnect()

    async def _disconnect(self) -> None:
        await self.serial.close()
        self.screens.close()
        await self._log.close()
        await self.monitor.close()
        tasks = set(self._tasks)
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)

    def _on_process_end(self) -> None:
        self.gone = True
        self.observed.reset.set()  # there will be none
        self.monitor.end()
        self._ending = asyncio.create_task(self._end())

    async def _end(self) -> None:
        await self.monitor.drained()
        status = self.process.reap()
        end = RunEnd(FactCause.UNKNOWN)
        try:
            await self._disconnect()
            end = await self._cause(status)
        except Exception:  # its end is reported without a cause
            log.exception("machine %s, run %d: why it has ended is not known", self.who.machine, self.who.epoch)
        try:
            await self.on_end(end if self.begun else None)
        except Exception:  # those that wait for its end must not wait forever
            log.exception("machine %s, run %d: its leftovers were not removed", self.who.machine, self.who.epoch)
        self.process.mounts.close()
        self.ended.set()
        self.cleared.set()

    async def _cause(self, status: int | None) -> RunEnd:
        if self._asked_to_end:
            return RunEnd(FactCause.ASKED)
        if self.observed.shutdown is not None:
            return RunEnd(self.observed.shutdown)
        if status is not None and os.WIFSIGNALED(status):
            number = os.WTERMSIG(status)
            named = number in set(signal.Signals)  # real-time signals have no names
            name = signal.Signals(number).name if named else f"signal {number}"
            return RunEnd(FactCause.KILLED if number == signal.SIGKILL else FactCause.UNKNOWN, name)
        if status is not None and os.WIFEXITED(status) and os.WEXITSTATUS(status):
            return RunEnd(FactCause.UNKNOWN, await self.last_words())
        return RunEnd(FactCause.KILLED)  # not our child, so there is no exit status

    async def _ends_within(self, seconds: float) -> bool:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self.ended.wait()
        return self.ended.is_set()


async def _nothing(_end: RunEnd | None = None) -> None:
    """A callback that does nothing."""
