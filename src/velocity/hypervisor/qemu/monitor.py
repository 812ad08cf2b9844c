"""The QMP connection to one QEMU: reconnects after failures, and limits open commands and incoming events.

https://www.qemu.org/docs/master/interop/qmp-spec.html
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import socket
from collections import deque
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from qemu.qmp import ExecuteError, Message, QMPClient, QMPError, Runstate

from velocity.hypervisor.port import HypervisorError, NotRunning, Unknown
from velocity.hypervisor.qemu.event_interpreter import plain

FIRST_PAUSE = 0.1
LAST_PAUSE = 0.8
"""Seconds between attempts to connect, at most."""
SILENT_AFTER = 1.0
"""Seconds without an answer after which no more commands are sent."""
REMOVED = "its run directory was removed while it was running: it can only be stopped with force"
SILENT = "its monitor does not respond"

HANGS_AFTER = 0.2
"""Seconds without an answer after which QEMU is killed rather than told to quit."""
HANGS_UP = 1.0
"""Seconds for which the end of a connection is waited for."""

LONGEST = 1 << 20
"""Bytes of a message: the longest answers, of VMs at every limit, are a tenth of that."""
UNASKED, AT_ONCE = 100.0, 200
"""Events per second, and in a burst. A QEMU that was taken over and sends more is read more slowly, at its own cost."""

log = logging.getLogger(__name__)
quiet = logging.getLogger(f"{__name__}.quiet")
quiet.setLevel(logging.CRITICAL + 1)
Heard = Callable[[str, Mapping[str, Any]], None]
_endings: set[asyncio.Task[None]] = set()
"""Ends of connections that are under way: the event loop itself keeps no task alive."""


class Broken(Unknown):
    """The connection broke before the answer came."""


class _Client(QMPClient):
    """Passes each event on at once, hence before answers that QEMU sends later; keeps none.

    Messages are not reformatted, as the library does for a log that nobody reads.
    """

    def __init__(self, name: str, heard: Heard, answered: Callable[[], None]) -> None:
        super().__init__(name, readbuflen=LONGEST)
        self.negotiate = False  # `Monitor.connect` does that, and awaits nothing before the next command
        self.logger = quiet  # it logs each attempt to connect; what matters is logged here
        self._heard = heard
        self._answered = answered
        self._unasked = 0.0
        self._counted = asyncio.get_running_loop().time()

    def _get_exec_id(self) -> str:
        """Short ones: QEMU takes 6 us to read a byte."""
        self._execute_id += 1
        return f"{self._execute_id:x}"

    def _cb_outbound(self, msg: Message) -> Message:
        return msg

    def _cb_inbound(self, msg: Message) -> Message:
        return msg

    async def _event_dispatch(self, msg: Message) -> None:
        data = msg.get("data")
        try:
            self._heard(str(msg["event"]), data if isinstance(data, dict) else {})
        except Exception:  # the connection stays open
            log.exception("unknown QEMU event: %r", plain(msg["event"]))

    async def _on_message(self, msg: Message) -> None:
        if "event" in msg:
            await self._slow_down()
        else:
            self._answered()
            if "id" in msg and msg["id"] not in self._pending:
                await self._slow_down()
                return  # nobody waits for it any more
        await super()._on_message(msg)

    async def _slow_down(self) -> None:
        """Count an event; read nothing more until its turn has come."""
        now = asyncio.get_running_loop().time()
        self._unasked = max(0.0, self._unasked - (now - self._counted) * UNASKED) + 1
        self._counted = now
        await asyncio.sleep(max(0.0, self._unasked - AT_ONCE) / UNASKED)


class Monitor:
    """QEMU's monitor. `heard` receives events; `connected` and `lost` are called when `keep` connects or loses it."""

    def __init__(
        self, name: str, path: Path, heard: Heard, connected: Callable[[], None], lost: Callable[[], None]
    ) -> None:
        self._name = name
        self._path = path
        self._heard = heard
        self._connected = connected
        self._lost = lost
        self.client: _Client | None = None
        self.asked: deque[float] = deque()
        self._changed = asyncio.Event()
        self._keeping: asyncio.Task[None] | None = None
        self._hanging_up: asyncio.Task[None] | None = None
        self._lending = asyncio.Lock()
        self.over = False

    @property
    def trouble(self) -> str:
        """Why it does not answer; empty: it does, as far as is known."""
        if self.removed:
            return REMOVED
        return SILENT if not self._live() or self._stuck() else ""

    @property
    def hangs(self) -> bool:
        """Whether telling it to quit would be in vain."""
        return not self._live() or self._waits(HANGS_AFTER)

    @property
    def removed(self) -> bool:
        """Whether it can never be connected again, although its QEMU has not ended."""
        return not self.over and not self._live() and not self._path.exists()

    async def connect(self, command: str = "") -> None:
        """Connect, and execute this command, if any; waits until QEMU answers.

        Raises `QMPError`, `OSError`, `EOFError`.
        """
        client = await self._greeted()
        commands = ["qmp_capabilities", *([command] if command else [])]
        try:
            await asyncio.gather(*map(client.execute, commands))  # QEMU executes one command after the other
        except BaseException:
            self._hanging_up = asyncio.create_task(_hang_up(client))
            raise
        self.asked.clear()
        self.client = client
        self._changed.set()

    async def _greeted(self) -> _Client:
        client = _Client(self._name, self._heard, self._note_answer)
        plug = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            plug.setblocking(False)
            plug.connect(str(self._path))
            await client.connect(plug)
        except AssertionError:  # raised by the library if QEMU ends right after the negotiation
            plug.close()
            await _hang_up(client)
            raise EOFError("QEMU closed the connection") from None
        except BaseException:
            plug.close()
            raise
        return client

    def keep(self) -> None:
        """From here on, reconnect whenever there is no connection."""
        self._keeping = asyncio.create_task(self._keep())

    async def execute(self, command: str, *, deadline: float | None, **arguments: Any) -> Any:
        """Execute one command; it is not sent while an earlier one has long been waiting for its answer.

        Raises `HypervisorError`: QEMU refused, or it was not sent; `Unknown`; `NotRunning`.
        """
        sent = False
        try:
            async with asyncio.timeout(deadline):  # without a task of its own, as `wait_for` has
                client = await self._answering()
                self.asked.append(asyncio.get_running_loop().time())
                sent = True
                return await client.execute(command, arguments or None)
        except TimeoutError:
            if not sent:
                raise HypervisorError(f"{self.trouble or SILENT}: the request was not sent") from None
            raise Unknown(f"QEMU did not answer {command}") from None
        except ExecuteError as error:
            raise HypervisorError(plain(error)) from None
        except (QMPError, OSError, EOFError) as error:
            raise Broken(f"QEMU's monitor failed: {plain(error)}") from None

    async def lend(self, descriptor: int, name: str, *, deadline: float, fdset: int | None = None) -> int:
        """Pass QEMU a copy of a descriptor, under a name; returns the number of its fdset. unix(7), SCM_RIGHTS

        Without `fdset` it is a new one. `qemu.qmp` can send descriptors only in asyncio's own event loop, hence a
        socket of our own. QEMU keeps a descriptor until its next command takes it, so nothing is awaited before that is
        sent.
        """
        into = {} if fdset is None else {"fdset-id": fdset}
        return int((await self._give(descriptor, "add-fd", deadline, opaque=name, **into))["fdset-id"])

    async def give(self, descriptor: int, name: str, *, deadline: float) -> None:
        """Pass QEMU a copy of a descriptor, which the next command that uses this name takes."""
        await self._give(descriptor, "getfd", deadline, fdname=name)

    async def _give(self, descriptor: int, command: str, deadline: float, **arguments: Any) -> Any:
        async with self._lending:
            if not self._live() or self._stuck():
                raise Unknown(self.trouble)
            assert self.client is not None
            writer = self.client._writer
            plug = None if writer is None else writer.get_extra_info("socket")
            if plug is None:
                raise Unknown(SILENT)
            try:
                with socket.socket(fileno=os.dup(plug.fileno())) as copy:
                    socket.send_fds(copy, [b" "], [descriptor])
            except OSError as error:
                raise HypervisorError(f"QEMU's monitor accepts no data: {error.strerror}") from None
            return await self.execute(command, deadline=deadline, **arguments)

    def end(self) -> None:
        """QEMU has ended: wake whoever waits."""
        self.over = True
        self._changed.set()

    async def drained(self) -> None:
        """Return when QEMU has closed its side, so that all its events were read; or after a moment."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(0.5):
                while (client := self.client) is not None and client.runstate is Runstate.RUNNING:
                    await client.runstate_changed()

    async def close(self) -> None:
        if self._keeping is not None:
            self._keeping.cancel()
            await asyncio.wait({self._keeping})
        await self._drop()

    # Its connection

    async def _keep(self) -> None:
        pause = FIRST_PAUSE
        while True:
            if self.client is None:
                try:
                    await self.connect()
                except (QMPError, OSError, EOFError):
                    await self._drop()
                    self._changed.set()
                    await asyncio.sleep(pause)
                    pause = min(2 * pause, LAST_PAUSE)
                    continue
                pause = FIRST_PAUSE
                self._connected()
            while self._live():
                assert self.client is not None
                await self.client.runstate_changed()
            await self._drop()
            self._lost()
            await asyncio.sleep(FIRST_PAUSE)

    def _live(self) -> bool:
        return self.client is not None and self.client.runstate is Runstate.RUNNING

    async def _drop(self) -> None:
        client, self.client = self.client, None
        if client is not None:
            self._hanging_up = asyncio.create_task(_hang_up(client))
        if self._hanging_up is not None:  # it is completed even if the caller is cancelled
            await asyncio.wait({self._hanging_up})

    # What it is asked

    def _stuck(self) -> bool:
        return self._waits(SILENT_AFTER)

    def _waits(self, seconds: float) -> bool:
        """Whether its oldest command has been unanswered for so long."""
        return bool(self.asked) and asyncio.get_running_loop().time() - self.asked[0] > seconds

    def _note_answer(self) -> None:
        if self.asked:
            self.asked.popleft()
        self._changed.set()

    async def _answering(self) -> _Client:
        while True:
            if self.over:
                raise NotRunning("QEMU has ended")
            if self._live() and not self._stuck():
                assert self.client is not None
                return self.client
            if self.removed:
                raise HypervisorError(REMOVED)
            self._changed.clear()
            await self._changed.wait()


async def _hang_up(client: _Client) -> None:
    """Wait a moment for the end of its connection. That is not cancelled then: nobody would retrieve its error."""
    ending = asyncio.create_task(client.disconnect())
    _endings.add(ending)
    ending.add_done_callback(lambda ended: ended.cancelled() or ended.exception())  # it is gone, which is what we want
    ending.add_done_callback(_endings.discard)
    await asyncio.wait({ending}, timeout=HANGS_UP)
