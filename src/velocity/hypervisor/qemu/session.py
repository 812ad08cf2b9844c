"""One running QEMU: its monitor, its events as facts, and its end, seen by a pidfd.

https://www.qemu.org/docs/master/interop/qemu-qmp-ref.html; pidfd_open(2)
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import socket
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from qemu.qmp import ExecuteError, Message, QMPClient, QMPError, Runstate

from velocity.hypervisor.port import Changed, Fact, HypervisorError, Incarnation, News, NotRunning, Unknown, Why
from velocity.hypervisor.qemu.screen import Screendumps
from velocity.hypervisor.qemu.serial import SerialHub
from velocity.hypervisor.qemu.watch import Follower, to_its_end
from velocity.hypervisor.qemu.words import Words, said

log = logging.getLogger(__name__)

QUIT_PATIENCE = 2.0
"""Seconds that QEMU gets to end in order before it is killed."""

STATUS: dict[str, tuple[Fact, Why]] = {
    "running": (Fact.RUNNING, Why.ASKED),
    "prelaunch": (Fact.HELD, Why.ASKED),
    "paused": (Fact.PAUSED, Why.ASKED),
    "debug": (Fact.PAUSED, Why.UNKNOWN),
    "inmigrate": (Fact.PAUSED, Why.ASKED),
    "postmigrate": (Fact.PAUSED, Why.ASKED),
    "finish-migrate": (Fact.PAUSED, Why.ASKED),
    "save-vm": (Fact.PAUSED, Why.ASKED),
    "restore-vm": (Fact.PAUSED, Why.ASKED),
    "suspended": (Fact.RUNNING, Why.ASKED),
    "watchdog": (Fact.PAUSED, Why.UNKNOWN),
    "shutdown": (Fact.PAUSED, Why.GUEST_SHUTDOWN),
    "guest-panicked": (Fact.PAUSED, Why.GUEST_PANICKED),
    "io-error": (Fact.PAUSED, Why.DISK_ERROR),
    "internal-error": (Fact.PAUSED, Why.INTERNAL_ERROR),
}
"""QMP's RunState -> what it means here."""

SHUTDOWN: dict[str, Why] = {
    "guest-shutdown": Why.GUEST_SHUTDOWN,
    "guest-reset": Why.GUEST_SHUTDOWN,
    "guest-panic": Why.GUEST_PANICKED,
    "host-signal": Why.HOST_SIGNAL,
    "host-qmp-quit": Why.ASKED,
}
"""QMP's ShutdownCause -> why the process ended."""

Tell = Callable[[News], None]


class _Monitor(QMPClient):
    """Passes messages on as they are; the library writes each out anew for a log that nobody reads."""

    def _cb_outbound(self, msg: Message) -> Message:
        return msg

    def _cb_inbound(self, msg: Message) -> Message:
        return msg


