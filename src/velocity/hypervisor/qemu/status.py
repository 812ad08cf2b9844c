"""Queries a machine's state from its monitor: one query at a time, which all callers share.

https://www.qemu.org/docs/master/interop/qemu-qmp-ref.html (query-status)
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import msgspec

from velocity.hypervisor.port import Fact, FactCause, FactReport, HypervisorError, NotRunning, Unknown
from velocity.hypervisor.qemu.event_interpreter import STANDS_STILL, EventInterpreter
from velocity.hypervisor.qemu.fact_stream import FactStream
from velocity.hypervisor.qemu.monitor import FIRST_PAUSE, LAST_PAUSE, REMOVED, SILENT, SILENT_AFTER, Monitor


class StatusQuery:
    """Reports the answer as soon as it comes. `do` runs the query as a task that ends with the run."""

    def __init__(
        self,
        monitor: Monitor,
        observed: EventInterpreter,
        news: FactStream,
        do: Callable[[Coroutine[Any, Any, None]], asyncio.Task[None]],
    ) -> None:
        self._monitor = monitor
        self._observed = observed
        self._news = news
        self._do = do
        self._asking: asyncio.Task[None] | None = None

    @property
    def answered(self) -> bool:
        """Whether no query of the state is open."""
        return self._asking is None or (self._asking.done() and not self._asking.cancelled())

    async def facts(self, *, deadline: float) -> FactReport:
        """The present state. Raises `NotRunning` when it has ended, `Unknown`."""
        if self._monitor.removed:
            raise Unknown(REMOVED)
        asking = self.ask()
        await asyncio.wait({asking}, timeout=deadline)
        if self._monitor.over:
            raise NotRunning("QEMU has ended")
        if not asking.done() or asking.cancelled():
            raise Unknown(self._monitor.trouble or SILENT)
        asking.result()
        assert self._observed.last is not None
        return msgspec.structs.replace(self._observed.last, number=self._news.next_number())

    def ask(self) -> asyncio.Task[None]:
        """The one open query of the state; its answer is reported as soon as it comes."""
        if self._asking is None or self._asking.done():
            self._asking = self._do(self._ask())
        return self._asking

    async def _ask(self) -> None:
        silence = asyncio.get_running_loop().call_later(SILENT_AFTER, self.note_silence)
        pause = FIRST_PAUSE
        try:
            while True:
                before = self._observed.last
                try:
                    fact, why = await self._status()
                except NotRunning:
                    raise
                except HypervisorError:  # its connection is being made again
                    await asyncio.sleep(pause)
                    pause = min(2 * pause, LAST_PAUSE)
                    continue
                self._observed.on_query_answer(before, fact, why)
                return
        finally:
            silence.cancel()

    async def _status(self) -> tuple[Fact, FactCause]:
        """Raises `HypervisorError`, also when the answers make no sense."""
        answer = await self._monitor.execute("query-status", deadline=None)
        try:
            if answer["status"] == STANDS_STILL:
                raise HypervisorError("it is not decided on which host it continues")
            fact, why = self._observed.meaning(answer["status"])
            if why is FactCause.DISK_ERROR:
                devices = await self._monitor.execute("query-block", deadline=None)
                if any(device.get("io-status") == "nospace" for device in devices):
                    why = FactCause.DISK_FULL
        except (TypeError, LookupError, AttributeError):
            raise HypervisorError("QEMU does not report its state") from None
        return fact, why

    def note_silence(self) -> None:
        """It does not report its state: report that once."""
        if not self._monitor.over and not self._observed.does(Fact.SILENT):
            self._observed.record_fact(Fact.SILENT, FactCause.UNKNOWN, self._monitor.trouble or SILENT)
