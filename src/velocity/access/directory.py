"""Everything of access that decisions need, in memory: users, groups, grants and quotas.

Whoever changes it holds `changing`, has committed the change before, and shows it all at once.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace

from velocity import plan
from velocity.access import rules
from velocity.access.port import Kept
from velocity.access.rules import NO_LIMITS, NOTHING, ROOT_GROUP, Amount, Group, Limits, User
from velocity.changes import Changes
from velocity.contract.problems import Problem, Refused
from velocity.contract.revision import revision


class Directory:
    """`leaving` are the groups that are being deleted: they are there no more for whoever asks for them."""

    def __init__(self, changes: Changes) -> None:
        self._changes = changes
        self.changing = asyncio.Lock()
        self.users: dict[int, User] = {}
        self.uids: dict[str, int] = {}
        self.groups: dict[int, Group] = {}
        self.grants: dict[int, dict[int, int]] = {}
        """uid -> gid -> permissions held directly, as bits."""
        self.limits: dict[int, Limits] = {}
        self.used: dict[int, Amount] = {}
        """What the machines of a group and its subgroups take."""
        self.leaving: set[int] = set()
        self._above: dict[int, int] = {}
        """The parents of groups that lie in the trash."""
        self._lying: dict[int, dict[int, int]] = {}
        """What is held on groups that lie in the trash, as `grants`."""

    def load(self, kept: Kept) -> None:
        self.groups = {group.gid: group for group in kept.groups}
        for user in kept.users:
            self.learn(replace(user, home=self.existing(user.home)))
        for uid, gid, pid in kept.grants:
            self.grant(uid, gid, 1 << pid)
        self.limits = dict(kept.limits)
        self._above = {group.gid: group.parent_gid for group in kept.lying.groups}
        for uid, gid, pid in kept.lying.grants:
            self._lie(uid, gid, 1 << pid)

    # Looking up

    def user(self, uid: int) -> User:
        try:
            return self.users[uid]
        except KeyError:
            raise Refused(Problem.USER_NOT_FOUND, f"there is no user {uid}", field="uid") from None

    def named(self, name: str) -> User | None:
        uid = self.uids.get(name)
        return None if uid is None else self.users[uid]

    def group(self, gid: int, *, field: str = "gid") -> Group:
        if gid not in self.groups or gid in self.leaving:
            raise Refused(Problem.GROUP_NOT_FOUND, f"there is no group {gid}", field=field)
        return self.groups[gid]

    def existing(self, gid: object) -> int:
        """That group; group 0 if there is none such."""
        return gid if isinstance(gid, int) and gid in self.groups else ROOT_GROUP

    def held(self, uid: int) -> Mapping[int, int]:
        """What a user holds directly."""
        return self.grants.get(uid, {})

    def authority(self, uid: object) -> dict[int, int]:
        """Where one needs authority over a user, and what he holds there: his groups, and his home.

        What lies in the trash with a group counts on the next group above it that is there. Of nobody: group 0.
        """
        user = self.users.get(uid) if isinstance(uid, int) else None
        if user is None:
            return {ROOT_GROUP: 0}
        found = {user.home: 0} | self.grants.get(user.uid, {})
        for gid, bits in self._lying.get(user.uid, {}).items():
            while gid in self._above:
                gid = self._above[gid]
            place = self.existing(gid)
            found[place] = found.get(place, 0) | bits
        return found

    def line(self, gid: int) -> list[int]:
        """The group and its ancestors, up to the root."""
        return list(rules.line(self.groups, gid))

    def path(self, gid: int) -> str:
        """A group for people who see it: "/", or the names from below the root. Who holds something on a group sees
        those above it, too (contract, route 15)."""
        return "/".join(self.groups[one].name for one in reversed(self.line(gid)) if one != ROOT_GROUP) or "/"

    def sees(self, uid: int, gid: int) -> bool:
        """Whether there is such a group, and that user is shown it; the root is no secret."""
        return gid in self.groups and gid not in self.leaving and rules.shows(self.groups, self.held(uid), gid)

    def called(self, uid: int, gid: int) -> str:
        """A group that a request names, for the one who sent it: as `path` where he sees it, else by that id."""
        return self.path(gid) if self.sees(uid, gid) else f"group {gid}"

    def whose(self, gid: int, low: int) -> str:
        """The group whose quota or limit counts for `low`, itself or one above, for people who see that one."""
        if gid == low or low not in self.groups:
            return self.path(gid)
        return f"{self.path(gid)}, above {self.path(low)},"

    def revision(self, gid: int) -> str:
        """Of a group with its members, their permissions and its quota."""
        held = [(uid, grants[gid]) for uid, grants in sorted(self.grants.items()) if grants.get(gid)]
        return revision(self.group(gid), held, self.limits_of(gid))

    # Changing

    def learn(self, user: User) -> None:
        self.users[user.uid] = user
        self.uids[user.name] = user.uid
        self._changes.tell("user", user.uid)

    def forget_user(self, uid: int) -> None:
        user = self.users.pop(uid)
        del self.uids[user.name]
        self.grants.pop(uid, None)
        self._lying.pop(uid, None)
        self._changes.tell("user", uid)

    def move_homes(self, gids: Collection[int], to: int) -> None:
        """Who is at home in one of these groups is so in that one."""
        for user in [one for one in self.users.values() if one.home in gids]:
            self.learn(replace(user, home=to))

    def grant(self, uid: int, gid: int, bits: int) -> None:
        held = self.grants.setdefault(uid, {})
        if bits & ~held.get(gid, 0):
            held[gid] = held.get(gid, 0) | bits
            self._changes.tell("rights", uid)

    def revoke(self, uid: int, gid: int, bits: int) -> None:
        held = self.grants.get(uid, {})
        left = held.get(gid, 0) & ~bits
        if left != held.get(gid, 0):
            self._changes.tell("rights", uid)
        if left:
            held[gid] = left
        else:
            held.pop(gid, None)

    def show(self, group: Group) -> None:
        """A group is there from here on."""
        self.groups[group.gid] = group
        self._changes.tell("group", group.gid, group.gid)

    def leave(self, gids: Collection[int]) -> None:
        """They are there no more for whoever asks."""
        self.leaving.update(gids)
        for gid in gids:
            self._changes.tell("group", gid, gid)

    def stay(self, gids: Collection[int]) -> None:
        """They are there (again), if they were not forgotten."""
        self.leaving.difference_update(gids)
        for gid in gids:
            if gid in self.groups:
                self._changes.tell("group", gid, gid)

    def forget_group(self, gid: int) -> None:
        del self.groups[gid]
        self.limits.pop(gid, None)
        self.used.pop(gid, None)
        for uid, held in self.grants.items():
            if held.pop(gid, 0):
                self._changes.tell("rights", uid)

    def discard(self, gids: Collection[int]) -> None:
        """These groups lie in the trash, and what is held on them."""
        self._above.update((gid, self.groups[gid].parent_gid) for gid in gids)
        for uid, held in self.grants.items():
            for gid in held.keys() & gids:
                self._lie(uid, gid, held[gid])

    def _lie(self, uid: int, gid: int, bits: int) -> None:
        held = self._lying.setdefault(uid, {})
        held[gid] = held.get(gid, 0) | bits

    def retrieve(self, gids: Collection[int]) -> None:
        """These groups do not lie in the trash (any more)."""
        for gid in gids:
            self._above.pop(gid, None)
            for held in self._lying.values():
                held.pop(gid, None)

    def discarded(self, kind: str, gid: int) -> None:
        """Something of the group went into the trash, or out of it."""
        self._changes.tell("trash", (kind, gid), gid)

    # Quotas

    def limit(self, gid: int, limits: Limits) -> None:
        self.limits[gid] = limits
        self._changes.tell("limits", gid, gid)

    def limits_of(self, gid: int) -> Limits:
        return self.limits.get(gid, NO_LIMITS)

    def used_by(self, gid: int) -> Amount:
        return self.used.get(gid, NOTHING)

    def count(self, line: Sequence[int], change: Amount) -> None:
        """Count for a group and all above it; those that are no more do not count."""
        plan.consumes(line[0], vars(change))
        for ancestor in line:
            if ancestor in self.groups:
                self.used[ancestor] = self.used_by(ancestor) + change
                self._changes.tell("quota", ancestor, ancestor)