class Session:
    """The one QMP client of a machine. `tell` gets its news; `gone` says that the process is gone.

    `ended` is set when `on_end` has cleared what remained, too: the next run may begin. After the process has ended
    nothing is told but that, once, and only if nobody asked for it.
    """

    serial: SerialHub
    """Its console; given once, after the session was made."""

    def __init__(self, who: Incarnation, pid: int, words: Words | None, qemu_log: Path, tell: Tell) -> None:
        """`words` is None where QEMU writes to `qemu_log` itself. Raises `OSError`: it cannot be watched."""
        self.who = who
        self.pid = pid
        self.screens = Screendumps(self)
        self.gone = False
        self.ended = asyncio.Event()
        self.on_end: Callable[[], Awaitable[None]] = _nothing
        self._pidfd = os.pidfd_open(pid)
        self._words = words
        self._log = qemu_log
        self._lending = asyncio.Lock()
        self._follower: Follower | None = None
        self._tell = tell
        self._client = _Monitor(f"vm-{str(who.machine)[:8]}")
        self._listener: asyncio.Task[None] | None = None
        self._ending: asyncio.Task[None] | None = None
        self._sweeping: asyncio.Task[None] | None = None
        self._asked_to_end = False
        self._calls = 0
        self._why = Why.ASKED
        self._detail = ""
        self._shutdown: str | None = None
        asyncio.get_running_loop().add_reader(self._pidfd, self._gone)
        if words is not None:
            self._follower = Follower(f"what the QEMU of {who.machine} says", lambda: to_its_end(words.copy))
            if words.more:
                self._follower.heard()

    def heard(self) -> None:
        """QEMU has written to one of its files."""
        self.serial.heard()
        if self._follower is not None:
            self._follower.heard()

    async def connect(self, path: Path, *, deadline: float) -> None:
        """Be QEMU's client. Raises `HypervisorError` with QEMU's own words, `Unknown` when it does not answer."""
        plug = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        plug.setblocking(False)
        try:
            plug.connect(str(path))
            await asyncio.wait_for(self._client.connect(plug), deadline)
        except TimeoutError:
            plug.close()
            raise Unknown("QEMU does not answer") from None
        except (QMPError, OSError, EOFError) as error:
            plug.close()
            raise HypervisorError(await self.last_words() or f"QEMU ended at its start: {error}") from None
        self._listener = asyncio.create_task(self._listen())

    async def execute(self, command: str, *, deadline: float, **arguments: Any) -> Any:
        """One command. Raises `HypervisorError`, `NotRunning`, `Unknown`."""
        if self.gone:
            raise NotRunning("QEMU has ended")
        self._calls += 1
        try:
            async with asyncio.timeout(deadline):  # no task of its own, as wait_for makes one
                return await self._client.execute(command, arguments or None)
        except TimeoutError:
            raise Unknown(f"QEMU did not answer {command}") from None
        except ExecuteError as error:
            raise HypervisorError(str(error)) from None
        except (QMPError, OSError, EOFError) as error:
            if await self._ends_within(1.0) or self.gone:
                raise NotRunning("QEMU has ended") from None
            raise HypervisorError(f"QEMU's monitor does not work: {error}") from None
        finally:
            self._calls -= 1

    async def lend(self, descriptor: int, name: str, *, deadline: float, fdset: int | None = None) -> int:
        """Give QEMU a copy of a descriptor, under a name; the number of its set is returned. unix(7), SCM_RIGHTS

        Without `fdset` it is a new set.

        `qemu.qmp` sends descriptors only where asyncio's own loop runs, hence its socket. QEMU keeps what came until
        the next command takes it, so nothing is awaited before that is on its way.
        """
        into = {} if fdset is None else {"fdset-id": fdset}
        async with self._lending:
            writer = self._client._writer
            plug = None if writer is None else writer.get_extra_info("socket")
            if plug is None or self.gone:
                raise NotRunning("QEMU has ended")
            try:
                with socket.socket(fileno=os.dup(plug.fileno())) as copy:
                    socket.send_fds(copy, [b" "], [descriptor])
            except OSError as error:
                raise HypervisorError(f"QEMU's monitor takes nothing: {error.strerror}") from None
            return int((await self.execute("add-fd", deadline=deadline, opaque=name, **into))["fdset-id"])

    async def status(self, *, deadline: float) -> tuple[Fact, Why]:
        """What the guest does now."""
        answer = await self.execute("query-status", deadline=deadline)
        fact, why = STATUS.get(answer["status"], (Fact.PAUSED, Why.UNKNOWN))
        if why is Why.DISK_ERROR and await self._no_space(deadline):
            why = Why.DISK_FULL
        return fact, why

    async def end(self, *, deadline: float) -> None:
        """End QEMU now, in order if it listens, else by SIGKILL. Returns when the process is gone."""
        self._asked_to_end = True
        with contextlib.suppress(HypervisorError):
            await self.execute("quit", deadline=QUIT_PATIENCE)
        if not await self._ends_within(QUIT_PATIENCE):
            self.kill()
            if not await self._ends_within(deadline):
                raise Unknown("QEMU's process does not end")

    def kill(self) -> None:
        self._asked_to_end = True
        with contextlib.suppress(OSError):
            signal.pidfd_send_signal(self._pidfd, signal.SIGKILL)

    async def close(self) -> None:
        """Let go of it; it goes on. One that ends just now is buried by the server that comes next."""
        if self._ending is not None:
            self._ending.cancel()
            await asyncio.wait({self._ending})
        if self._pidfd >= 0:
            asyncio.get_running_loop().remove_reader(self._pidfd)
            os.close(self._pidfd)
            self._pidfd = -1
        await self._let_go()

    async def _let_go(self) -> None:
        await self.serial.close()
        self.screens.close()
        if self._words is not None and self._follower is not None:
            await self._follower.close()
            await self._keep_words()
            self._words.close()
            self._words = None
        for task in (self._listener, self._sweeping):
            if task is not None:
                task.cancel()
        await self._disconnect()

    async def last_words(self) -> str:
        """What QEMU said in this run, without its time stamps and program name; empty when it said nothing."""
        await self._keep_words()
        text = (await asyncio.to_thread(said, self._log, 8192)).decode("utf-8", "replace")
        lines = [line.split("qemu-system-x86_64: ", 1)[-1].strip() for line in text.splitlines()]
        return "; ".join(line for line in lines if line)[:500]

    async def _keep_words(self) -> None:
        if self._words is not None and self._words.more:
            with contextlib.suppress(OSError):
                await to_its_end(self._words.copy)

    # Events

    async def _listen(self) -> None:
        async for event in self._client.events:
            data = event.get("data")
            self._event(str(event["event"]), data if isinstance(data, dict) else {})

    def _event(self, name: str, data: dict[str, Any]) -> None:
        match name:
            case "SHUTDOWN":
                self._shutdown = str(data.get("reason", ""))
            case "GUEST_PANICKED":
                self._why, self._detail = Why.GUEST_PANICKED, ""
            case "BLOCK_IO_ERROR" if data.get("action") == "stop":
                self._why = Why.DISK_FULL if data.get("nospace") else Why.DISK_ERROR
                self._detail = str(data.get("reason", ""))
            case "STOP" if self._why is not Why.ASKED:
                self._tell(Changed(self.who, Fact.PAUSED, self._why, self._detail))
                self._why, self._detail = Why.ASKED, ""
            case "RESUME" if self.screens.left:
                self._sweeping = asyncio.create_task(self.screens.sweep())
            case "RESET" if data.get("guest"):
                self._tell(Changed(self.who, Fact.RUNNING, Why.GUEST_RESET))
            case _:
                pass

    # The end

    def _gone(self) -> None:
        self.gone = True
        asyncio.get_running_loop().remove_reader(self._pidfd)
        self._ending = asyncio.create_task(self._end())

    async def _end(self) -> None:
        await self._hear_out()
        status = _reap(self.pid)
        os.close(self._pidfd)
        self._pidfd = -1
        await self._let_go()
        why, detail = await self._cause(status)
        try:
            await self.on_end()
        except Exception:  # whoever waits for the end gets it
            log.exception("what the run %d of the machine %s left is not cleared", self.who.epoch, self.who.machine)
        self.ended.set()
        if not self._asked_to_end:
            self._tell(Changed(self.who, Fact.ENDED, why, detail))

    async def _cause(self, status: int | None) -> tuple[Why, str]:
        if self._shutdown is not None:
            return SHUTDOWN.get(self._shutdown, Why.UNKNOWN), ""
        if status is not None and os.WIFSIGNALED(status):
            number = os.WTERMSIG(status)
            detail = signal.Signals(number).name
            return (Why.KILLED, detail) if number == signal.SIGKILL else (Why.UNKNOWN, detail)
        if status is not None and os.WIFEXITED(status) and os.WEXITSTATUS(status):
            return Why.UNKNOWN, await self.last_words()
        return Why.KILLED, ""  # without a last word: no child of ours, so nothing else is known

    async def _hear_out(self) -> None:
        """Take the events that QEMU sent before its end."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(0.5):
                while self._client.runstate is Runstate.RUNNING:
                    await self._client.runstate_changed()
        for _ in range(100):
            if self._client.events.empty():
                break
            await asyncio.sleep(0)

    async def _disconnect(self) -> None:
        with contextlib.suppress(Exception):  # EOFError, ConnectionResetError: it is gone, which is what we want
            await asyncio.wait_for(self._client.disconnect(), 1.0)

    async def _ends_within(self, seconds: float) -> bool:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self.ended.wait(), seconds)
        return self.ended.is_set()

    async def _no_space(self, deadline: float) -> bool:
        devices = await self.execute("query-block", deadline=deadline)
        return any(device.get("io-status") == "nospace" for device in devices)


async def _nothing() -> None:
    """What is to be done at the end, until somebody says."""


def _reap(pid: int) -> int | None:
    """The wait status of a child of ours; None for a process that another server started."""
    try:
        return os.waitpid(pid, os.WNOHANG)[1]
    except ChildProcessError:
        return None
