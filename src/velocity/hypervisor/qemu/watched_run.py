"""One running QEMU: requests to it, the facts about it, and its end, noticed by a pidfd.

https://www.qemu.org/docs/master/interop/qemu-qmp-ref.html; pidfd_open(2)
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
from velocity.hypervisor.qemu.departures import Departures
from velocity.hypervisor.qemu.disk_limits import limit
from velocity.hypervisor.qemu.event_interpreter import EventInterpreter, plain
from velocity.hypervisor.qemu.fact_stream import FactStream
from velocity.hypervisor.qemu.links import set_links
from velocity.hypervisor.qemu.monitor import FIRST_PAUSE, LAST_PAUSE, Broken, Monitor
from velocity.hypervisor.qemu.qemu_log import QemuLog, said
from velocity.hypervisor.qemu.runs import RunEnd
from velocity.hypervisor.qemu.screen import Screendumps
from velocity.hypervisor.qemu.serial import SerialHub
from velocity.hypervisor.qemu.status import StatusQuery
from velocity.hypervisor.qemu.watch import Follower, to_its_end

log = logging.getLogger(__name__)

QUIT_PATIENCE = 2.0
"""Seconds that QEMU gets to quit before it is killed."""
BREAK_PATIENCE = 1.0
"""Seconds in which a process ends whose monitor has closed the connection, if that is why."""


class Mounts:
    """Keeps a process's mounts until `close`: unmounting them would delay the news of its end."""

    def __init__(self, pid: int) -> None:
        self._descriptor = -1
        with contextlib.suppress(OSError):  # it has ended, or may not be examined: then nothing is kept
            self._descriptor = os.open(f"/proc/{pid}/ns/mnt", os.O_RDONLY | os.O_CLOEXEC)

    def fileno(self) -> int:
        """-1: none."""
        return self._descriptor

    def close(self) -> None:
        """Idempotent. If the process has ended, this takes a while: call it in a thread."""
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            os.close(descriptor)


