"""The states of a VM: one table, (state, cause) -> state, from which diagram, tests and documentation are made."""

from __future__ import annotations

import enum

from velocity.contract.machines import State
from velocity.contract.plan import Do


class Cause(enum.Enum):
    """What moves a VM to another state. ASK_* come from users, the others from the hypervisor."""

    ASK_RUN = "RUNNING requested"
    ASK_PAUSE = "PAUSED requested"
    ASK_STOP = "STOPPED requested"
    ASK_KILL = "STOPPED requested with force"
    ASK_RESTART = "a restart requested"
    ASK_RESET = "a reset requested"
    RUNS = "the guest runs"
    HALTED = "the guest is halted"
    BROKE = "the guest panicked, or a disk is full"
    ENDED = "the process ended"
    FAILED = "the hypervisor refused"


ASKED = frozenset({Cause.ASK_RUN, Cause.ASK_PAUSE, Cause.ASK_STOP, Cause.ASK_KILL, Cause.ASK_RESTART, Cause.ASK_RESET})

_S = State
_C = Cause

TRANSITIONS: dict[tuple[State, Cause], State] = {
    (_S.STOPPED, _C.ASK_RUN): _S.STARTING,
    (_S.STOPPED, _C.ASK_PAUSE): _S.STARTING,
    (_S.STOPPED, _C.ASK_STOP): _S.STOPPED,
    (_S.STOPPED, _C.ASK_KILL): _S.STOPPED,
    (_S.STOPPED, _C.RUNS): _S.RUNNING,
    (_S.STOPPED, _C.HALTED): _S.PAUSED,
    (_S.STOPPED, _C.BROKE): _S.PAUSED,
    (_S.STARTING, _C.ASK_KILL): _S.STOPPING,
    (_S.STARTING, _C.RUNS): _S.RUNNING,
    (_S.STARTING, _C.HALTED): _S.PAUSED,
    (_S.STARTING, _C.BROKE): _S.PAUSED,
    (_S.STARTING, _C.ENDED): _S.STOPPED,
    (_S.STARTING, _C.FAILED): _S.STOPPED,
    (_S.RUNNING, _C.ASK_RUN): _S.RUNNING,
    (_S.RUNNING, _C.ASK_PAUSE): _S.PAUSING,
    (_S.RUNNING, _C.ASK_STOP): _S.STOPPING,
    (_S.RUNNING, _C.ASK_KILL): _S.STOPPING,
    (_S.RUNNING, _C.ASK_RESTART): _S.STOPPING,
    (_S.RUNNING, _C.ASK_RESET): _S.RUNNING,
    (_S.RUNNING, _C.RUNS): _S.RUNNING,
    (_S.RUNNING, _C.HALTED): _S.PAUSED,
    (_S.RUNNING, _C.BROKE): _S.PAUSED,
    (_S.RUNNING, _C.ENDED): _S.STOPPED,
    (_S.PAUSING, _C.ASK_KILL): _S.STOPPING,
    (_S.PAUSING, _C.HALTED): _S.PAUSED,
    (_S.PAUSING, _C.RUNS): _S.RUNNING,
    (_S.PAUSING, _C.BROKE): _S.PAUSED,
    (_S.PAUSING, _C.ENDED): _S.STOPPED,
    (_S.PAUSING, _C.FAILED): _S.RUNNING,
    (_S.PAUSED, _C.ASK_RUN): _S.RESUMING,
    (_S.PAUSED, _C.ASK_PAUSE): _S.PAUSED,
    (_S.PAUSED, _C.ASK_STOP): _S.STOPPING,
    (_S.PAUSED, _C.ASK_KILL): _S.STOPPING,
    (_S.PAUSED, _C.ASK_RESTART): _S.STOPPING,
    (_S.PAUSED, _C.ASK_RESET): _S.PAUSED,
    (_S.PAUSED, _C.RUNS): _S.RUNNING,
    (_S.PAUSED, _C.HALTED): _S.PAUSED,
    (_S.PAUSED, _C.BROKE): _S.PAUSED,
    (_S.PAUSED, _C.ENDED): _S.STOPPED,
    (_S.RESUMING, _C.ASK_KILL): _S.STOPPING,
    (_S.RESUMING, _C.RUNS): _S.RUNNING,
    (_S.RESUMING, _C.HALTED): _S.PAUSED,
    (_S.RESUMING, _C.BROKE): _S.PAUSED,
    (_S.RESUMING, _C.ENDED): _S.STOPPED,
    (_S.RESUMING, _C.FAILED): _S.PAUSED,
    (_S.STOPPING, _C.ASK_STOP): _S.STOPPING,
    (_S.STOPPING, _C.ASK_KILL): _S.STOPPING,
    (_S.STOPPING, _C.ASK_RESTART): _S.STOPPING,
    (_S.STOPPING, _C.RUNS): _S.STOPPING,
    (_S.STOPPING, _C.HALTED): _S.STOPPING,
    (_S.STOPPING, _C.BROKE): _S.PAUSED,
    (_S.STOPPING, _C.ENDED): _S.STOPPED,
}

STEADY = frozenset({State.STOPPED, State.RUNNING, State.PAUSED})

REQUESTABLE: dict[State, Cause] = {
    _S.STOPPED: _C.ASK_STOP,
    _S.RUNNING: _C.ASK_RUN,
    _S.PAUSED: _C.ASK_PAUSE,
}


def after(state: State, cause: Cause) -> State | None:
    """The state that follows; None if the cause has no meaning in that state."""
    return TRANSITIONS.get((state, cause))


def diagram() -> str:
    """The table as a Mermaid state diagram, self-loops left out."""
    lines = ["stateDiagram-v2", "    [*] --> STOPPED"]
    for (state, cause), following in TRANSITIONS.items():
        if state is not following:
            lines.append(f"    {state.value} --> {following.value}: {cause.value}")
    return "\n".join(lines)


DOES: dict[tuple[State, Cause], tuple[Do, ...]] = {
    (State.STARTING, Cause.ASK_RUN): ("start",),
    (State.STARTING, Cause.ASK_PAUSE): ("start", "pause"),
    (State.PAUSING, Cause.ASK_PAUSE): ("pause",),
    (State.RESUMING, Cause.ASK_RUN): ("resume",),
    (State.STOPPING, Cause.ASK_STOP): ("stop",),
    (State.STOPPING, Cause.ASK_KILL): ("kill",),
    (State.STOPPING, Cause.ASK_RESTART): ("stop", "start"),
    (State.RUNNING, Cause.ASK_RESET): ("reset",),
    (State.PAUSED, Cause.ASK_RESET): ("reset",),
}
"""Request and new state -> what is done."""


PRESSES = (2.0, 3.0, 5.0, 8.0, 12.0, 20.0, 30.0)
"""Seconds between presses of the power button, for a guest that does not react yet; the last one repeats."""


def next_press(count: int) -> float:
    """Seconds to wait after so many presses."""
    return PRESSES[min(count, len(PRESSES)) - 1]
