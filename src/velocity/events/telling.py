"""From the word that something has changed to the events of it: as it is now, or gone, and who may hear it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from uuid import UUID

import msgspec

from velocity.access import rules
from velocity.changes import What
from velocity.contract import events
from velocity.contract.permissions import ALL, Permission
from velocity.contract.users import UserSummary
from velocity.events import views
from velocity.events.areas import Areas
from velocity.events.marks import Key
from velocity.events.ring import Above, Around, Audience, Body, Only, Same, Somewhere, WithParts, WithPermissions
from velocity.machines.keeper import Keeper
from velocity.media.rules import Medium
from velocity.trash.service import NEEDED

encode = msgspec.json.Encoder().encode
Line = Sequence[int]
Tell = Callable[[Audience, bytes, Body | None], None]
"""To whom, the name of the event, and what; no body: what these see is another now."""


class Telling:
    """Renders what changed, once for all readers, and gives it to `tell`. What is as it was told last is not told.

    Objects are kept as they were rendered last: while nothing is left to be told, that is how they show now.
    """

    def __init__(self, areas: Areas, tell: Tell) -> None:
        self._areas = areas
        self._directory = areas.directory
        self._library = areas.library
        self._fleet = areas.fleet
        self._tasks = areas.tasks
        self._tell = tell
        self._forms: dict[Key, Body] = {}
        self._last: dict[Key, object] = {}
        self._tellers: Mapping[What, Callable[[object, Line], None]] = {
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
        }

    def __call__(self, key: Key, line: Line) -> None:
        """Tell one of them. `line` is its group and those above it, as they were when it changed."""
        self._tellers[key[0]](key[1], line)

    # Objects

    def vm(self, keeper: Keeper) -> Body:
        """How it shows, when nothing is left to be told."""
        return self._forms.get(("vm", keeper.machine.vmid)) or self._kept(
            ("vm", keeper.machine.vmid), Same(encode(views.vm(keeper)))
        )

    def medium(self, medium: Medium) -> Body:
        """How it shows, when nothing is left to be told."""
        return self._forms.get(("medium", medium.mid)) or self._kept(("medium", medium.mid), self._rendered(medium))

    def knows(self, key: Key) -> bool:
        """Whether it is rendered already."""
        return key in self._forms

    def render(self, key: Key) -> None:
        """A VM or a medium, if it is still there; when nothing is left to be told, else that would not be told."""
        kind, which = key
        if kind == "vm" and (keeper := self._fleet.find(which)) is not None:
            self.vm(keeper)
        elif kind == "medium" and (medium := self._library.find(which)) is not None:
            self.medium(medium)

    def _vm(self, vmid: object, line: Line) -> None:
        audience = Above(Permission.VM_VIEW.bit, line)
        keeper = self._fleet.find(vmid)
        if keeper is None:
            self._gone("vm", vmid, audience)
        else:
            self._set("vm", vmid, audience, Same(encode(views.vm(keeper))))

    def _medium(self, mid: object, line: Line) -> None:
        audience = Above(Permission.MEDIA_LIST.bit, line)
        medium = self._library.find(mid)
        if medium is None:
            self._gone("medium", mid, audience)
        else:
            self._set("medium", mid, audience, self._rendered(medium))

    def _rendered(self, medium: Medium) -> Body:
        readonly, allocated = self._areas.assignments.readonly(medium), self._areas.usage.last(medium.mid)
        whole = encode(views.medium(medium, readonly=readonly, allocated=allocated, used_by=[]))
        head, tail = whole.split(b'"used_by":[]')  # in a text, its quotation marks would be escaped
        parts = tuple(
            (Above(Permission.VM_VIEW.bit, tuple(self._directory.line(one.gid))), encode(views.user(one)))
            for one in self._areas.attachments.holders(medium.mid)
            if one.vmid is not None
        )
        return WithParts(head + b'"used_by":[', parts, b"]" + tail)

    def _task(self, tid: object, line: Line) -> None:
        audience = Above(Permission.MEDIA_LIST.bit, line)
        task = self._tasks.find(tid)
        if task is None:
            self._gone("task", tid, audience)
        else:
            self._set("task", tid, audience, Same(encode(views.task(task))))

    def _group(self, gid: object, line: Line) -> None:
        audience = Above(ALL, line)
        group = self._directory.groups.get(gid) if isinstance(gid, int) else None
        if group is None or gid in self._directory.leaving:
            self._gone("group", gid, audience)
            return
        view = events.GroupView(gid=group.gid, parent_gid=group.parent_gid, name=group.name, permissions=[])
        head, tail = encode(view).split(b'"permissions":[]')
        self._set("group", gid, audience, WithPermissions(head + b'"permissions":[', line, b"]" + tail))

    def _user(self, uid: object, line: Line) -> None:
        audience = Somewhere(Permission.USER_LIST.bit)
        user = self._directory.users.get(uid) if isinstance(uid, int) else None
        if user is None:
            self._gone("user", uid, audience)
        else:
            self._set("user", uid, audience, Same(encode(UserSummary(uid=user.uid, name=user.name))))

    # What is not shown whole

    def _rights(self, uid: object, line: Line) -> None:
        if isinstance(uid, int):
            self._tell(Only(frozenset({uid})), b"", None)

    def _limits(self, gid: object, line: Line) -> None:
        self._account("quota", line, Permission.GROUP_VIEW, below=True)

    def _quota(self, gid: object, line: Line) -> None:
        quotas = self._directory.quotas
        limits, used = quotas.limits_of(line[0]), quotas.used_by(line[0])
        if line[0] not in self._directory.groups:
            self._last.pop(("quota", gid), None)
        elif self._is_new(("quota", gid), (limits, used)):
            self._account("quota", line, Permission.GROUP_VIEW, below=limits != rules.NO_LIMITS)

    def _pool(self, gid: object, line: Line) -> None:
        account = self._areas.quotas.account(line[0])
        if line[0] not in self._directory.groups:
            self._last.pop(("pool", gid), None)
        elif self._is_new(("pool", gid), account):
            below = any(assignment is not None for assignment, _ in account)
            self._account("pool", line, Permission.POOL_LIST, below=below)

    def _assignment(self, which: object, line: Line) -> None:
        """Media of the group and those below may be read-only now, or no more, and the pool may be seen by others."""
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
            self._tell(Only(frozenset(seers)), b"", None)

    def _trash(self, which: object, line: Line) -> None:
        assert isinstance(which, tuple)
        self._changed("trash", Above(NEEDED[which[0]].bit, line), line[0])

    def _history(self, gid: object, line: Line) -> None:
        self._changed("history", Above(Permission.USER_VIEW.bit, line), line[0])

    def _session(self, uid: object, line: Line) -> None:
        if isinstance(uid, int):
            self._tell(Only(frozenset({uid})), b"changed", Same(encode(events.Changed(kind="session"))))

    # Small hands

    def _account(self, kind: events.ChangedKind, line: Line, permission: Permission, *, below: bool) -> None:
        above = Above(permission.bit, line)
        self._changed(kind, Around(permission.bit, line, self._directory.groups) if below else above, line[0])

    def _changed(self, kind: events.ChangedKind, audience: Audience, gid: int) -> None:
        self._tell(audience, b"changed", Same(encode(events.Changed(kind=kind, gid=gid))))

    def _set(self, kind: events.Kind, which: object, audience: Audience, form: Body) -> None:
        if self._forms.get((kind, which)) != form:
            self._kept((kind, which), form)
            self._tell(audience, b"set", form.within(b'{"kind":"%s","object":' % kind.encode(), b"}"))

    def _kept(self, key: Key, form: Body) -> Body:
        self._forms[key] = form
        return form

    def _gone(self, kind: events.Kind, which: object, audience: Audience) -> None:
        assert isinstance(which, int | UUID)
        self._forms.pop((kind, which), None)
        self._tell(audience, b"gone", Same(encode(events.Gone(kind=kind, id=which))))

    def _is_new(self, key: Key, what: object) -> bool:
        if self._last.get(key) == what:
            return False
        self._last[key] = what
        return True
