"""Renders changes as events: the object's present state, or its removal, and who may see it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar
from uuid import UUID

import msgspec

from velocity.access import rules
from velocity.changes import ChangeKind
from velocity.contract import events
from velocity.contract.permissions import ALL, Permission
from velocity.contract.tasks import TaskInfo
from velocity.contract.users import UserSummary
from velocity.events import views
from velocity.events.areas import Areas
from velocity.events.buffer import (
    Audience,
    ByReader,
    EventBody,
    HoldersAnywhere,
    HoldersNearby,
    HoldersUpward,
    OwnerOrHoldersUpward,
    Same,
    TheseUsers,
)
from velocity.events.pending import Key
from velocity.events.shown import ShownGroup, ShownMedium
from velocity.machines.run.keeper import Keeper
from velocity.media.rules import Medium
from velocity.trash.service import NEEDED

encode = msgspec.json.Encoder().encode
GroupPath = Sequence[int]
K = TypeVar("K")
V = TypeVar("V")
EmitEvent = Callable[[Audience, bytes, EventBody | None], None]
"""Audience, event name and body; without a body, the audience needs a snapshot."""


class EventRenderer:
    """Renders what changed, once for all readers, and passes it to `tell`; skips what is unchanged since then.

    Objects are kept as last rendered: while no change is pending, they are the present state. Rendering them for each
    snapshot takes about three times the CPU time.
    """

    def __init__(self, areas: Areas, tell: EmitEvent) -> None:
        self._areas = areas
        self._directory = areas.directory
        self._library = areas.library
        self._fleet = areas.fleet
        self._tasks = areas.tasks
        self._emit = tell
        self._vms: dict[object, events.VmView] = {}
        self._media: dict[object, ShownMedium] = {}
        self._last: dict[Key, object] = {}
        self._renderers: Mapping[ChangeKind, Callable[[object, GroupPath], None]] = {
            "vm": self._vm,
            "medium": self._medium,
            "task": self._task,
            "group": self._group,
            "user": self._user,
            "rights": self._rights,
            "limits": self._limits,
            "quota": self._quota,
            "assignment": self._assignment,
            "pool": self._pool,
            "trash": self._trash,
            "history": self._history,
            "session": self._session,
            "host": self._host,
        }

    def __call__(self, key: Key, line: GroupPath) -> None:
        """Report one change. `line` is the object's group and those above it at that time."""
        self._renderers[key[0]](key[1], line)

    # Objects

    def vm(self, keeper: Keeper) -> events.VmView:
        """Its present state, if no change is pending."""
        vmid = keeper.machine.vmid
        found = self._vms.get(vmid)
        if found is None:
            found = self._vms[vmid] = views.vm(keeper, self._fleet)
        return found

    def medium(self, medium: Medium) -> ShownMedium:
        """Its present state, if no change is pending."""
        found = self._media.get(medium.mid)
        if found is None:
            found = self._media[medium.mid] = self._shown(medium)
        return found

    def knows(self, key: Key) -> bool:
        """Whether a VM or a medium is rendered already."""
        kind, which = key
        return which in (self._vms if kind == "vm" else self._media)

    def render(self, key: Key) -> None:
        """Render a VM or a medium, if it still exists; only if no change is pending, as that would then be skipped."""
        kind, which = key
        if kind == "vm" and (keeper := self._fleet.find(which)) is not None:
            self.vm(keeper)
        elif kind == "medium" and (medium := self._library.find(which)) is not None:
            self.medium(medium)

    def _vm(self, vmid: object, line: GroupPath) -> None:
        audience = HoldersUpward(Permission.VM_VIEW.bit, line)
        keeper = self._fleet.find(vmid)
        if keeper is None:
            self._vms.pop(vmid, None)
            self._gone("vm", vmid, audience)
            return
        had, view = self._vms.get(vmid), views.vm(keeper, self._fleet)
        if had is not None and had.gid != view.gid:  # readers who see both groups get a snapshot at once
            self._gone("vm", vmid, HoldersUpward(Permission.VM_VIEW.bit, self._line(had.gid)))
        if _put(self._vms, vmid, view):
            self._set(HoldersUpward(Permission.VM_VIEW.bit, self._line(view.gid)), events.SetVm(object=view))

    def _line(self, gid: int) -> GroupPath:
        """A group and those above it, as far as they exist."""
        return tuple(self._directory.line(self._directory.existing(gid)))

    def _medium(self, mid: object, line: GroupPath) -> None:
        bit, medium = Permission.MEDIA_LIST.bit, self._library.find(mid)
        if medium is None:
            self._media.pop(mid, None)
            self._gone("medium", mid, HoldersUpward(bit, line))
            return
        had, shown = self._media.get(mid), self._shown(medium)
        if had is not None and had.view.gid != medium.gid:  # readers who see both groups get a snapshot at once
            self._gone("medium", mid, HoldersUpward(bit, self._line(had.view.gid)))
        if _put(self._media, mid, shown):
            length = len(encode(shown.view))
            audience = HoldersUpward(bit, self._line(medium.gid))
            self._emit(audience, b"set", ByReader(lambda held: encode(events.SetMedium(object=shown.to(held))), length))

    def _shown(self, medium: Medium) -> ShownMedium:
        holders = [one for one in self._areas.attachments.attached_vms(medium.mid) if one.vmid is not None]
        view = views.medium(
            medium,
            readonly=self._areas.assignments.readonly(medium),
            usage=self._areas.usage,
            used_by=list(map(views.user, holders)),
        )
        bit = Permission.VM_VIEW.bit
        return ShownMedium(view, [HoldersUpward(bit, tuple(self._directory.line(one.gid))) for one in holders])

    def _task(self, tid: object, line: GroupPath) -> None:
        bit, task, last = Permission.MEDIA_LIST.bit, self._tasks.find(tid), self._last.get(("task", tid))
        if task is None:
            told = OwnerOrHoldersUpward(last.uid, bit, line) if isinstance(last, TaskInfo) else HoldersUpward(bit, line)
            self._gone("task", tid, told)
        elif self._is_new(("task", tid), view := views.task(task)):
            self._set(OwnerOrHoldersUpward(view.uid, bit, line), events.SetTask(object=view))

    def _group(self, gid: object, line: GroupPath) -> None:
        audience = HoldersUpward(ALL, line)
        group = self._directory.groups.get(gid) if isinstance(gid, int) else None
        if group is None or gid in self._directory.leaving:
            self._gone("group", gid, audience)
            return
        view = events.GroupView(gid=group.gid, parent_gid=group.parent_gid, name=group.name, permissions=[])
        shown = ShownGroup(view, line)
        if self._is_new(("group", gid), shown):
            length = len(encode(view))
            self._emit(audience, b"set", ByReader(lambda held: encode(events.SetGroup(object=shown.to(held))), length))

    def _user(self, uid: object, line: GroupPath) -> None:
        audience = HoldersAnywhere(Permission.USER_LIST.bit)
        user = self._directory.users.get(uid) if isinstance(uid, int) else None
        if user is None:
            self._gone("user", uid, audience)
        elif self._is_new(("user", uid), view := UserSummary(uid=user.uid, name=user.name)):
            self._set(audience, events.SetUser(object=view))

    # What is not shown whole

    def _rights(self, uid: object, line: GroupPath) -> None:
        if isinstance(uid, int):
            self._emit(TheseUsers(frozenset({uid})), b"", None)

    def _limits(self, gid: object, line: GroupPath) -> None:
        self._account("quota", line, Permission.GROUP_VIEW, below=True)

    def _quota(self, gid: object, line: GroupPath) -> None:
        quotas = self._directory.quotas
        limits, used = quotas.limits_of(line[0]), quotas.used_by(line[0])
        if line[0] not in self._directory.groups:
            self._last.pop(("quota", gid), None)
        elif self._is_new(("quota", gid), (limits, used)):
            self._account("quota", line, Permission.GROUP_VIEW, below=limits != rules.NO_LIMITS)

    def _pool(self, gid: object, line: GroupPath) -> None:
        account = self._areas.quotas.account(line[0])
        if line[0] not in self._directory.groups:
            self._last.pop(("pool", gid), None)
        elif self._is_new(("pool", gid), account):
            below = any(assignment is not None for assignment, _ in account)
            self._account("pool", line, Permission.POOL_LIST, below=below)

    def _assignment(self, which: object, line: GroupPath) -> None:
        """Media of the group and those below may have become read-only or writable, and others may see the pool."""
        if line[0] not in self._directory.groups:
            return
        assert isinstance(which, tuple)
        mpid = which[1]
        self._account("pool", line, Permission.POOL_LIST, below=True)
        below = set(rules.subtree(self._directory.groups, line[0]))
        for medium in self._library.all():
            if medium.mpid == mpid and medium.gid in below:
                self._medium(medium.mid, tuple(self._directory.line(medium.gid)))
        if self._is_new(("assignment", which), self._areas.assignments.of(line[0], mpid) is not None):
            bit = Permission.POOL_LIST.bit
            grants = self._directory.grants.items()
            seers = {uid for uid, held in grants if any(bits & bit and one in below for one, bits in held.items())}
            self._emit(TheseUsers(frozenset(seers)), b"", None)

    def _trash(self, which: object, line: GroupPath) -> None:
        assert isinstance(which, tuple)
        self._changed("trash", HoldersUpward(NEEDED[which[0]].bit, line), line[0])

    def _history(self, gid: object, line: GroupPath) -> None:
        self._changed("history", HoldersUpward(Permission.USER_VIEW.bit, line), line[0])

    def _session(self, uid: object, line: GroupPath) -> None:
        if isinstance(uid, int):
            self._emit(TheseUsers(frozenset({uid})), b"changed", Same(encode(events.Changed(kind="session"))))

    def _host(self, host: object, line: GroupPath) -> None:
        audience = HoldersAnywhere(Permission.HOST_VIEW.bit)
        self._emit(audience, b"changed", Same(encode(events.Changed(kind="host"))))

    # Helpers

    def _account(self, kind: events.ChangedKind, line: GroupPath, permission: Permission, *, below: bool) -> None:
        above = HoldersUpward(permission.bit, line)
        self._changed(kind, HoldersNearby(permission.bit, line, self._directory.groups) if below else above, line[0])

    def _changed(self, kind: events.ChangedKind, audience: Audience, gid: int) -> None:
        self._emit(audience, b"changed", Same(encode(events.Changed(kind=kind, gid=gid))))

    def _set(self, audience: Audience, event: events.Set) -> None:
        self._emit(audience, b"set", Same(encode(event)))

    def _gone(self, kind: events.Kind, which: object, audience: Audience) -> None:
        assert isinstance(which, int | UUID)
        self._last.pop((kind, which), None)
        self._emit(audience, b"gone", Same(encode(events.Gone(kind=kind, id=which))))

    def _is_new(self, key: Key, what: object) -> bool:
        return _put(self._last, key, what)


def _put(kept: dict[K, V], which: K, now: V) -> bool:
    """Whether it has changed."""
    if kept.get(which) == now:
        return False
    kept[which] = now
    return True
