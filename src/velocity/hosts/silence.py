"""How long hosts are silent, whether it is rather this server that nobody hears, and when a failure is retried."""

from __future__ import annotations

import time
from dataclasses import dataclass

from velocity.hosts.port import Attaching
from velocity.hosts.roster import Roster
from velocity.hypervisor.port import HostId

AGAIN = (30.0, 60.0, 120.0, 300.0)
"""Seconds until what has failed is tried again; then the last."""


class Silence:
    """That of all hosts."""

    def __init__(self, roster: Roster, attaching: Attaching) -> None:
        self._roster = roster
        self._attaching = attaching
        self._since: dict[HostId, tuple[int, float]] = {}
        """Since when hosts are silent: as is told of them, and since it was first looked at (monotonic)."""

    def seconds(self, host: HostId) -> float:
        """As far as it was looked at: whatever becomes of the time of day. Below 0: it answers."""
        since = self._attaching.silent.get(host)
        if since is None:
            self._since.pop(host, None)
            return -1.0
        now = time.monotonic()
        if self._since.get(host, (None, now))[0] != since:  # it was heard meanwhile
            self._since[host] = (since, now)
        return now - self._since[host][1]

    def is_ours(self) -> bool:
        """Whether most hosts are silent, so that it is rather this server that nobody hears."""
        others = [one.host for one in self._roster if not one.own and one.host not in self._attaching.deaths]
        silent = [host for host in others if host in self._attaching.silent]
        return len(silent) > 1 and 2 * len(silent) > len(others)


@dataclass
class _Failed:
    """Why, how often, and when it is tried again (monotonic)."""

    words: str
    tries: int
    again: float


class Failures:
    """What has failed with hosts, and is tried again after growing `pauses`, in seconds."""

    def __init__(self, pauses: tuple[float, ...] = AGAIN) -> None:
        self.pauses = pauses
        self._of: dict[HostId, _Failed] = {}

    def note(self, host: HostId, words: str) -> None:
        before = self._of.get(host)
        tries = 0 if before is None else before.tries
        self._of[host] = _Failed(words, tries + 1, time.monotonic() + self.pauses[min(tries, len(self.pauses) - 1)])

    def words(self, host: HostId) -> str:
        """Empty: nothing has."""
        failed = self._of.get(host)
        return "" if failed is None else failed.words

    def waits(self, host: HostId) -> bool:
        """Whether it is too early to try again."""
        failed = self._of.get(host)
        return failed is not None and time.monotonic() < failed.again

    def forget(self, host: HostId) -> None:
        self._of.pop(host, None)
