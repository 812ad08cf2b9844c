"""What an entry of the history contains."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache

from msgspec import UNSET

from velocity.contract.groups import SetQuota
from velocity.contract.machines import AlterVm, DeleteVm, SetState
from velocity.contract.medium import AlterMedium
from velocity.contract.nodes import SetNode
from velocity.contract.operation import Wire
from velocity.contract.pools import AssignPool
from velocity.contract.trash import TrashItem
from velocity.history.changes import VALUES, words
from velocity.plan import NO_CHANGES, FieldChanges

NAMED = (
    "uid", "gid", "parent_gid", "vmid", "mid", "mpid", "tid", "trid", "sid", "host", "duty", "name", "permission",
    "state",
)  # fmt: skip
"""The fields that identify what a request was about. Fields in neither list are never recorded."""
ALTERING = (AlterVm, AlterMedium, SetQuota, AssignPool, SetNode)
"""Requests whose changes are recorded."""
SAID = {*NAMED} - {"name"}
"""Fields of a target that are recorded in any case."""
UNSAID = {*SAID, *VALUES, "revision", "plan"}
ID = {"vm": "vmid", "medium": "mid", "group": "gid"}
"""Kind of an item of the trash -> the field with its id."""
PLAIN = re.compile(r"[\w.:@+~>,/-]+")
MOST = 200
"""The longest text from outside, in characters."""
TOLD = 1200
"""The longest target, with what was changed: some two dozen media."""


@dataclass(frozen=True)
class HistoryEntry:
    """Something that was done, or refused `times` times within a minute. `at` is in Unix seconds."""

    at: int
    uid: int | None
    name: str
    address: str
    request: str
    operation: str
    gid: int
    target: str
    status: int
    code: int | None
    message: str | None
    vmid: int | None
    times: int = 1

    @property
    def is_refusal(self) -> bool:
        return self.code is not None


def target(request: Wire, answer: Wire | None = None, changes: FieldChanges = NO_CHANGES) -> str:
    """What a request is about: ids and names; for an item of the trash, those of the deleted object.

    `changes`: what it changed; if that is unknown, the requested values are recorded. Texts with other than plain
    characters are quoted as in JSON, so that none can look like another field. The name comes last, as it may be long.
    """
    found = [(name, getattr(request, name)) for name in _named(type(request))]
    told = [(name, value) for name, value in found if isinstance(value, int | str) or hasattr(value, "hex")]
    if isinstance(answer, TrashItem):
        told += [(ID[answer.kind], answer.id), ("name", answer.name)]
    if getattr(request, "force", False) is True:
        told.append(("force", True))
    if isinstance(request, SetState) and (states := changes.get("state")) and states[0] != states[1]:
        told = [(name, "->".join(map(str, states)) if name == "state" else value) for name, value in told]
    if isinstance(request, DeleteVm) and (disks := changes.get("disks")):
        told.insert(1, ("disks", disks[0]))
    if isinstance(request, ALTERING):
        told = sorted([*told, *_changes(request, changes)], key=lambda one: one[0] == "name")
    return short(" ".join(f"{name}={_quoted(value)}" for name, value in told), TOLD)


def target_of(named: Mapping[str, int | str]) -> str:
    """`target` for what the server does by itself."""
    return short(" ".join(f"{name}={_quoted(value)}" for name, value in named.items()))


def _changes(request: Wire, changes: FieldChanges) -> Iterator[tuple[str, object]]:
    """`cpus=2->4` of what was changed; of a refused request what it asked for, `cpus=4`."""
    given = {name: value for name in request.__struct_fields__ if (value := getattr(request, name)) is not UNSET}
    if changes:
        unknown = {name: None for name in given if name not in UNSAID and name not in changes}
        yield from words({name: pair for name, pair in {**changes, **unknown}.items() if name not in SAID})
        return
    for name in VALUES:
        if name in given:
            yield name, given[name]
    if others := [name for name in given if name not in UNSAID]:
        yield "changed", "+".join(others)


@cache
def _named(request: type[Wire]) -> tuple[str, ...]:
    return tuple(name for name in NAMED if hasattr(request, name))


def _quoted(value: object) -> str:
    text = str(value).lower() if isinstance(value, bool) else str(value)
    return text if PLAIN.fullmatch(text) else json.dumps(text, ensure_ascii=False)


def vmid(*told: Wire | None) -> int | None:
    """The VM that a request or its response is about."""
    for one in told:
        found = getattr(one, "vmid", None)
        if isinstance(found, int):
            return found
        if isinstance(one, TrashItem) and one.kind == "vm":
            return int(one.id)
    return None


def short(text: str, most: int = MOST) -> str:
    return text if len(text) <= most else f"{text[: most - 1]}…"
