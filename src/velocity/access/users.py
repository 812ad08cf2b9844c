"""The use cases of users: accounts, passwords, and what users may do where."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from msgspec import Struct, UnsetType

from velocity import plan
from velocity.access import rules
from velocity.access.bounds import BOUNDS, Bounds
from velocity.access.directory import Directory
from velocity.access.lasting import check_admitted
from velocity.access.passwords import Passwords
from velocity.access.port import AccessStore
from velocity.access.rules import ROOT_GROUP, ROOT_USER, Device, Group, User
from velocity.access.sessions import Caller, NewSession, Sessions
from velocity.access.throttle import PasswordThrottle, network
from velocity.access.updates import DirectoryWriter
from velocity.access.welcome import FirstSignInLink
from velocity.contract import names
from velocity.contract.operation import On
from velocity.contract.permissions import Permission, members
from velocity.contract.problems import Problem, Refused
from velocity.contract.revision import check, revision
from velocity.contract.users import ChangeUser, ShowUser


class Membership(Struct, frozen=True):
    """What a user holds directly on one group."""

    user: User
    group: Group
    permissions: list[Permission]


class Users:
    """Accounts and grants."""

    def __init__(
        self,
        store: AccessStore,
        directory: Directory,
        updates: DirectoryWriter,
        sessions: Sessions,
        passwords: Passwords,
        throttle: PasswordThrottle,
        welcome: FirstSignInLink,
        bounds: Bounds = BOUNDS,
    ) -> None:
        self._store = store
        self._directory = directory
        self._updates = updates
        self._sessions = sessions
        self._passwords = passwords
        self.throttle = throttle
        self._welcome = welcome
        self._bounds = bounds

    async def sign_in(self, name: str, password: str, device: Device) -> NewSession:
        """Open a session with name and password."""
        user = self._directory.named(name) or self._directory.named(names.tidy(name, "user"))
        with self.throttle.attempt(user.name if user else name, device.address) as right:
            hashed = None if user is None else user.password
            matches = await self._passwords.verify(hashed, password, network(device.address))
            if not matches or user is None or self._directory.users.get(user.uid) is not user:
                raise Refused(Problem.WRONG_CREDENTIALS, "wrong name or password")
            right()
        return await self._sessions.begin(user.uid, device)

    async def sign_in_by_link(self, word: str, device: Device) -> NewSession:
        """Open a session of root with the link of the first sign-in. Takes as long as with a password."""
        with self.throttle.attempt(None, device.address) as right:
            await self._passwords.verify(None, word, network(device.address))
            with self._welcome.used(word):
                right()
                return await self._sessions.begin(ROOT_USER, device, first=True)

    def memberships(self, caller: Caller, uid: int, request: ShowUser) -> list[Membership]:
        """What the user holds directly, on the groups whose members the caller may see (for oneself: all)."""
        directory = self._directory
        user = directory.user(uid)
        held = directory.held(uid)
        shown = sorted(held)
        if uid != caller.uid:
            shown = rules.visible_memberships(directory.groups, directory.held(caller.uid), held)
        return [Membership(user, directory.groups[gid], members(held[gid])) for gid in request.page(shown)]

    def everyone(self) -> list[User]:
        return sorted(self._directory.users.values(), key=lambda user: user.name)

    async def create(self, caller: Caller, name: str, password: str, gid: int | None) -> User:
        """Create a user at home in this group; None: see `rules.first_home`."""
        home = self._home(caller, gid)
        self._free_name(name)
        self._check_room(home)
        plan.step("create", "user", name, gid=home)
        plan.stop_here()
        hashed = await self._passwords.hash(password, caller.uid)
        async with self._updates.changing:
            check_admitted()
            home = self._home(caller, gid)
            self._free_name(name)
            self._check_room(home)
            user = User(await self._store.add_user(name, hashed, home), name, hashed, home)
            self._updates.put_user(user)
        return user

    def _check_room(self, home: int) -> None:
        most = self._bounds.group_users
        if sum(one.home == home for one in self._directory.users.values()) >= most:
            raise Refused(
                Problem.TOO_MANY_USERS,
                f"{self._directory.path(home)} is the home of {most} users, and no more are allowed (group_users): "
                "choose another group, or delete some",
                field="gid",
            )

    def _check_new_home(self, user: User, request: ChangeUser) -> None:
        if isinstance(request.gid, int) and request.gid != user.home:
            self._check_room(request.gid)

    def _home(self, caller: Caller, gid: int | None) -> int:
        directory = self._directory
        if gid is None:
            gid = rules.first_home(directory.held(caller.uid))
            return ROOT_GROUP if gid in directory.leaving else gid
        return directory.group(gid).gid

    def home_shown(self, caller: Caller, user: User) -> int | None:
        """A user's home, for callers who see that group's members; one's own, if one sees the group."""
        directory = self._directory
        if user.uid == caller.uid:
            return user.home if directory.sees(caller.uid, user.home) else None
        shown = rules.visible_memberships(directory.groups, directory.held(caller.uid), [user.home])
        return user.home if shown else None

    def revision(self, user: User) -> str:
        """The account's revision. Nobody can guess the other fields from it, as it contains the salted hash."""
        return revision(user.uid, user.name, user.password, user.home)

    async def remove(self, caller: Caller, uid: int, named: str | UnsetType) -> None:
        async with self._updates.changing:
            check_admitted()
            user = self._directory.user(uid)
            if uid in (ROOT_USER, caller.uid):
                who = "the root user" if uid == ROOT_USER else "yourself"
                raise Refused(
                    Problem.USER_STAYS, f"{who} cannot be removed: choose a user other than {user.name!r}", field="uid"
                )
            self._check_authority(caller, uid)
            check(named, self.revision(user))
            plan.step("delete", "user", user.name, id=uid)
            await self._store.remove_user(uid)
            self._updates.forget_user(uid)
            self._sessions.forget(uid)

    async def change(self, caller: Caller, request: ChangeUser, address: str) -> None:
        """Set a password or a home.

        Users set their own password with the old one, or without it in the first session; others' if they have
        authority over the account and hold all that it holds. A new home needs velocity.user.remove on the old one and
        the new one.
        """
        uid = request.uid if isinstance(request.uid, int) else caller.uid
        user = self._checked(caller, uid, request)
        proves = isinstance(request.password, str) or isinstance(request.old_password, str)
        if proves and uid == caller.uid and not self._sessions.is_first(caller):
            await self._prove(user, request.old_password, address)
        self._check_new_home(user, request)
        check(request.revision, self.revision(user))
        changes: dict[str, tuple[object, object] | None] = {}
        if isinstance(request.password, str):
            changes["password"] = None
        if isinstance(request.gid, int):
            changes["home"] = (user.home, request.gid)
        plan.step("change", "user", user.name, id=uid, changes=changes)
        plan.stop_here()
        hashed = await self._passwords.hash(request.password, caller.uid) if isinstance(request.password, str) else None
        async with self._updates.changing:
            check_admitted()
            user = self._checked(caller, uid, request)
            self._check_new_home(user, request)
            check(request.revision, self.revision(user))
            home = request.gid if isinstance(request.gid, int) else user.home
            await self._store.change_user(uid, hashed, home)
            self._updates.put_user(replace(user, password=hashed or user.password, home=home))
            if hashed is not None:
                self._sessions.forget(uid)
                if uid == ROOT_USER:
                    self._welcome.void()

    def _checked(self, caller: Caller, uid: int, request: ChangeUser) -> User:
        """The user, if the caller may change them in this way now. Raises `Refused`."""
        directory = self._directory
        user = directory.user(uid)
        if isinstance(request.password, str) and uid != caller.uid:
            self._check_authority(caller, uid)
            if not rules.dominates(directory.groups, directory.held(caller.uid), directory.authority(uid)):
                raise Refused(
                    Problem.NO_PERMISSION,
                    f"user {uid} holds permissions that you do not have: ask someone who has all of them to set "
                    "this password",
                )
        if isinstance(request.gid, int):
            if not self._may_remove(caller, [user.home, directory.existing(request.gid)]):
                raise Refused(
                    Problem.NO_PERMISSION,
                    f"you need {Permission.USER_REMOVE.value} on the user's home group and on "
                    f"{directory.called(caller.uid, request.gid)}: ask someone who has it on both",
                    field="gid",
                )
            directory.group(request.gid)
        return user

    def _check_authority(self, caller: Caller, uid: int) -> None:
        """Raises `Refused` unless the caller has authority over the account now, whose grants may have changed."""
        if not self._may_remove(caller, self._directory.authority(uid)):
            raise Refused(
                Problem.NO_PERMISSION,
                f"you need {Permission.USER_REMOVE.value} {On.ALL_OF_USER.value}: ask someone who can assign it there",
            )

    def _may_remove(self, caller: Caller, places: Iterable[int]) -> bool:
        directory = self._directory
        own = rules.Held(directory.groups, directory.held(caller.uid))
        return all(own(gid) & Permission.USER_REMOVE.bit for gid in places)

    async def _prove(self, user: User, old_password: str | UnsetType, address: str) -> None:
        if not isinstance(old_password, str):
            raise Refused(
                Problem.MALFORMED,
                "old_password: this field is missing: changing your own password needs it",
                field="old_password",
            )
        with self.throttle.attempt(user.name, address) as right:
            if not await self._passwords.verify(user.password, old_password, network(address)):
                raise Refused(Problem.NO_PERMISSION, "the old password is wrong", field="old_password")
            right()

    def _free_name(self, name: str) -> None:
        if name in self._directory.uids:
            raise Refused(
                Problem.USER_NAME_TAKEN, f"a user named {name!r} already exists: choose another name", field="name"
            )

    # Grants

    async def grant(self, caller: Caller, uid: int, gid: int, name: str, named: str | UnsetType) -> None:
        """Grant a permission that the caller holds on the same group. Succeeds if it is held already."""
        directory = self._directory
        permission = _named(name)
        async with self._updates.changing:
            check_admitted()
            if permission is not None and permission.bit & ~self._held_on(caller, gid):
                raise Refused(
                    Problem.PERMISSION_NOT_HELD,
                    f"you do not have {name} on {directory.called(caller.uid, gid)}, so you cannot give it",
                )
            user = directory.user(uid)
            directory.group(gid)
            if permission is None:
                raise _unknown(name)
            check(named, directory.revision(gid))
            if not directory.held(uid).get(gid, 0) & permission.bit:
                plan.step("grant", "user", user.name, id=uid, gid=gid, changes={"permissions": (None, [name])})
            await self._store.add_grant(uid, gid, permission.pid)
            self._updates.grant(uid, gid, permission.bit)

    async def revoke(self, caller: Caller, uid: int, gid: int, name: str | None, named: str | UnsetType) -> None:
        """Revoke a permission that the caller holds too, or all of them (None). Succeeds if it is not held."""
        directory = self._directory
        permission = None if name is None else _named(name)
        async with self._updates.changing:
            check_admitted()
            everything = directory.held(uid).get(gid, 0)
            bits = everything if name is None else (permission.bit if permission else 0)
            missing = bits & ~self._held_on(caller, gid)
            if missing:
                raise Refused(
                    Problem.NO_PERMISSION,
                    f"you do not have {rules.names(missing)} on {directory.called(caller.uid, gid)}, so you cannot "
                    "take it away",
                )
            user = directory.user(uid)
            directory.group(gid)
            if name is not None and permission is None:
                raise _unknown(name)
            if uid == ROOT_USER and gid == ROOT_GROUP:
                raise Refused(Problem.GRANT_STAYS, "the root user's permissions on group 0 cannot be taken away")
            check(named, directory.revision(gid))
            if taken := bits & everything:
                names = [one.value for one in members(taken)]
                plan.step("revoke", "user", user.name, id=uid, gid=gid, changes={"permissions": (names, None)})
            await self._store.remove_grants(uid, gid, [one.pid for one in members(bits)])
            self._updates.revoke(uid, gid, bits)

    def _held_on(self, caller: Caller, gid: int) -> int:
        """What the caller holds on the group, as `rules.held`. One that does not exist counts as group 0."""
        directory = self._directory
        return rules.held(directory.groups, directory.held(caller.uid), directory.existing(gid))


def _named(name: str) -> Permission | None:
    return next((known for known in Permission if known.value == name), None)


def _unknown(name: str) -> Refused:
    known = ", ".join(one.value for one in Permission)
    return Refused(
        Problem.PERMISSION_NOT_FOUND,
        f"there is no permission {name!r}; the permissions are: {known}",
        field="permission",
    )
