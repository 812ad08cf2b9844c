"""All that one may see, taken from memory in one step."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, cast

import msgspec
from msgspec import UNSET

from velocity.access import rules
from velocity.access.directory import Directory
from velocity.contract import events
from velocity.contract.permissions import Permission, members
from velocity.contract.users import UserSummary
from velocity.events import views
from velocity.events.marks import Key
from velocity.events.ring import Body
from velocity.events.telling import Telling
from velocity.machines.service import Fleet
from velocity.media.service import Library
from velocity.tasks.service import Tasks


class Sight:
    """What one user sees at this moment. To be used up without an await: nothing of it is true after one."""

    def __init__(
        self, directory: Directory, library: Library, fleet: Fleet, tasks: Tasks, telling: Telling, uid: int
    ) -> None:
        self._directory = directory
        self._library = library
        self._fleet = fleet
        self._tasks = tasks
        self._telling = telling
        self._uid = uid
        self._held = directory.held(uid)
        groups = directory.groups
        held = rules.Held(groups, self._held)
        self._bits = {gid: held(gid) for gid in groups}

    def unrendered(self) -> list[Key]:
        """What a snapshot would have to render first: when nobody has read for long, everything."""
        vms, media = self._where(Permission.VM_VIEW), self._where(Permission.MEDIA_LIST)
        keys: list[Key] = [("vm", one.machine.vmid) for one in self._fleet.all() if one.machine.gid in vms]
        keys += [("medium", one.mid) for one in self._library.all() if one.gid in media]
        return [key for key in keys if not self._telling.knows(key)]

    def snapshot(self) -> events.Snapshot:
        vms, media = self._where(Permission.VM_VIEW), self._where(Permission.MEDIA_LIST)
        return events.Snapshot(
            me=UserSummary(uid=self._uid, name=self._directory.user(self._uid).name),
            groups=self._groups(),
            vms=self._frames(self._telling.vm(one) for one in self._fleet.all() if one.machine.gid in vms),
            media=self._frames(self._telling.medium(one) for one in self._library.all() if one.gid in media),
            pools=self._pools(),
            tasks=[views.task(one) for one in self._tasks.all() if one.gid in media],
            users=self._users() if rules.holds_somewhere(self._held, Permission.USER_LIST) else UNSET,
        )

    def _frames(self, forms: Iterable[Body]) -> list[Any]:
        """The encoding of the list that they make, in its place."""
        return cast("list[Any]", msgspec.Raw(b"[%s]" % b",".join([form.frame(self._held) for form in forms])))

    def _where(self, permission: Permission) -> set[int]:
        return {gid for gid, bits in self._bits.items() if bits & permission.bit}

    def _groups(self) -> list[events.GroupView]:
        directory = self._directory
        below = rules.with_above(directory.groups, (gid for gid, bits in self._bits.items() if bits))
        shown = (directory.groups[gid] for gid in sorted(below))
        return [
            events.GroupView(
                gid=group.gid,
                parent_gid=group.parent_gid,
                name=group.name,
                permissions=[one.value for one in members(self._bits[group.gid])],
            )
            for group in shown
            if group.gid not in directory.leaving
        ]

    def _pools(self) -> list[events.PoolView]:
        """A pool that a group below sees is seen by those above it too: the topmost where it is held will do."""
        pools, groups = self._library.pools, self._directory.groups
        where = rules.topmost(groups, (gid for gid, bits in self._held.items() if bits & Permission.POOL_LIST.bit))
        return [
            events.PoolView(mpid=pool.mpid, name=pool.name)
            for pool in pools.all()
            if any(pools.assignment(gid, pool.mpid) is not None for gid in where)
        ]

    def _users(self) -> list[UserSummary]:
        return [UserSummary(uid=user.uid, name=user.name) for user in self._directory.users.values()]
