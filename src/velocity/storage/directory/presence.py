"""Whether a pool is there: looked at anew whenever it is used, so that one that comes back works without a restart."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Literal

from velocity.contract.problems import Problem, Refused
from velocity.storage.directory.files import PoolFiles
from velocity.storage.directory.identity import Identity, NotThePool
from velocity.storage.directory.places import Places

log = logging.getLogger(__name__)

Names = Callable[[], tuple[Collection[str], Collection[str]]]
"""The files of a pool as the database knows them: those of its media, and those in the trash."""


@dataclass(frozen=True)
class PoolState:
    """`message` says what it means and what to do, without a path; empty: all is well."""

    state: Literal["online", "away", "readonly"]
    message: str = ""


@dataclass(frozen=True)
class Space:
    """In bytes, of the file system; 0 while the pool is away."""

    now: PoolState
    size: int = 0
    free: int = 0


ONLINE = PoolState("online")


class Presence:
    """One pool's. All that looks at the file system is to be called in a thread."""

    def __init__(self, places: Places, identity: Identity, files: PoolFiles) -> None:
        self._places = places
        self._path = places.path
        self._identity = identity
        self._files = files
        self._names: Names = lambda: ((), ())
        self._in_order = False
        self._looking = threading.Lock()
        self.last = ONLINE
        """As of the last look."""

    def open(self, names: Names) -> None:
        """The first look: a pool that is away then is put in order when it comes. Never fails."""
        self._names = names
        self.look()

    def look(self) -> PoolState:
        with self._looking:
            now, why = self._look()
            if now != self.last:
                level = logging.INFO if now == ONLINE else logging.WARNING
                log.log(
                    level, "pool %r (%d) is %s%s", self._places.name, self._places.mpid, now.state, why and f": {why}"
                )
            self.last = now
        return now

    def _look(self) -> tuple[PoolState, str]:
        """And why it is so, with paths."""
        try:
            self._identity.check(self._known)
            if not os.access(self._path, os.W_OK | os.X_OK):
                return self._said("readonly"), f"{self._path} cannot be written to: remount it, or permit it"
            if not self._in_order:
                self._files.open(*self._names())
                self._in_order = True
        except NotThePool as error:
            return self._said("away"), str(error)
        except OSError as error:
            return self._said("away"), f"{error.filename or self._path}: {error.strerror}"
        self._files.finish_what_is_left()
        return ONLINE, ""

    def _known(self) -> Collection[str]:
        known, discarded = self._names()
        return {*known, *discarded}

    def _said(self, state: Literal["away", "readonly"]) -> PoolState:
        what, cure = {
            "away": ("is away, as its disk is not mounted or does not answer", "until the administrator has it back"),
            "readonly": ("can only be read now", "until the administrator has made it writable"),
        }[state]
        return PoolState(
            state, f"pool {self._places.name!r} {what}: use another one {cure}; the server's log says where"
        )

    def check(self, *, writes: bool = True) -> None:
        """Look at it. Raises `Refused(POOL_AWAY)` unless it is there, and can be written to (`writes`)."""
        self.look()
        self.check_last(writes=writes)

    def check_last(self, *, writes: bool = True) -> None:
        """The same, by the last look."""
        if self.last.state == "away" or (writes and self.last.state == "readonly"):
            raise Refused(Problem.POOL_AWAY, self.last.message)

    def space(self) -> Space:
        now = self.look()
        try:
            return Space(now) if now.state == "away" else Space(now, self._files.size(), self._files.free())
        except OSError:  # it went in this moment
            return Space(self.look())
