"""The use cases of access. Decisions come from memory; what changes is committed first, then visible at once."""

from __future__ import annotations

import asyncio
import hashlib
import secrets
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from velocity.access import rules
from velocity.access.passwords import Passwords
from velocity.access.port import AccessStore
from velocity.access.rules import ROOT_GROUP, ROOT_USER, Group, Session, User
from velocity.contract.operation import Anyone, Hides, Holds, Needs, On, SignedIn
from velocity.contract.permissions import Permission, members
from velocity.contract.problems import Problem, Refused

KNOWN_AFTER_EXPIRY = 24 * 3600
"""Seconds for which an expired authkey is told apart from an unknown one."""


@dataclass(frozen=True)
class Caller:
    """Who is asking, and with which authkey (its hash)."""

    uid: int
    key: bytes


@dataclass(frozen=True)
class Membership:
    """What a user holds directly on one group."""

    group: Group
    permissions: list[Permission]


Owner = Callable[[object], int | None]
"""The group that owns an object, by its id; None: there is no such object."""


def key_hash(authkey: str) -> bytes:
    """What is kept of an authkey. Authkeys are random, so a fast hash is enough."""
    return hashlib.sha256(authkey.encode("utf-8", "surrogateescape")).digest()


class Access:
    """Users, groups, permissions and sessions."""

    def __init__(
        self,
        store: AccessStore,
        passwords: Passwords,
        *,
        lifetime: int,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._store = store
        self._passwords = passwords
        self._lifetime = lifetime
        self._clock = clock
        self._changing = asyncio.Lock()
        self._users: dict[int, User] = {}
        self._uids: dict[str, int] = {}
        self._groups: dict[int, Group] = {}
        self._grants: dict[int, dict[int, int]] = {}
        self._sessions: dict[bytes, Session] = {}
        self._owners: dict[On, Owner] = {}

    async def open(self, root_password: str) -> str | None:
        """Load what is kept. At the first start create `root`; the random password, if one was made, is returned."""
        kept = self._store.load()
        made = None
        if not kept.users:
            made = None if root_password else secrets.token_urlsafe(12)
            await self._store.add_root("root", await self._passwords.hash(root_password or made or ""))
            kept = self._store.load()
        for user in kept.users:
            self._learn(user)
        self._groups = {group.gid: group for group in kept.groups}
        for uid, gid, pid in kept.grants:
            held = self._grants.setdefault(uid, {})
            held[gid] = held.get(gid, 0) | 1 << pid
        self._sessions = {session.hash: session for session in kept.sessions}
        return made

    def owns(self, on: On, owner: Owner) -> None:
        """Tell how to find the group that owns an object of that kind."""
        self._owners[on] = owner

    # Sessions

    async def sign_in(self, name: str, password: str) -> tuple[str, int]:
        """An authkey and when it expires, in unix seconds."""
        uid = self._uids.get(name)
        user = None if uid is None else self._users[uid]
        if not await self._passwords.verify(None if user is None else user.password, password) or user is None:
            raise Refused(Problem.WRONG_CREDENTIALS, "wrong name or password")
        return await self._new_session(user.uid, None)

    async def sign_out(self, authkey: str | None) -> None:
        key = key_hash(authkey or "")
        if key in self._sessions and self._sessions[key].expires is not None:
            await self._store.remove_session(key)
            self._sessions.pop(key, None)

    async def renew(self, authkey: str | None) -> tuple[str, int]:
        if not authkey:
            raise Refused(Problem.UNAUTHENTICATED, "send the authkey that is to be renewed")
        key = key_hash(authkey)
        session = self._sessions.get(key)
        if session is None:
            raise Refused(Problem.UNKNOWN_AUTHKEY, "this authkey is unknown: sign in again")
        if self._expired(session):
            raise Refused(Problem.EXPIRED_AUTHKEY, "this authkey has expired: sign in again")
        # Taken out first: of two renewals at once only one can win.
        del self._sessions[key]
        try:
            return await self._new_session(session.uid, key)
        except BaseException:
            self._sessions[key] = session
            raise

    def caller(self, authkey: str | None) -> Caller:
        """Whose authkey this is. Raises `Refused(UNAUTHENTICATED)`."""
        if authkey is None:
            raise Refused(Problem.UNAUTHENTICATED, "an authkey is needed: sign in with POST /u/auth")
        session = self._sessions.get(key_hash(authkey))
        if session is None:
            raise Refused(Problem.UNAUTHENTICATED, "this authkey is unknown: sign in with POST /u/auth")
        if self._expired(session):
            raise Refused(Problem.UNAUTHENTICATED, "this authkey has expired: sign in with POST /u/auth")
        return Caller(session.uid, session.hash)

    def still_signed_in(self, caller: Caller) -> bool:
        session = self._sessions.get(caller.key)
        return session is not None and not self._expired(session)

    def accept_key(self, authkey: str) -> None:
        """Let this key stand for `root` as long as the server runs: the content of the key file."""
        key = key_hash(authkey)
        self._sessions[key] = Session(key, ROOT_USER, None)

    def _expired(self, session: Session) -> bool:
        return session.expires is not None and session.expires <= self._clock()

    async def _new_session(self, uid: int, replaces: bytes | None) -> tuple[str, int]:
        now = int(self._clock())
        authkey = secrets.token_urlsafe(32)
        session = Session(key_hash(authkey), uid, now + self._lifetime)
        forget = now - KNOWN_AFTER_EXPIRY
        await self._store.add_session(session, replaces, forget)
        self._sessions = {
            key: old for key, old in self._sessions.items() if old.expires is None or old.expires >= forget
        }
        self._sessions[session.hash] = session
        return authkey, now + self._lifetime

    # Permissions

    def holds(self, uid: int, permission: Permission, gid: int) -> bool:
        """On that group, directly or by inheritance. A group that does not exist counts as group 0."""
        return rules.holds(self._groups, self._held(uid), permission, self._existing(gid))

    def group(self, gid: int, *, field: str = "gid") -> Group:
        try:
            return self._groups[gid]
        except KeyError:
            raise Refused(Problem.GROUP_NOT_FOUND, f"there is no group {gid}", field=field) from None

    def line(self, gid: int) -> list[int]:
        """The group and its ancestors, up to the root."""
        return list(rules.line(self._groups, gid))

    def admit(self, needs: Needs, caller: Caller | None, target: object) -> None:
        """Refuse unless the caller holds what an operation needs on `target`, the id that its request names.

        Whether the target exists is for the use case to say; one that does not is treated as group 0's.
        """
        if isinstance(needs, Anyone | SignedIn):
            return
        assert caller is not None
        held = self._held(caller.uid)
        if needs.on is On.SOMEWHERE:
            allowed = rules.holds_somewhere(held, needs.permission)
        elif needs.on is On.USER:
            allowed = self._may_see_user(caller, target)
        else:
            gid = self._owner(needs.on, target)
            bits = rules.held(self._groups, held, gid)
            hidden = (needs.hides is Hides.STRANGERS and not bits) or (
                needs.hides is Hides.NON_VIEWERS and not bits & Permission.VM_VIEW.bit
            )
            if hidden:
                raise Refused(Problem.VM_NOT_FOUND, f"there is no VM {target}, or none that you may see")
            allowed = bool(bits & needs.permission.bit)
        if not allowed:
            raise Refused(Problem.NO_PERMISSION, _missing(needs))

    def _owner(self, on: On, target: object) -> int:
        if on in (On.GROUP, On.PARENT_GROUP):
            return self._existing(target)
        gid = self._owners[on](target)
        return ROOT_GROUP if gid is None else gid

    def _existing(self, gid: object) -> int:
        return gid if isinstance(gid, int) and gid in self._groups else ROOT_GROUP

    def _may_see_user(self, caller: Caller, uid: object) -> bool:
        if not isinstance(uid, int) or uid == caller.uid:
            return True  # absent: the caller himself
        where: Iterable[int] = self._held(uid) or (ROOT_GROUP,)
        held = self._held(caller.uid)
        return any(rules.holds(self._groups, held, Permission.USER_VIEW, gid) for gid in where)

    def _held(self, uid: int) -> Mapping[int, int]:
        return self._grants.get(uid, {})

    # Users and groups

    def user(self, uid: int) -> User:
        try:
            return self._users[uid]
        except KeyError:
            raise Refused(Problem.USER_NOT_FOUND, f"there is no user {uid}", field="uid") from None

    def memberships(self, caller: Caller, uid: int) -> list[Membership]:
        """What the user holds directly, on the groups whose members the caller may see (one's own: all)."""
        held = self._held(uid)
        shown = sorted(held)
        if uid != caller.uid:
            shown = rules.visible_memberships(self._groups, self._held(caller.uid), held)
        return [Membership(self._groups[gid], members(held[gid])) for gid in shown]

    async def create_user(self, name: str, password: str) -> User:
        self._free_name(name)
        hashed = await self._passwords.hash(password)
        async with self._changing:
            self._free_name(name)
            user = User(await self._store.add_user(name, hashed), name, hashed)
            self._learn(user)
        return user

    def _free_name(self, name: str) -> None:
        if name in self._uids:
            raise Refused(Problem.USER_NAME_TAKEN, f"a user named {name!r} exists: choose another name", field="name")

    async def create_group(self, name: str, parent_gid: int) -> Group:
        async with self._changing:
            self.group(parent_gid, field="parent_gid")
            for group in self._groups.values():
                if group.gid != ROOT_GROUP and (group.parent_gid, group.name) == (parent_gid, name):
                    raise Refused(
                        Problem.GROUP_NAME_TAKEN,
                        f"group {parent_gid} has a subgroup named {name!r}: choose another name",
                        field="name",
                    )
            group = Group(await self._store.add_group(name, parent_gid), parent_gid, name)
            self._groups[group.gid] = group
        return group

    async def grant(self, caller: Caller, uid: int, gid: int, name: str) -> None:
        """Give a permission that the caller holds on that very group; held already is success."""
        permission = next((known for known in Permission if known.value == name), None)
        async with self._changing:
            if permission is not None and not self.holds(caller.uid, permission, gid):
                raise Refused(
                    Problem.PERMISSION_NOT_HELD, f"you do not hold {name} on group {gid}, so you cannot give it"
                )
            self.user(uid)
            self.group(gid)
            if permission is None:
                known = ", ".join(one.value for one in Permission)
                raise Refused(
                    Problem.PERMISSION_NOT_FOUND,
                    f"there is no permission {name!r}; there are: {known}",
                    field="permission",
                )
            await self._store.add_grant(uid, gid, permission.pid)
            held = self._grants.setdefault(uid, {})
            held[gid] = held.get(gid, 0) | permission.bit

    def _learn(self, user: User) -> None:
        self._users[user.uid] = user
        self._uids[user.name] = user.uid


def _missing(needs: Holds) -> str:
    where = {
        On.SOMEWHERE: "on some group",
        On.GROUP: "on this group",
        On.PARENT_GROUP: "on the parent group",
        On.USER: "on a group that this user is a member of",
        On.MEDIUM: "on the medium's group",
        On.VM: "on the VM's group",
    }[needs.on]
    return f"you need {needs.permission.value} {where}: ask someone who may assign it there"
