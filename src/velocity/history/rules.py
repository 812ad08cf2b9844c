"""The content of an entry of the history."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache

from msgspec import UNSET

from velocity.contract.groups import SetQuota
from velocity.contract.machines import AlterVm
from velocity.contract.medium import AlterMedium
from velocity.contract.nodes import SetNode
from velocity.contract.operation import Wire
from velocity.contract.pools import AssignPool
from velocity.contract.trash import TrashItem

NAMED = (
    "uid", "gid", "parent_gid", "vmid", "mid", "mpid", "tid", "trid", "sid", "host", "duty", "name", "permission",
    "state",
)  # fmt: skip
"""The fields of requests that say what it was about. A field that is not here is never written down."""
ALTERING = (AlterVm, AlterMedium, SetQuota, AssignPool, SetNode)
"""Requests of which it is said what they changed."""
SETTINGS = (
    "cpus", "max_cpus", "memory_mib", "max_memory_mib", "autostart", "ha", "start_order", "balloon", "rosetta", "size",
    "readonly", "quota", "write", "manage", "vms", "forward_ports", "keeps_copy",
)  # fmt: skip
"""Their fields that are written down as they were set: numbers and choices. Of all others only that they were set."""
UNSAID = {*NAMED, *SETTINGS, "revision", "plan"} - {"name"}
ID = {"vm": "vmid", "medium": "mid", "group": "gid"}
"""By the kind of an item of the trash."""
PLAIN = re.compile(r"[\w.:@+-]+")
MOST = 200
"""Characters of a text from outside."""
TOLD = 400
"""The same, of what a request is about, with what it changed."""


@dataclass(frozen=True)
class HistoryEntry:
    """One thing done, or refused so many `times` within a minute. `at` in unix seconds."""

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


def target(request: Wire, answer: Wire | None = None) -> str:
    """What a request is about: its ids and names; of an item of the trash, what it was before it was deleted.

    A text that is no plain word is quoted, as JSON does it: none looks like a field of its own. A name is the last of
    all, as it may be long.
    """
    found = [(name, getattr(request, name)) for name in _named(type(request))]
    told = [(name, value) for name, value in found if isinstance(value, int | str) or hasattr(value, "hex")]
    if isinstance(answer, TrashItem):
        told += [(ID[answer.kind], answer.id), ("name", answer.name)]
    if isinstance(request, ALTERING):
        told = sorted([*told, *_changes(request)], key=lambda one: one[0] == "name")
    return short(" ".join(f"{name}={_quoted(value)}" for name, value in told), TOLD)


def target_of(named: Mapping[str, int | str]) -> str:
    """The same, of what the server does by itself."""
    return short(" ".join(f"{name}={_quoted(value)}" for name, value in named.items()))


def _changes(request: Wire) -> Iterator[tuple[str, object]]:
    """What it sets: `cpus=4`, and `changed=name+notes` of what is not told, or is told elsewhere."""
    given = {name: value for name in request.__struct_fields__ if (value := getattr(request, name)) is not UNSET}
    for name in SETTINGS:
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
    """The VM that a request, or the answer to it, is about."""
    for one in told:
        found = getattr(one, "vmid", None)
        if isinstance(found, int):
            return found
        if isinstance(one, TrashItem) and one.kind == "vm":
            return int(one.id)
    return None


def short(text: str, most: int = MOST) -> str:
    return text if len(text) <= most else f"{text[: most - 1]}…"
