"""Who the caller is, and what they may do: decided from memory, without a query."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from velocity.access import missing_permission, naming, rules
from velocity.access.bounds import BOUNDS, Bounds
from velocity.access.directory import Directory
from velocity.access.groups import Groups
from velocity.access.passwords import Passwords
from velocity.access.port import AccessRows, AccessStore, GroupContents
from velocity.access.rules import ROOT_GROUP, ROOT_USER, Grants
from velocity.access.sessions import Caller, Sessions
from velocity.access.throttle import PasswordThrottle
from velocity.access.updates import DirectoryWriter
from velocity.access.users import Users
from velocity.access.welcome import FirstSignInLink
from velocity.changes import Changes
from velocity.contract.operation import Hides, Holds, Needs, On
from velocity.contract.permissions import ALL, Permission
from velocity.contract.problems import Problem, Refused
from velocity.steady_clock import SteadyClock


class Owned(Protocol):
    """An object that belongs to a group."""

    @property
    def gid(self) -> int: ...


Find = Callable[[object], Owned | None]
"""Finds an object by its id; None if it does not exist."""


class Access:
    """Users, groups and sessions, and the decision about each request."""

    def __init__(
        self,
        store: AccessStore,
        directory: Directory,
        updates: DirectoryWriter,
        changes: Changes,
        passwords: Passwords,
        steady: SteadyClock,
        *,
        lifetime: int,
        owned: Mapping[On, Find],
        belongings: Sequence[GroupContents],
        bounds: Bounds = BOUNDS,
    ) -> None:
        """`owned` finds the objects of each kind; `belongings` hold what groups own, and are deleted in this order."""
        self._store = store
        self._passwords = passwords
        self.directory = directory
        self.updates = updates
        self.sessions = Sessions(store, lifetime, changes, steady, own=bounds.user_sessions)
        self.welcome = FirstSignInLink()
        self.users = Users(
            store, directory, updates, self.sessions, passwords, PasswordThrottle(), self.welcome, bounds
        )
        self.groups = Groups(store, directory, updates, belongings, bounds)
        self._owned = owned

    async def open(self, root_password: str) -> str | None:
        """Load everything. The first start creates `root`; returns the random password, if it made one."""
        kept = self._store.load()
        made = None
        if not kept.users:
            made = None if root_password else secrets.token_urlsafe(12)
            await self._store.add_root("root", await self._passwords.hash(root_password or made or "", ROOT_USER))
            kept = self._store.load()
        if missing := _missing(kept):
            for permission in missing:
                await self._store.add_grant(ROOT_USER, ROOT_GROUP, permission.pid)
            kept = self._store.load()
        self.updates.load(kept)
        self.sessions.load(kept.sessions)
        self.users.throttle.remember(kept.good_addresses)
        return made

    def admit(self, needs: Needs, caller: Caller | None, target: object) -> None:
        """Raises `Refused` unless the caller holds what an operation needs on `target`, the id in its request.

        The use case finds out whether the target exists; a missing one is treated as group 0's.
        """
        naming.caller.set(None if caller is None else caller.uid)
        if not isinstance(needs, Holds):
            return
        assert caller is not None
        held = self.directory.held(caller.uid)
        if needs.hides is not Hides.NOBODY:
            bits = rules.held(self.directory.groups, held, self._owner(needs.on, target))
            if not bits & (ALL if needs.hides is Hides.STRANGERS else Permission.VM_VIEW.bit):
                raise Refused(Problem.VM_NOT_FOUND, f"there is no VM {target}, or you may not see it")
            if bits & needs.permission.bit:
                return
        if not self.allowed(needs, caller.uid, held, target):
            places = self.places(needs, target)
            raise Refused(
                Problem.NO_PERMISSION,
                missing_permission.refusal_message(self.directory, needs, caller.uid, target, places),
            )

    def allowed(self, needs: Holds, uid: int, held: Grants, target: object) -> bool:
        """Whether a user with these grants has what is needed."""
        if needs.on is On.SOMEWHERE:
            return rules.holds_somewhere(held, needs.permission)
        if self.needs_nothing(needs, uid, target):
            return True
        groups, places = self.directory.groups, self.places(needs, target)
        if len(places) == 1:
            return rules.holds(groups, held, needs.permission, places[0])
        own = rules.Held(groups, held)
        found = (bool(own(gid) & needs.permission.bit) for gid in places)
        return any(found) if needs.on is On.USER else all(found)

    def needs_nothing(self, needs: Holds, uid: int, target: object) -> bool:
        """Whether the request concerns the caller (also if it names nobody), or something that the caller began."""
        if needs.own:
            return getattr(self._owned[needs.on](target), "uid", None) == uid
        return needs.oneself and (target == uid or not isinstance(target, int))

    def place(self, needs: Needs, target: object) -> int:
        """The group that a request concerns; group 0 if it concerns none, or several."""
        places = self.places(needs, target) if isinstance(needs, Holds) else ()
        return places[0] if len(places) == 1 else ROOT_GROUP

    def places(self, needs: Holds, target: object) -> Sequence[int]:
        """The groups where a permission is looked up: group 0 for a missing object; none if any group will do."""
        on = needs.on
        if on is On.SOMEWHERE:
            return ()
        if on is On.ROOT:
            return (ROOT_GROUP,)
        if on is On.USER:
            return sorted(self.directory.held(target) if isinstance(target, int) else ()) or (ROOT_GROUP,)
        if on is On.ALL_OF_USER:
            return sorted(self.directory.authority(target))
        return (self._owner(on, target),)

    def _owner(self, on: On, target: object) -> int:
        directory = self.directory
        if on in (On.GROUP, On.PARENT_GROUP):
            return directory.existing(target)
        if on is On.GROUPS_PARENT:
            return directory.groups[directory.existing(target)].parent_gid
        if on is On.HOME:
            user = directory.users.get(target) if isinstance(target, int) else None
            return ROOT_GROUP if user is None else user.home
        found = self._owned[on](target)
        return ROOT_GROUP if found is None else found.gid


def _missing(kept: AccessRows) -> list[Permission]:
    """The permissions that root lacks on group 0: those that are newer than this installation."""
    held = {pid for uid, gid, pid in kept.grants if (uid, gid) == (ROOT_USER, ROOT_GROUP)}
    return [permission for permission in Permission if permission.pid not in held]
