"""Sessions: whose authkey is whose, and until when. Only hashes of authkeys are kept."""

from __future__ import annotations

import contextlib
import hashlib
import secrets
import time
from collections.abc import Callable, Sequence
from dataclasses import replace

import msgspec
from msgspec import UNSET, Struct, UnsetType

from velocity import plan
from velocity.access.bounds import BOUNDS
from velocity.access.port import AccessStore
from velocity.access.rules import ROOT_USER, Device, Session
from velocity.changes import Changes
from velocity.contract.problems import Problem, Refused
from velocity.steady_clock import SteadyClock

KNOWN_AFTER_EXPIRY = 24 * 3600
"""Seconds for which an expired authkey is still told apart from an unknown one."""
KEY_FILE = "key-file"
"""The sid of the key file's authkey, which is not a session that could end."""
NO_DEVICE = Device("", "")


class Caller(msgspec.Struct, frozen=True):
    """Who is asking, in which session; its sid stays when its authkey is renewed."""

    uid: int
    sid: str


UNKEPT = "the database accepts no writes at present: this session is kept in memory only and ends with the server"


class NewSession(Struct, frozen=True):
    """A session and its authkey, which is shown only now; `kept`: whether it is in the store."""

    authkey: str
    session: Session
    kept: bool = True

    @property
    def warnings(self) -> list[str] | UnsetType:
        return UNSET if self.kept else [UNKEPT]

    @property
    def expires(self) -> int:
        assert self.session.expires is not None, "only the key file's does not expire"
        return self.session.expires


def key_hash(authkey: str) -> bytes:
    """The hash of an authkey. A fast one is enough, as authkeys are random."""
    return hashlib.sha256(authkey.encode("utf-8", "surrogateescape")).digest()


