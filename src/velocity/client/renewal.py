"""A session that is renewed while its client works: a long transfer takes longer than an authkey lasts.

The old authkey stops working at once. So others that work with the same session (`SessionStore`) are waited for before
it is renewed, and find the new one there.
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
"""Seconds: what ends sooner renews nothing."""
LAST = 10.0
"""Seconds that a renewal has to come to its end when its client is closed."""
AGAIN = 5.0
"""Seconds after which a renewal that got no answer is tried again."""


@dataclass(frozen=True)
class HeldSession:
    """In unix seconds, `issued` by this machine's clock."""

    authkey: str
    issued: int
    expires: int

    @classmethod
    def of(cls, issued: IssuedAuthkey) -> HeldSession:
        """The one that was just issued."""
        return cls(issued.authkey, int(time.time()), issued.expires)

    @property
    def due(self) -> float:
        """When half of its life is over."""
        return (self.issued + self.expires) / 2


class SessionStore(Protocol):
    """Where a session is kept for several processes."""

    def turn(self) -> AbstractContextManager[None]:
        """Nobody else renews within."""

    def read(self) -> HeldSession | None: ...

    def write(self, session: HeldSession) -> None: ...


class OwnSession:
    """Keeps `SessionStore`: of this process alone."""

    def __init__(self, session: HeldSession) -> None:
        self._session = session

    def turn(self) -> AbstractContextManager[None]:
        return contextlib.nullcontext()

    def read(self) -> HeldSession | None:
        return self._session

    def write(self, session: HeldSession) -> None:
        self._session = session


class Renewal:
    """Renews a session in a thread of its own until `stop`. `renew` asks the server; `changed` is told the new key."""

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
        """Whether another authkey than that counts by now; it is taken."""
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
                    return  # it has ended: whoever uses it next is told
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
