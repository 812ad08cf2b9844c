"""What one machine does, made of its monitor's events and answers: each change is told once, with its cause.

https://www.qemu.org/docs/master/interop/qemu-qmp-ref.html
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from velocity.hypervisor.port import Changed, Fact, Why

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

Tell = Callable[[Fact, Why, str], Changed]
"""Numbers a fact and tells it."""


class Observed:
    """`last` is what was told last, `shutdown` why QEMU ends. `pausing` is set by whoever asks for a pause."""

    def __init__(self, tell: Tell) -> None:
        self.last: Changed | None = None
        self.shutdown: Why | None = None
        self.pausing = False
        self._tell = tell
        self._cause: tuple[Why, str] | None = None

    @property
    def why_is_open(self) -> bool:
        """It has stopped, and no event said why."""
        return self.last is not None and self.last.fact is Fact.PAUSED and self.last.why is Why.UNKNOWN

    def does(self, *facts: Fact) -> bool:
        """Whether what was told last is one of these."""
        return self.last is not None and self.last.fact in facts

    def hear(self, name: str, data: Mapping[str, Any]) -> None:
        """Take an event."""
        match name:
            case "SHUTDOWN":
                self.shutdown = SHUTDOWN.get(str(data.get("reason", "")), Why.UNKNOWN)
            case "GUEST_PANICKED":
                self._cause = Why.GUEST_PANICKED, ""
            case "BLOCK_IO_ERROR" if data.get("action") == "stop":
                self._cause = Why.DISK_FULL if data.get("nospace") else Why.DISK_ERROR, str(data.get("reason", ""))
            case "STOP":
                why, detail = self._cause or (Why.ASKED if self.pausing else Why.UNKNOWN, "")
                self._cause, self.pausing = None, False
                self.note(Fact.PAUSED, why, detail)
            case "RESUME" | "SUSPEND" | "WAKEUP":
                self._cause, self.pausing = None, False
                self.note(Fact.RUNNING, Why.ASKED)
            case "RESET" if data.get("guest"):
                reset = self.note(Fact.RUNNING, Why.GUEST_RESET)
                self.last = msgspec.structs.replace(reset, why=Why.ASKED)  # this happened once; what it does goes on
            case _:
                pass

    def answer(self, before: Changed | None, fact: Fact, why: Why) -> Changed:
        """Take what its monitor has answered; `before` is what was told last when it was asked.

        What was told meanwhile came with an event, and is as good; a cause that was told stays.
        """
        last = self.last
        if last is None or last.fact is Fact.SILENT or (last is before and last.fact is not fact):
            return self.note(fact, why)
        if last.fact is fact and last.why is Why.UNKNOWN and why is not Why.UNKNOWN:
            return self.note(fact, why)
        return last

    def note(self, fact: Fact, why: Why, detail: str = "") -> Changed:
        self.last = self._tell(fact, why, detail)
        return self.last
