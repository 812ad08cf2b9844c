"""What an entry of the history contains."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache

from msgspec import UNSET

from velocity.access.rules import Discarded
from velocity.contract.groups import SetQuota
from velocity.contract.host_moves import MoveVmToHost
from velocity.contract.machines import AlterVm, DeleteVm, SetState
from velocity.contract.medium import AlterMedium, MoveMedium
from velocity.contract.nodes import SetNode
from velocity.contract.operation import Wire
from velocity.contract.pools import AssignPool
from velocity.contract.tasks import TaskInfo, TaskState
from velocity.contract.trash import TrashItem
from velocity.history.changes import VALUES, words
from velocity.plan import FieldChanges

NAMED = (
    "uid", "gid", "parent_gid", "vmid", "mid", "mpid", "tid", "trid", "sid", "host", "duty", "name", "permission",
    "state",
)  # fmt: skip
"""The fields that identify what a request was about. Fields in neither list are never recorded."""
ALTERING = (AlterVm, AlterMedium, SetQuota, AssignPool, SetNode)
"""Requests whose changes are recorded."""
FROM: Mapping[type[Wire], str] = {SetState: "state", SetNode: "duty", MoveMedium: "mpid", MoveVmToHost: "host"}
"""Requests of which a field of the target says what was before: `state=RUNNING->PAUSED`."""
SAID = {*NAMED} - {"name"}
"""Fields of a target that are recorded in any case."""
UNSAID = {*SAID, *VALUES, "revision", "plan"}
Item = TrashItem | Discarded
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


def target(request: Wire, answer: Wire | None, changes: FieldChanges, item: Item | None, name: str) -> str:
    """What a request is about: ids and names; for an item of the trash, those of the deleted object.

    `changes`: what it changed; if that is unknown, the requested values are recorded. `name`: the object's name before
    the request, which is recorded unless the request gives one; with a new name, as `was`. Texts with other than plain
    characters are quoted as in JSON, so that none can look like another field. The name comes last, as it may be long.
    """
    told: dict[str, object] = {
        field: value
        for field in _named(type(request))
        if isinstance(value := getattr(request, field), int | str) or hasattr(value, "hex")
    }
    if isinstance(request, DeleteVm) and (disks := changes.get("disks")):
        told["disks"] = disks[0]
    if isinstance(answer, TaskInfo):
        told["kind"] = answer.kind
        told |= {} if answer.state is TaskState.CANCELLED else {"state": answer.state.value}
    if item is not None:
        told |= {ID[item.kind]: item.id, "name": item.name}
    if (field := FROM.get(type(request))) and (pair := changes.get(field)) and pair[0] != pair[1]:
        told[field] = "->".join(str(getattr(one, "id", one)) for one in pair)
    if getattr(request, "force", False) is True:
        told["force"] = True
    if isinstance(request, ALTERING):
        told |= _changes(request, changes)
        if (names := changes.get("name")) and names[0] != names[1]:
            told["was"] = names[0]
    told["name"] = told.pop("name", name)
    words = (f"{field}={_quoted(value)}" for field, value in told.items() if field != "name" or value != "")
    return short(" ".join(words), TOLD)


def item_of(answer: Wire | None, changes: FieldChanges) -> Item | None:
    """The item of the trash that a request has restored, or removed permanently."""
    if isinstance(answer, TrashItem):
        return answer
    found = (changes.get("item") or (None,))[0]
    return found if isinstance(found, Discarded) else None


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


def vmid(request: Wire | None, answer: Wire | None, item: Item | None) -> int | None:
    """The VM that a request, its response, or an item of the trash is about."""
    for one in (request, answer):
        found = getattr(one, "vmid", None)
        if isinstance(found, int):
            return found
    return int(item.id) if item is not None and item.kind == "vm" else None


def short(text: str, most: int = MOST) -> str:
    return text if len(text) <= most else f"{text[: most - 1]}…"
