"""Changes that are only planned: a request runs through all its checks, and ends where its first change would be.

An area tells its steps with `step` right before the change, and what it reserves with `consumes`; then it calls
`ends`, unless the change is a write to the store, which calls it by itself. For requests that are no plan these do
nothing.
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
    """Here the change would begin. Whoever has reserved something gives it back, as on any failure."""


class _Draft:
    def __init__(self) -> None:
        self.steps: list[Step] = []
        self.consumes: dict[tuple[int, int | None], dict[str, int]] = {}
        self.warnings: list[str] = []
        self.ended = False


NO_CHANGES: Mapping[str, Any] = MappingProxyType({})
Place = tuple[HostRef | UnsetType, str]
"""Where a VM is to be, and why there."""
ANYWHERE: Place = (UNSET, "")
_DRAFT: ContextVar[_Draft | None] = ContextVar("plan", default=None)


async def run_plan(serve: Callable[[], Awaitable[object]]) -> Plan:
    """What `serve` would do. Raises `Refused` as it would."""
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


def is_plan() -> bool:
    """Whether the present request only wants a plan."""
    return _DRAFT.get() is not None


def step(
    do: Do,
    kind: Kind,
    name: str,
    *,
    id: int | UUID | None = None,
    gid: int | None = None,
    changes: Mapping[str, tuple[object, object] | None] = NO_CHANGES,
    live: tuple[Sequence[str], Mapping[str, str]] = ((), NO_CHANGES),
    place: Place = ANYWHERE,
) -> None:
    """Tell one. `place`: where a VM is to be, and why there.

    `live`: the changes that are made while it runs, and those that wait for its next start, and why.
    Of `changes`, field -> (old, new), equal ones are none, and a step of such alone is none either.

       None in place of a pair: the field changes, and is not shown.
    """
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
    """Tell what a group takes, or gives back."""
    draft = _DRAFT.get()
    if draft is None or draft.ended:
        return
    taken = draft.consumes.setdefault((gid, mpid), {})
    for name, amount in amounts.items():
        taken[name] = taken.get(name, 0) + amount


def warns(warnings: list[str]) -> None:
    """Tell what will not work as one might expect."""
    draft = _DRAFT.get()
    if draft is not None:
        draft.warnings += warnings


def stop_here() -> None:
    """Everything was checked, and from here on something would change."""
    draft = _DRAFT.get()
    if draft is not None:
        draft.ended = True
        raise PlanComplete
