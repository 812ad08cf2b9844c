"""Users, groups, grants and quotas in memory, from which access is decided. `DirectoryWriter` changes them."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from velocity.access import rules
from velocity.access.quotas import Quotas
from velocity.access.rules import ROOT_GROUP, Group, User
from velocity.changes import Changes
from velocity.contract import names
from velocity.contract.permissions import Permission
from velocity.contract.problems import Problem, Refused
from velocity.contract.revision import revision


class Directory:
    """`leaving`: groups that are being deleted, which count as deleted."""

    def __init__(self, changes: Changes) -> None:
        self.users: dict[int, User] = {}
        self.uids: dict[str, int] = {}
        self.groups: dict[int, Group] = {}
        self.grants: dict[int, dict[int, int]] = {}
        """uid -> gid -> permissions held directly, as bits."""
        self.quotas = Quotas(self.groups, changes)
        self.leaving: set[int] = set()
        self.above: dict[int, int] = {}
        """gid -> parent, of the groups in the trash."""
        self.lying: dict[int, dict[int, int]] = {}
        """The grants on groups in the trash, in the form of `grants`."""

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
        """The group's gid, or 0 if it does not exist."""
        return gid if isinstance(gid, int) and gid in self.groups else ROOT_GROUP

    def held(self, uid: int) -> Mapping[int, int]:
        """What a user holds directly, by group."""
        return self.grants.get(uid, {})

    def holds(self, uid: int, permission: Permission, gid: int) -> bool:
        """Whether a user holds it on the group, also by inheritance. A group that does not exist counts as group 0."""
        return rules.holds(self.groups, self.held(uid), permission, self.existing(gid))

    def holding(self, uid: int, permission: Permission) -> Callable[[int], bool]:
        """`holds` for many groups, in the present state: not to be used after an await."""
        own = rules.Held(self.groups, self.held(uid))
        return lambda gid: bool(own(self.existing(gid)) & permission.bit)

    def authority(self, uid: object) -> dict[int, int]:
        """The groups on which authority over a user is needed (their groups and home), with what the user holds there.

        Grants on a group in the trash count on its next ancestor that is not there. Without any group: group 0.
        """
        user = self.users.get(uid) if isinstance(uid, int) else None
        if user is None:
            return {ROOT_GROUP: 0}
        found = {user.home: 0} | self.grants.get(user.uid, {})
        for gid, bits in self.lying.get(user.uid, {}).items():
            while gid in self.above:
                gid = self.above[gid]
            place = self.existing(gid)
            found[place] = found.get(place, 0) | bits
        return found

    def line(self, gid: int) -> list[int]:
        """The group and its ancestors, up to the root. Raises `Refused` if it was deleted meanwhile."""
        if gid not in self.groups:
            raise Refused(Problem.GROUP_NOT_FOUND, f"there is no group {gid}", field="gid")
        return list(rules.line(self.groups, gid))

    def path(self, gid: int) -> str:
        """The group's path, for people who see it: "/", or the names below the root. Those who see a group see its
        ancestors, too (contract, route 15).
        """
        return names.path(self.groups[one].name for one in reversed(self.line(gid)) if one != ROOT_GROUP) or "/"

    def sees(self, uid: int, gid: int) -> bool:
        """Whether the group exists and the user sees it; everybody sees the root.

        For a missing group another one is checked, so that timing reveals nothing.
        """
        there = gid in self.groups and gid not in self.leaving
        return rules.shows(self.groups, self.held(uid), gid if there else next(reversed(self.groups))) and there

    def called(self, uid: int, gid: int) -> str:
        """A group that the user has named: by its path if they see it, otherwise by its id."""
        return self.path(gid) if self.sees(uid, gid) else f"group {gid}"

    def whose(self, gid: int, low: int) -> str:
        """The group whose limit applies to `low` (itself or an ancestor), in words for those who see it."""
        if gid == low or low not in self.groups:
            return self.path(gid)
        return f"{self.path(gid)}, above {self.path(low)},"

    def revision(self, gid: int) -> str:
        """The revision of a group with its members, their permissions and its quota."""
        held = [(uid, grants[gid]) for uid, grants in sorted(self.grants.items()) if grants.get(gid)]
        return revision(self.group(gid), held, self.quotas.limits_of(gid))


def home_of(directory: Directory, uid: int) -> int:
    """A user's home; the root while that group is being deleted."""
    home = directory.user(uid).home
    return ROOT_GROUP if home in directory.leaving else home
