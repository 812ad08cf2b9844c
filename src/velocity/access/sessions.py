"""Authkeys: whose they are and how long they last. Kept as hashes only."""

from __future__ import annotations

import hashlib
import secrets
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from velocity import plan
from velocity.access.port import AccessStore
from velocity.access.rules import ROOT_USER, Session
from velocity.contract.problems import Problem, Refused

KNOWN_AFTER_EXPIRY = 24 * 3600
"""Seconds for which an expired authkey is told apart from an unknown one."""


@dataclass(frozen=True)
class Caller:
    """Who is asking, and with which authkey (its hash)."""

    uid: int
    key: bytes


def key_hash(authkey: str) -> bytes:
    """What is kept of an authkey. Authkeys are random, so a fast hash is enough."""
    return hashlib.sha256(authkey.encode("utf-8", "surrogateescape")).digest()


class Sessions:
    """The sessions of all users. `lifetime` is in seconds."""

    def __init__(self, store: AccessStore, lifetime: int, clock: Callable[[], float] = time.time) -> None:
        self._store = store
        self._lifetime = lifetime
        self._clock = clock
        self._sessions: dict[bytes, Session] = {}

    def load(self, sessions: Sequence[Session]) -> None:
        self._sessions = {session.hash: session for session in sessions}

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

    async def begin(self, uid: int, *, replaces: bytes | None = None) -> tuple[str, int]:
        """A new authkey and when it expires, in unix seconds."""
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

    async def renew(self, authkey: str | None) -> tuple[str, int]:
        """The old one stops working at once."""
        if not authkey:
            raise Refused(Problem.UNAUTHENTICATED, "send the authkey that is to be renewed")
        key = key_hash(authkey)
        session = self._sessions.get(key)
        if session is None:
            raise Refused(Problem.UNKNOWN_AUTHKEY, "this authkey is unknown: sign in again")
        if self._expired(session):
            raise Refused(Problem.EXPIRED_AUTHKEY, "this authkey has expired: sign in again")
        plan.step("change", "session", "")
        plan.ends()
        # Taken out first: of two renewals at once only one can win.
        del self._sessions[key]
        try:
            return await self.begin(session.uid, replaces=key)
        except BaseException:
            self._sessions[key] = session
            raise

    async def end(self, authkey: str | None) -> None:
        """An unknown one is no failure; the key file's does not end."""
        key = key_hash(authkey or "")
        if key in self._sessions and self._sessions[key].expires is not None:
            plan.step("delete", "session", "")
            await self._store.remove_session(key)
            self._sessions.pop(key, None)

    def forget(self, uid: int) -> None:
        """Every authkey of a user ends, now that the store has none of them any more."""
        self._sessions = {
            key: session for key, session in self._sessions.items() if session.uid != uid or session.expires is None
        }

    def accept_key(self, authkey: str) -> None:
        """Let this key stand for `root` as long as the server runs: the content of the key file."""
        key = key_hash(authkey)
        self._sessions[key] = Session(key, ROOT_USER, None)

    def _expired(self, session: Session) -> bool:
        return session.expires is not None and session.expires <= self._clock()