class Sessions:
    """The sessions of all users. `lifetime` is in seconds."""

    def __init__(
        self,
        store: AccessStore,
        lifetime: int,
        changes: Changes,
        steady: SteadyClock,
        clock: Callable[[], float] = time.time,
        own: int = BOUNDS.user_sessions,
    ) -> None:
        """`own`: how many sessions one user may have. A sign-in beyond that ends their oldest one."""
        self._store = store
        self._own = own
        self._lifetime = lifetime
        self._changes = changes
        self.steady = steady
        self.clock = clock
        self._by_key: dict[bytes, Session] = {}
        self._by_sid: dict[str, Session] = {}
        self._first: set[str] = set()
        self._unkept: set[str] = set()
        """The sids of sessions that are only in memory."""

    def load(self, sessions: Sequence[Session]) -> None:
        self._by_key.update({session.hash: session for session in sessions})
        self._by_sid.update({session.sid: session for session in sessions})

    # Look-ups

    def caller(self, authkey: str | None) -> Caller:
        """The caller with this authkey. Raises `Refused(UNAUTHENTICATED)`."""
        if not authkey:
            raise Refused(Problem.UNAUTHENTICATED, "this request needs an authkey: sign in with POST /u/auth")
        session = self._by_key.get(key_hash(authkey))
        if session is None:
            raise Refused(Problem.UNAUTHENTICATED, "this authkey is unknown: sign in with POST /u/auth")
        if session.expires is not None and session.expires <= self.clock():  # `_expired`, inlined for speed
            raise Refused(Problem.UNAUTHENTICATED, "this authkey has expired: sign in with POST /u/auth")
        return Caller(session.uid, session.sid)

    def find(self, authkey: str) -> Session | None:
        """The session of a valid authkey."""
        session = self._by_key.get(key_hash(authkey))
        return None if session is None or self._expired(session) else session

    def still_signed_in(self, caller: Caller) -> bool:
        """Whether the session continues, even with a renewed authkey."""
        session = self._by_sid.get(caller.sid)
        return session is not None and not self._expired(session)

    def present(self, caller: Caller) -> Session:
        """The session, as it is now. Raises `Refused(UNAUTHENTICATED)` if it was ended."""
        session = self._by_sid.get(caller.sid)
        if session is None:
            raise _ended()
        return session

    def is_first(self, caller: Caller) -> bool:
        """Whether it was opened with the link of the first sign-in."""
        return caller.sid in self._first

    def all(self) -> list[Session]:
        """The sessions of all users, and the key file's."""
        return list(self._by_key.values())

    def of(self, uid: int) -> list[Session]:
        """A user's sessions that have not expired, the newest first, without the key file's."""
        found = [one for one in self._by_sid.values() if one.uid == uid and one.expires and not self._expired(one)]
        return sorted(found, key=lambda one: one.created, reverse=True)

    # Beginning and renewing

    async def begin(self, uid: int, device: Device = NO_DEVICE, *, first: bool = False) -> NewSession:
        """A new session. If the store cannot be written, it is in memory only, so that people can sign in in an
        emergency; but not the `first`, which would use up its link.

        Raises `Refused(UNAUTHENTICATED)` if the user's sessions were ended meanwhile.
        """
        now = int(self.clock())
        authkey = secrets.token_urlsafe(32)
        sid = secrets.token_hex(8)
        session = Session(key_hash(authkey), uid, now + self._lifetime, sid, now, device.address, device.agent)
        plan.step("create", "session", "")
        await self._keep(session, None, must=first)
        others = [one for one in self._by_sid.values() if one.uid == uid and one.expires and one.sid != sid]
        others.sort(key=lambda one: (one.created <= now, one.created))  # by a wrong clock it began later than now
        for oldest in others[: max(0, len(others) + 1 - self._own)]:
            with contextlib.suppress(Refused):  # it has begun: what cannot end now ends with the next one
                await self._end(oldest)
        if first:
            self._first.add(sid)
        return NewSession(authkey, session, sid not in self._unkept)

    async def renew(self, authkey: str | None) -> NewSession:
        """The same session with a new authkey. The old authkey stops working at once."""
        if not authkey:
            raise Refused(Problem.UNAUTHENTICATED, "send the authkey that you want to renew")
        old = self._by_key.get(key_hash(authkey))
        if old is None:
            raise Refused(Problem.UNKNOWN_AUTHKEY, "this authkey is unknown: sign in again")
        if self._expired(old):
            raise Refused(Problem.EXPIRED_AUTHKEY, "this authkey has expired: sign in again")
        plan.step("change", "session", "")
        plan.stop_here()
        if old.expires is None:
            return await self.begin(old.uid)
        new = secrets.token_urlsafe(32)
        session = replace(old, hash=key_hash(new), expires=int(self.clock()) + self._lifetime)
        await self._keep(session, old)
        return NewSession(new, session, session.sid not in self._unkept)

    async def _keep(self, session: Session, old: Session | None, *, must: bool = False) -> None:
        """Commit a session, which replaces `old`, unless it was ended meanwhile.

        Until the commit it is found by its sid only, so that it can be ended, and what was opened with the old authkey
        continues. If the store cannot be written, a session that is not in it stays in memory, unless it `must` be
        stored.
        """
        if old is not None:
            del self._by_key[old.hash]  # first, so that only one of two simultaneous renewals succeeds
        self._by_sid[session.sid] = session
        forget = self.steady.ago(KNOWN_AFTER_EXPIRY)
        try:
            await self._add(session, old, forget, must=must or (old is not None and old.sid not in self._unkept))
        except BaseException as error:
            if self._by_sid.get(session.sid) is not session and isinstance(error, Exception):
                raise _ended() from error
            self._restore(session, old)
            raise
        if self._by_sid.get(session.sid) is not session:
            await self._remove(session.sid)
            self._unkept.discard(session.sid)
            raise _ended()
        self._by_key[session.hash] = session
        self._changes.note_change("session", session.uid)
        for one in [one for one in self._by_key.values() if one.expires is not None and one.expires < forget]:
            self._drop(one.sid)

    async def _add(self, session: Session, old: Session | None, forget_before: int, *, must: bool) -> None:
        """`must`: otherwise the old authkey of a stored session would work again after a restart."""
        try:
            await self._store.add_session(session, None if old is None else old.hash, forget_before)
        except Refused as refused:
            if must or refused.problem is not Problem.UNAVAILABLE:
                raise
            self._unkept.add(session.sid)
        else:
            self._unkept.discard(session.sid)

    async def _remove(self, sid: str) -> None:
        if sid not in self._unkept:
            await self._store.remove_session(sid)

    def _restore(self, session: Session, old: Session | None) -> None:
        """Undo `_keep`, unless the session was ended meanwhile."""
        if self._by_sid.get(session.sid) is not session:
            return
        if old is None:
            del self._by_sid[session.sid]
        else:
            self._by_key[old.hash] = self._by_sid[old.sid] = old

    # Ending

    async def end(self, authkey: str | None) -> None:
        """End the session of this authkey. An unknown one is no error; the key file's does not end."""
        session = self._by_key.get(key_hash(authkey or ""))
        if session is not None and session.expires is not None:
            await self._end(session)

    async def end_one(self, caller: Caller, sid: str) -> None:
        """End one of the caller's own sessions. Raises `Refused(SESSION_NOT_FOUND)`."""
        session = self._by_sid.get(sid)
        if session is None or session.uid != caller.uid:
            raise Refused(Problem.SESSION_NOT_FOUND, f"you have no session {sid!r}: list your sessions", field="sid")
        if session.expires is None:
            raise Refused(
                Problem.SESSION_NOT_FOUND,
                "the key file is not a session: to revoke it, remove the file and restart the server",
                field="sid",
            )
        await self._end(session)

    def forget(self, uid: int) -> None:
        """Drop every session of a user, after the store has removed them."""
        for session in list(self._by_sid.values()):
            if session.uid == uid and session.expires is not None:
                self._drop(session.sid)

    def accept_key(self, authkey: str) -> None:
        """Let this key, the content of the key file, stand for `root` while the server runs."""
        session = Session(key_hash(authkey), ROOT_USER, None, KEY_FILE, int(self.clock()), "", "")
        self._by_key[session.hash] = self._by_sid[session.sid] = session

    async def _end(self, session: Session) -> None:
        plan.step("delete", "session", session.sid)
        await self._remove(session.sid)
        self._drop(session.sid)

    def _drop(self, sid: str) -> None:
        session = self._by_sid.pop(sid, None)
        if session is not None:
            self._by_key.pop(session.hash, None)
            self._first.discard(sid)
            self._unkept.discard(sid)
            self._changes.note_change("session", session.uid)

    def _expired(self, session: Session) -> bool:
        return session.expires is not None and session.expires <= self.clock()


def _ended() -> Refused:
    return Refused(Problem.UNAUTHENTICATED, "this session was ended in the meantime: sign in again")
