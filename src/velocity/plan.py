"""Plans: a request makes all its checks, and ends where it would change something.

Areas report each step with `step` right before it, and reservations with `consumes`; then they call `stop_here`, as
does every write to the store. If the request is not a plan, only its changes are noted, for the history.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextvars import ContextVar
from types import MappingProxyType
from typing import Any
from uuid import UUID

from msgspec import UNSET, UnsetType

from velocity.contract.placement import HostRef
from velocity.contract.plan import Consumption, Do, FieldChange, Kind, Plan, Step


class PlanComplete(Exception):
    """The plan is complete. Reservations are released, as after any failure."""


class _Draft:
    def __init__(self) -> None:
        self.steps: list[Step] = []
        self.consumes: dict[tuple[int, int | None], dict[str, int]] = {}
        self.warnings: list[str] = []
        self.ended = False


FieldChanges = Mapping[str, tuple[object, object] | None]
"""Field -> (old, new), or None for a field whose values are not shown."""
NO_CHANGES: Mapping[str, Any] = MappingProxyType({})
Place = tuple[HostRef | UnsetType, str]
"""The host for a VM, and the reason."""
ANYWHERE: Place = (UNSET, "")
_DRAFT: ContextVar[_Draft | None] = ContextVar("plan", default=None)
_NOTED: ContextVar[dict[str, tuple[object, object] | None] | None] = ContextVar("noted", default=None)


async def run_plan(serve: Callable[[], Awaitable[object]]) -> Plan:
    """What `serve` would do. Raises `Refused` if it would be refused."""
    draft = _Draft()
    token = _DRAFT.set(draft)
    try:
        await serve()
    except PlanComplete:
        pass
    finally:
        _DRAFT.reset(token)
    return Plan(
        plan=True,
        steps=draft.steps,
        consumes=[
            Consumption(gid=gid, mpid=UNSET if mpid is None else mpid, **left)
            for (gid, mpid), taken in draft.consumes.items()
            if (left := {name: count for name, count in taken.items() if count})
        ],
        warnings=draft.warnings or UNSET,
    )


def note_changes() -> FieldChanges:
    """From here on, what the steps of the present request change is noted in the result, for the history."""
    noted: dict[str, tuple[object, object] | None] = {}
    _NOTED.set(noted)
    return noted


def also(changes: FieldChanges) -> None:
    """Note changes of the present request that its steps do not report."""
    if (noted := _NOTED.get()) is not None:
        noted.update(changes)


def is_plan() -> bool:
    """Whether the present request is only a plan."""
    return _DRAFT.get() is not None


def step(
    do: Do,
    kind: Kind,
    name: str,
    *,
    id: int | UUID | None = None,
    gid: int | None = None,
    changes: FieldChanges = NO_CHANGES,
    live: tuple[Sequence[str], Mapping[str, str]] = ((), NO_CHANGES),
    place: Place = ANYWHERE,
) -> None:
    """Report a step. Equal values in `changes` are left out; a step that changes nothing is, too.

    `live`: the fields that change while the VM runs, and those that wait for its next start, with reasons. `place`: the
    host for a VM, and the reason.
    """
    also(changes)
    draft = _DRAFT.get()
    if draft is None:
        return
    told = [_change(field, pair) for field, pair in changes.items() if pair is None or pair[0] != pair[1]]
    if changes and not told:
        return
    at_once, waits = live
    draft.steps.append(
        Step(
            do=do,
            kind=kind,
            name=name,
            id=UNSET if id is None else id,
            gid=UNSET if gid is None else gid,
            changes=told or UNSET,
            live=list(at_once) or UNSET,
            waits=dict(waits) or UNSET,
            host=place[0],
            because=place[1] or UNSET,
        )
    )


def _change(field: str, pair: tuple[object, object] | None) -> FieldChange:
    old, new = pair or (None, None)
    return FieldChange(field=field, old=UNSET if old is None else old, new=UNSET if new is None else new)


def consumes(gid: int, amounts: Mapping[str, int], *, mpid: int | None = None) -> None:
    """Report by how much a group's usage would grow; negative amounts shrink it."""
    draft = _DRAFT.get()
    if draft is None or draft.ended:
        return
    taken = draft.consumes.setdefault((gid, mpid), {})
    for name, amount in amounts.items():
        taken[name] = taken.get(name, 0) + amount


def warns(warnings: list[str]) -> None:
    """Report warnings."""
    draft = _DRAFT.get()
    if draft is not None:
        draft.warnings += warnings


def stop_here() -> None:
    """Ends a plan: everything is checked, and the next step would change something."""
    draft = _DRAFT.get()
    if draft is not None:
        draft.ended = True
        raise PlanComplete
