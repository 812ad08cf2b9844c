"""Renews a session while its client works: a long transfer may take longer than an authkey is valid.

The old authkey stops working at once. So processes that share a session (`SessionStore`) renew it one at a time, and
find the new authkey in the store.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol

from velocity.client.errors import ApiError, ClientError
from velocity.contract.auth import IssuedAuthkey

SOONEST = 2.0
"""The least pause between renewals, in seconds."""
LAST = 10.0
"""Seconds that a renewal has to finish when its client is closed."""
AGAIN = 5.0
"""Seconds until the next attempt after a renewal without a response."""


@dataclass(frozen=True)
class HeldSession:
    """A session. Times are in Unix seconds; `issued` is by this machine's clock."""

    authkey: str
    issued: int
    expires: int

    @classmethod
    def of(cls, issued: IssuedAuthkey) -> HeldSession:
        """The session of an authkey that was issued just now."""
        return cls(issued.authkey, int(time.time()), issued.expires)

    @property
    def due(self) -> float:
        """When half of its lifetime is over, in Unix seconds."""
        return (self.issued + self.expires) / 2


class SessionStore(Protocol):
    """Where several processes share a session."""

    def turn(self) -> AbstractContextManager[None]:
        """Within, no other process renews the session."""

    def read(self) -> HeldSession | None: ...

    def write(self, session: HeldSession) -> None: ...


class OwnSession:
    """A `SessionStore` for this process only."""

    def __init__(self, session: HeldSession) -> None:
        self._session = session

    def turn(self) -> AbstractContextManager[None]:
        return contextlib.nullcontext()

    def read(self) -> HeldSession | None:
        return self._session

    def write(self, session: HeldSession) -> None:
        self._session = session


class Renewal:
    """Renews a session in a thread of its own, until `stop`. `renew` asks the server; `changed` gets new authkeys."""

    def __init__(
        self,
        session: HeldSession,
        store: SessionStore,
        renew: Callable[[str], IssuedAuthkey],
        changed: Callable[[str], None],
    ) -> None:
        self._session = session
        self._store = store
        self._renew = renew
        self._changed = changed
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="renewal", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Returns when no renewal is under way: the new authkey must not be lost."""
        self._ended.set()
        self._thread.join(LAST)

    def other(self, used: str) -> bool:
        """Whether the session has another authkey than `used` by now, which is then taken over."""
        with self._store.turn():
            kept = self._store.read()
            if kept is not None and kept.authkey != used:
                self._take(kept)
            return self._session.authkey != used

    def _run(self) -> None:
        pause = max(SOONEST, self._session.due - time.time())
        while not self._ended.wait(pause):
            try:
                self._renew_once()
                pause = max(SOONEST, self._session.due - time.time())
            except ApiError as error:
                if error.status < 500:
                    return  # the session has ended: its next user gets the error
                pause = AGAIN
            except (ClientError, OSError):
                pause = AGAIN

    def _renew_once(self) -> None:
        with self._store.turn():
            kept = self._store.read()
            if kept is not None and kept.authkey != self._session.authkey:
                self._take(kept)
                return
            answer = self._renew(self._session.authkey)
            self._take(HeldSession.of(answer))
            self._store.write(self._session)

    def _take(self, session: HeldSession) -> None:
        self._session = session
        self._changed(session.authkey)
