"""Whether a pool is available: checked at each use, so that one that returns works without a restart."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Literal

from velocity.contract.problems import Problem, Refused
from velocity.storage.directory.directory_claim import DirectoryClaim
from velocity.storage.directory.files import PoolFiles
from velocity.storage.directory.identity import Identity, NotThePool, SharedIdentity
from velocity.storage.directory.places import HostPlaces, Places
from velocity.storage.errors import HOST, refusal
from velocity.storage.port import ONLINE, PoolMark, PoolState

log = logging.getLogger(__name__)

SAID: dict[str, tuple[str, str]] = {
    "away": ("is away: its disk is not mounted or does not respond", "until the administrator has restored it"),
    "readonly": ("is read-only at present", "until the administrator has made it writable"),
    "full": ("is full", "or remove media"),
}


@dataclass(frozen=True)
class Names:
    """What the database knows of a pool's files. `tidy`: this host cleans up. `term` is the server's."""

    kept: Collection[str] = ()
    trashed: Collection[str] = ()
    coming: Collection[str] = ()
    tidy: bool = field(default=True, kw_only=True)
    term: int = field(default=0, kw_only=True)


class Presence:
    """Whether one pool is available. Its methods block, and are called in threads."""

    def __init__(self, places: Places, identity: Identity, files: PoolFiles) -> None:
        self._places = places
        self._identity = identity
        self._files = files
        self._in_order = False
        self._looking = threading.Lock()
        self._last = ONLINE
        self._claim = DirectoryClaim()

    def state(self) -> PoolState | None:
        """The state; None if it takes the names of the pool's files to find out."""
        with self._looking:
            told = self._identity.fits() and (self._in_order or not self._writable())
            return self._look(None) if told else None

    def open(self, names: Names) -> PoolState:
        """The state, given what the database knows of its files."""
        with self._looking:
            return self._look(names)

    def mark(self, expected: str) -> PoolMark:
        """A shared pool's mark; empty if it cannot be read."""
        if not isinstance(self._identity, SharedIdentity):
            return PoolMark()
        try:
            with self._looking:
                return self._identity.look(expected)
        except OSError as error:
            log.warning("pool %r (%d) cannot be examined: %s", self._places.name, self._places.mpid, error)
            return PoolMark()

    def _look(self, names: Names | None) -> PoolState:
        try:
            now, why = self._find(names)
        except NotThePool as error:
            self._claim.give_back()
            now, why = self._said("away", error.said), str(error)
        except OSError as error:
            if error.errno in HOST:  # an error of the host says nothing about the pool
                log.warning("pool %r (%d) cannot be checked: %s", self._places.name, self._places.mpid, error)
                return self._last
            self._claim.give_back()
            why = f"{error.filename or self._places.path}: {error.strerror}"
            now = self._said("away", f"is away: its disk fails ({error.strerror})")
        if now != self._last:
            level = logging.INFO if now == ONLINE else logging.WARNING
            why = why and f": {why}"
            log.log(level, "pool %r (%d) is %s%s", self._places.name, self._places.mpid, now.state, why)
            self._last = now
        return now

    def _find(self, names: Names | None) -> tuple[PoolState, str]:
        """The state, and the reason with paths, for the log."""
        path = self._places.path
        if self._writable() and not self._claimed():  # before anything is written
            return self._in_use()
        if names is not None:
            self._check(names)
        if not self._writable():
            self._claim.give_back()  # readers do not disturb each other
            return self._said("readonly"), f"{path} is not writable: remount it, or change its permissions"
        if not self._claimed():
            return self._in_use()
        if names is not None and isinstance(self._identity, SharedIdentity):
            self._identity.lead(names.term)
        if names is not None and not self._in_order:
            self._files.open(names.kept, names.trashed, names.coming, tidy=names.tidy)
            self._in_order = True
        self._files.finish_what_is_left()
        if why := self._files.fullness.why():
            return self._said("full"), f"{path}: {why}"
        return ONLINE, ""

    def _check(self, names: Names) -> None:
        if isinstance(self._identity, SharedIdentity) and not names.tidy:
            self._identity.check_taken()
        else:
            self._identity.check({*names.kept, *names.trashed})

    def _claimed(self) -> bool:
        """Whether the directory is ours. The host's own pool has the data directory's lock; a shared one needs none."""
        free = self._places.shared or isinstance(self._places, HostPlaces)
        return free or self._claim.take(self._places.path)

    def _in_use(self) -> tuple[PoolState, str]:
        return (
            self._said("away", "is away: its directory is in use by another pool or another server"),
            f"{self._places.path}: give each pool a directory of its own, or end the other server on this host",
        )

    def _writable(self) -> bool:
        return os.access(self._places.path, os.W_OK | os.X_OK)

    def close(self) -> None:
        """Release the directory for another server."""
        self._claim.give_back()

    def _said(self, state: Literal["away", "readonly", "full"], instead: str = "") -> PoolState:
        what, cure = SAID[state]
        what = instead or what
        name = self._places.name
        return PoolState(
            state, f"pool {name!r} {what}: use another pool {cure}; see the server's log for the directory"
        )

    def check(self, name: str) -> None:
        """Raises `Refused` unless the pool is available for reading: by its mark, or by this file of a known medium."""
        try:
            self._identity.check({name})
        except NotThePool as error:
            raise Refused(Problem.POOL_AWAY, self._said("away", error.said).message) from None
        except OSError as error:
            if error.errno in HOST:
                raise refusal(self._places.mpid, self._places.name, error) from None
            raise Refused(Problem.POOL_AWAY, self._said("away").message) from None
