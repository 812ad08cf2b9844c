"""Changes the directory of users and groups, and announces each change.

Callers hold `changing`, have committed the change, and apply all of it in one step.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from dataclasses import replace

from velocity.access.directory import Directory
from velocity.access.group_work import GroupWork
from velocity.access.port import AccessRows
from velocity.access.rules import Group, User
from velocity.changes import Changes


class DirectoryWriter:
    """Applies committed changes to the directory."""

    def __init__(self, directory: Directory, changes: Changes) -> None:
        self._directory = directory
        self._changes = changes
        self.changing = asyncio.Lock()
        self.under_way = GroupWork()
        """What is being committed into groups, or out of them."""

    def load(self, kept: AccessRows) -> None:
        self._directory.groups.update((group.gid, group) for group in kept.groups)
        for user in kept.users:
            self.put_user(replace(user, home=self._directory.existing(user.home)))
        for uid, gid, pid in kept.grants:
            self.grant(uid, gid, 1 << pid)
        self._directory.quotas.limits.update(kept.limits)
        self._directory.above.update((group.gid, group.parent_gid) for group in kept.lying.groups)
        for uid, gid, pid in kept.lying.grants:
            self._lie(uid, gid, 1 << pid)

    def put_user(self, user: User) -> None:
        self._directory.users[user.uid] = user
        self._directory.uids[user.name] = user.uid
        self._changes.note_change("user", user.uid)

    def forget_user(self, uid: int) -> None:
        user = self._directory.users.pop(uid)
        del self._directory.uids[user.name]
        self._directory.grants.pop(uid, None)
        self._directory.lying.pop(uid, None)
        self._changes.note_change("user", uid)

    def move_homes(self, gids: Collection[int], to: int) -> None:
        """Users at home in one of these groups are at home in the other one now."""
        for user in [one for one in self._directory.users.values() if one.home in gids]:
            self.put_user(replace(user, home=to))

    def grant(self, uid: int, gid: int, bits: int) -> None:
        held = self._directory.grants.setdefault(uid, {})
        if bits & ~held.get(gid, 0):
            held[gid] = held.get(gid, 0) | bits
            self._changes.note_change("rights", uid)

    def revoke(self, uid: int, gid: int, bits: int) -> None:
        held = self._directory.grants.get(uid, {})
        left = held.get(gid, 0) & ~bits
        if left != held.get(gid, 0):
            self._changes.note_change("rights", uid)
        if left:
            held[gid] = left
        else:
            held.pop(gid, None)

    def put_group(self, group: Group) -> None:
        """Add or replace a group."""
        self._directory.groups[group.gid] = group
        self._changes.note_change("group", group.gid, group.gid)

    def hide_groups(self, gids: Collection[int]) -> None:
        """Requests do not find these groups any more."""
        self._directory.leaving.update(gids)
        for gid in gids:
            self._changes.note_change("group", gid, gid)

    def unhide_groups(self, gids: Collection[int]) -> None:
        """Undo `hide_groups`, except for groups that were forgotten."""
        self._directory.leaving.difference_update(gids)
        for gid in gids:
            if gid in self._directory.groups:
                self._changes.note_change("group", gid, gid)

    def forget_groups(self, gids: Collection[int]) -> None:
        for gid in gids:
            del self._directory.groups[gid]
            self._directory.quotas.forget(gid)
        for uid, held in self._directory.grants.items():
            if lost := [gid for gid in held if gid in gids]:
                for gid in lost:
                    del held[gid]
                self._changes.note_change("rights", uid)

    def trash_groups(self, gids: Collection[int]) -> None:
        """Note these groups, and the grants on them, as being in the trash."""
        self._directory.above.update((gid, self._directory.groups[gid].parent_gid) for gid in gids)
        for uid, held in self._directory.grants.items():
            for gid in held:
                if gid in gids:
                    self._lie(uid, gid, held[gid])

    def _lie(self, uid: int, gid: int, bits: int) -> None:
        held = self._directory.lying.setdefault(uid, {})
        held[gid] = held.get(gid, 0) | bits

    def untrash_groups(self, gids: Collection[int]) -> None:
        """These groups are not in the trash any more."""
        for gid in gids:
            self._directory.above.pop(gid, None)
        for held in self._directory.lying.values():
            for gid in [one for one in held if one in gids]:
                del held[gid]

    def discarded(self, kind: str, gid: int) -> None:
        """Announce that an object of the group went into the trash, or out of it."""
        self._changes.note_change("trash", (kind, gid), gid)