class WatchedRun:
    """Watches one machine's process. `gone`: the process has ended.

    Facts are reported from its start, or its adoption, on. `ended` is set when `on_end` has reported how it ended,
    `cleared` when its remains are removed, too: the next run may begin. `on_end` receives how it ended; None: its start
    failed. `on_asked` records that a stop was requested, while QEMU quits.
    """

    serial: SerialHub
    """Its console; set once, after construction."""

    def __init__(
        self, who: Incarnation, pid: int, qmp: Path, words: QemuLog | None, qemu_log: Path, news: FactStream
    ) -> None:
        """`words` is None if QEMU writes to `qemu_log` itself. Raises `OSError`: it cannot be watched."""
        self.who = who
        self.pid = pid
        self.gone = False
        self.ended = asyncio.Event()
        self.cleared = asyncio.Event()
        self.awaited = False
        """A stop was requested, and whoever requested it waits."""
        self.noted = False
        """It is recorded that a stop was requested."""
        self.acknowledged = asyncio.Event()
        """Its end is stored."""
        self.dropped = False
        """Its remains were removed together with the note of its end."""
        self.on_asked: Callable[[], Coroutine[Any, Any, None]] = _nothing
        self.on_end: Callable[[RunEnd | None], Awaitable[None]] = _nothing
        self._pidfd = os.pidfd_open(pid)
        self.mounts = Mounts(pid)
        self.observed = EventInterpreter(self._tell)
        name = f"vm-{str(who.machine)[:8]}"
        self.monitor = Monitor(name, qmp, self._hear, self._connected, self._lost)
        self.lend = self.monitor.lend
        self.give = self.monitor.give
        self.status = StatusQuery(self.monitor, self.observed, news, self._do)
        self.screens = Screendumps(self)
        self.departures = Departures(self._tell_devices)
        self._news = news
        self._words = words
        self._log = qemu_log
        self._follower: Follower | None = None
        self._tasks: set[asyncio.Task[Any]] = set()
        self._ending: asyncio.Task[None] | None = None
        self._asked_to_end = False
        self.begun = False
        self.heard: Callable[[str, Mapping[str, Any]], None] = lambda name, data: None
        """Receives each event while it is moved to another host."""
        asyncio.get_running_loop().add_reader(self._pidfd, self._gone)
        if words is not None:
            self._follower = Follower(f"what the QEMU of {who.machine} says", lambda: to_its_end(words.copy))
            if words.more:
                self._follower.wake()

    @property
    def starting(self) -> bool:
        return not self.begun

    def on_output(self) -> None:
        """QEMU has written to one of its files."""
        self.serial.heard()
        if self._follower is not None:
            self._follower.wake()

    # Its beginning here

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
        """Continue with one that runs already; what does not answer now is tried again."""
        self.begun = True
        self.screens.left = True  # an earlier server may have left what it had lent
        self.monitor.keep()
        self._do(self._connect_serial())
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

    # What is asked of it

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
            raise  # it may still stop, and then this is why
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
        """End QEMU now: it is told to quit if it listens, otherwise killed. Returns when its end is reported."""
        until = asyncio.get_running_loop().time() + deadline
        self._asked_to_end = True
        if not self.monitor.hangs and self.begun:
            self.awaited = True
            self._do(self.on_asked())
            with contextlib.suppress(TimeoutError, HypervisorError):
                async with asyncio.timeout(min(QUIT_PATIENCE, deadline / 2)):
                    await self.monitor.execute("quit", deadline=None)
                    await self.ended.wait()
        self.kill()
        if not await self._ends_within(until - asyncio.get_running_loop().time()):
            raise Unknown("QEMU's process does not end")

    def kill(self) -> None:
        self._asked_to_end = True
        with contextlib.suppress(OSError):
            signal.pidfd_send_signal(self._pidfd, signal.SIGKILL)

    # What it does

    def _tell(self, fact: Fact, why: FactCause, detail: str) -> FactReport:
        if self.begun:
            return self._news.publish_fact(self.who, fact, why, detail)
        return FactReport(self.who, fact, why, detail)  # the end of the start tells

    def _tell_devices(self) -> None:
        """A device that was unplugged has been released, and nobody waits for that any more."""
        if self.begun and (last := self.observed.last) is not None:
            self._news.publish_fact(self.who, last.fact, last.why, last.detail, devices=True)

    def _hear(self, name: str, data: Mapping[str, Any]) -> None:
        self.observed.on_qmp_event(name, data)
        self.departures.on_qmp_event(name, data)
        self.heard(name, data)
        if not self.begun:
            return
        if self.observed.why_is_open:
            self.status.ask()
        if name == "RESUME" and self.screens.left:
            self._do(self.screens.sweep())

    def _connected(self) -> None:
        self.observed.pausing = False  # earlier commands are done by now, or never will be
        self.status.ask()
        if self.screens.left:
            self._do(self.screens.sweep())

    def _lost(self) -> None:
        self.status.ask()

    def _do(self, work: Any) -> asyncio.Task[Any]:
        task: asyncio.Task[Any] = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._done)
        return task

    def _done(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None and not isinstance(error, HypervisorError):
            log.error("the machine %s: %r", self.who.machine, error)

    # Its end

    async def close(self) -> None:
        """Stop watching it; it continues. If it ends at this moment, the next server finds that out."""
        if self._ending is not None:
            self._ending.cancel()
            await asyncio.wait({self._ending})
        if self._pidfd >= 0:
            asyncio.get_running_loop().remove_reader(self._pidfd)
            os.close(self._pidfd)
            self._pidfd = -1
        self.mounts.close()
        await self._let_go()

    async def _let_go(self) -> None:
        await self.serial.close()
        self.screens.close()
        if self._words is not None and self._follower is not None:
            await self._follower.close()
            await self._keep_words()
            self._words.close()
            self._words = None
        await self.monitor.close()
        tasks = set(self._tasks)
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)

    async def last_words(self) -> str:
        """The end of QEMU's output in this run, without time stamps and program name; empty if there was none."""
        await self._keep_words()
        text = (await asyncio.to_thread(said, self._log, 8192)).decode("utf-8", "replace")
        lines = [line.split("qemu-system-x86_64: ", 1)[-1].strip() for line in text.splitlines()]
        return plain("; ".join(line for line in lines if line))

    async def _keep_words(self) -> None:
        if self._words is not None and self._words.more:
            with contextlib.suppress(OSError):
                await to_its_end(self._words.copy)

    def _gone(self) -> None:
        self.gone = True
        self.observed.reset.set()  # nobody waits for another
        asyncio.get_running_loop().remove_reader(self._pidfd)
        self.monitor.end()
        self._ending = asyncio.create_task(self._end())

    async def _end(self) -> None:
        await self.monitor.drained()
        status = _reap(self.pid)
        os.close(self._pidfd)
        self._pidfd = -1
        end = RunEnd(FactCause.UNKNOWN)
        try:
            await self._let_go()
            end = await self._cause(status)
        except Exception:  # that it has ended is told all the same
            log.exception("machine %s, run %d: why it has ended is not known", self.who.machine, self.who.epoch)
        try:
            await self.on_end(end if self.begun else None)
        except Exception:  # whoever waits for the end gets it
            log.exception("machine %s, run %d: its leftovers were not removed", self.who.machine, self.who.epoch)
        self.mounts.close()
        self.ended.set()
        self.cleared.set()

    async def _cause(self, status: int | None) -> RunEnd:
        if self._asked_to_end:
            return RunEnd(FactCause.ASKED)
        if self.observed.shutdown is not None:
            return RunEnd(self.observed.shutdown)
        if status is not None and os.WIFSIGNALED(status):
            number = os.WTERMSIG(status)
            name = signal.Signals(number).name if number in set(signal.Signals) else f"signal {number}"  # of real time
            return RunEnd(FactCause.KILLED if number == signal.SIGKILL else FactCause.UNKNOWN, name)
        if status is not None and os.WIFEXITED(status) and os.WEXITSTATUS(status):
            return RunEnd(FactCause.UNKNOWN, await self.last_words())
        return RunEnd(FactCause.KILLED)  # without an exit status: it is not a child of ours, so nothing else is known

    async def _ends_within(self, seconds: float) -> bool:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self.ended.wait()
        return self.ended.is_set()


async def _nothing(_end: RunEnd | None = None) -> None:
    """A callback that does nothing."""


def _reap(pid: int) -> int | None:
    """The wait status of a child of ours; None for a process that another server started."""
    try:
        return os.waitpid(pid, os.WNOHANG)[1]
    except ChildProcessError:
        return None
