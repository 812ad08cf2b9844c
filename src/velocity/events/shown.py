"""Objects whose content depends on the reader: kept unencoded, and encoded for each reader when sent."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import compress

import msgspec
from msgspec import Struct

from velocity.contract import events, media
from velocity.contract.permissions import members
from velocity.events.buffer import Grants, HoldersUpward


class ShownMedium(Struct, frozen=True):
    """`view` names all VMs that the medium is attached to; `seers` are those who may see each, in the same order."""

    view: media.MediumView
    seers: Sequence[HoldersUpward]

    def to(self, held: Grants) -> media.MediumView:
        seen = [above.may_receive(0, held) for above in self.seers]
        if all(seen):
            return self.view
        return msgspec.structs.replace(self.view, used_by=list(compress(self.view.used_by, seen)))


class ShownGroup(Struct, frozen=True):
    """`view` has no permissions; `line` is the group and those above it."""

    view: events.GroupView
    line: Sequence[int]

    def to(self, held: Grants) -> events.GroupView:
        bits = 0
        for gid in self.line:
            bits |= held.get(gid, 0)
        return msgspec.structs.replace(self.view, permissions=[one.value for one in members(bits)])
