"""Changes of the directory of users and groups, each announced.

Whoever makes one holds `changing`, has committed the change before, and shows it all at once.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from dataclasses import replace

from velocity.access.directory import Directory
from velocity.access.port import AccessRows
from velocity.access.rules import Group, User
from velocity.changes import Changes


class DirectoryWriter:
    """Shows in the directory what was committed."""

    def __init__(self, directory: Directory, changes: Changes) -> None:
        self._directory = directory
        self._changes = changes
        self.changing = asyncio.Lock()

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
        """Who is at home in one of these groups is so in that one."""
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
        """A group is there from here on."""
        self._directory.groups[group.gid] = group
        self._changes.note_change("group", group.gid, group.gid)

    def hide_groups(self, gids: Collection[int]) -> None:
        """They are there no more for whoever asks."""
        self._directory.leaving.update(gids)
        for gid in gids:
            self._changes.note_change("group", gid, gid)

    def unhide_groups(self, gids: Collection[int]) -> None:
        """They are there (again), if they were not forgotten."""
        self._directory.leaving.difference_update(gids)
        for gid in gids:
            if gid in self._directory.groups:
                self._changes.note_change("group", gid, gid)

    def forget_group(self, gid: int) -> None:
        del self._directory.groups[gid]
        self._directory.quotas.forget(gid)
        for uid, held in self._directory.grants.items():
            if held.pop(gid, 0):
                self._changes.note_change("rights", uid)

    def trash_groups(self, gids: Collection[int]) -> None:
        """These groups lie in the trash, and what is held on them."""
        self._directory.above.update((gid, self._directory.groups[gid].parent_gid) for gid in gids)
        for uid, held in self._directory.grants.items():
            for gid in held.keys() & gids:
                self._lie(uid, gid, held[gid])

    def _lie(self, uid: int, gid: int, bits: int) -> None:
        held = self._directory.lying.setdefault(uid, {})
        held[gid] = held.get(gid, 0) | bits

    def untrash_groups(self, gids: Collection[int]) -> None:
        """These groups do not lie in the trash (any more)."""
        for gid in gids:
            self._directory.above.pop(gid, None)
            for held in self._directory.lying.values():
                held.pop(gid, None)

    def discarded(self, kind: str, gid: int) -> None:
        """Something of the group went into the trash, or out of it."""
        self._changes.note_change("trash", (kind, gid), gid)
