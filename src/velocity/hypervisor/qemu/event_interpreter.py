"""Turns QMP events and answers of one machine into facts: each change is reported once, with its cause.

https://www.qemu.org/docs/master/interop/qemu-qmp-ref.html
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from velocity.hypervisor.port import Fact, FactCause, FactReport

STATUS: dict[str, tuple[Fact, FactCause]] = {
    "running": (Fact.RUNNING, FactCause.ASKED),
    "prelaunch": (Fact.HELD, FactCause.ASKED),
    "paused": (Fact.PAUSED, FactCause.ASKED),
    "debug": (Fact.PAUSED, FactCause.UNKNOWN),
    "inmigrate": (Fact.INCOMING, FactCause.ASKED),
    "postmigrate": (Fact.HANDED, FactCause.ASKED),
    "save-vm": (Fact.PAUSED, FactCause.ASKED),
    "restore-vm": (Fact.PAUSED, FactCause.ASKED),
    "suspended": (Fact.RUNNING, FactCause.ASKED),
    "watchdog": (Fact.PAUSED, FactCause.UNKNOWN),
    "shutdown": (Fact.PAUSED, FactCause.GUEST_SHUTDOWN),
    "guest-panicked": (Fact.PAUSED, FactCause.GUEST_PANICKED),
    "io-error": (Fact.PAUSED, FactCause.DISK_ERROR),
    "internal-error": (Fact.PAUSED, FactCause.INTERNAL_ERROR),
}
"""QMP's RunState -> fact and cause."""
STANDS_STILL = "finish-migrate"
"""The states in which it is undecided on which of two hosts the guest continues."""

SHUTDOWN: dict[str, FactCause] = {
    "guest-shutdown": FactCause.GUEST_SHUTDOWN,
    "guest-reset": FactCause.GUEST_SHUTDOWN,
    "guest-panic": FactCause.GUEST_PANICKED,
    "host-signal": FactCause.HOST_SIGNAL,
    "host-qmp-quit": FactCause.ASKED,
}
"""QMP's ShutdownCause -> why the process ended."""

WORDS = 500
"""Characters that are kept of QEMU's description of an error."""


def plain(said: object) -> str:
    """QEMU's text, ready to be stored, sent and shown: short, printable, valid UTF-8."""
    return "".join(one if one.isprintable() else " " for one in str(said)[:WORDS])


Tell = Callable[[Fact, FactCause, str], FactReport]
"""Numbers a fact and reports it."""


class EventInterpreter:
    """`last` is the last fact reported, `shutdown` why QEMU ends.

    `pausing` is set by whoever requests a pause; `reset` by each requested reset, and cleared by whoever requests it.
    `arriving`: its guest comes from another host, and nobody here has let it run; `leaving`: it is being sent to
    another.
    """

    def __init__(self, tell: Tell) -> None:
        self.last: FactReport | None = None
        self.shutdown: FactCause | None = None
        self.pausing = False
        self.arriving = self.leaving = False
        self.reset = asyncio.Event()
        self._tell = tell
        self._cause: tuple[FactCause, str] | None = None

    @property
    def why_is_open(self) -> bool:
        """It has stopped, and no event has said why."""
        return self.last is not None and self.last.fact is Fact.PAUSED and self.last.why is FactCause.UNKNOWN

    def does(self, *facts: Fact) -> bool:
        """Whether the last fact reported is one of these."""
        return self.last is not None and self.last.fact in facts

    def on_qmp_event(self, name: str, data: Mapping[str, Any]) -> None:
        """Handle an event."""
        match name:
            case "SHUTDOWN":
                self.shutdown = SHUTDOWN.get(str(data.get("reason", "")), FactCause.UNKNOWN)
            case "GUEST_PANICKED":
                self._cause = FactCause.GUEST_PANICKED, ""
            case "BLOCK_IO_ERROR" if data.get("action") == "stop":
                self._cause = (
                    FactCause.DISK_FULL if data.get("nospace") else FactCause.DISK_ERROR,
                    plain(data.get("reason", "")),
                )
            case "STOP" if self.leaving and self._cause is None:
                pass  # to be handed over, or to continue
            case "MIGRATION" if data.get("status") == "completed":
                if self.arriving:
                    self.record_fact(Fact.RECEIVED, FactCause.ASKED)
                elif self.leaving:
                    self.record_fact(Fact.HANDED, FactCause.ASKED)
            case "STOP":
                why, detail = self._cause or (FactCause.ASKED if self.pausing else FactCause.UNKNOWN, "")
                self._cause, self.pausing = None, False
                self.record_fact(Fact.PAUSED, why, detail)
            case "RESUME" | "SUSPEND" | "WAKEUP":
                self._cause, self.pausing = None, False
                self.record_fact(Fact.RUNNING, FactCause.ASKED)
            case "RESET" if data.get("guest"):
                reset = self.record_fact(Fact.RUNNING, FactCause.GUEST_RESET)
                # A single event: its state does not change.
                self.last = msgspec.structs.replace(reset, why=FactCause.ASKED)
            case "RESET":
                self.reset.set()
            case _:
                pass

    def meaning(self, status: str) -> tuple[Fact, FactCause]:
        """The fact for a state of its monitor."""
        fact, why = STATUS.get(status, (Fact.PAUSED, FactCause.UNKNOWN))
        return (Fact.RECEIVED, why) if self.arriving and fact is Fact.PAUSED else (fact, why)

    def on_query_answer(self, before: FactReport | None, fact: Fact, why: FactCause) -> FactReport:
        """Handle the answer to query-status; `before` is the last fact when it was sent.

        A fact reported meanwhile came from an event, and is as good; a cause that was reported stays.
        """
        last = self.last
        if last is None or last.fact is Fact.SILENT or (last is before and last.fact is not fact):
            return self.record_fact(fact, why)
        if last.fact is fact and last.why is FactCause.UNKNOWN and why is not FactCause.UNKNOWN:
            return self.record_fact(fact, why)
        return last

    def record_fact(self, fact: Fact, why: FactCause, detail: str = "") -> FactReport:
        self.last = self._tell(fact, why, detail)
        return self.last
