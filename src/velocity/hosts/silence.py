"""How long hosts have been silent, whether this server itself is cut off, and when a failure is tried again."""

from __future__ import annotations

import time
from dataclasses import dataclass

from velocity.hosts.port import Attaching
from velocity.hosts.roster import Roster
from velocity.hypervisor.port import HostId

AGAIN = (30.0, 60.0, 120.0, 300.0)
"""Seconds before each further attempt. The last value repeats."""


class Silence:
    """How long each host has been silent."""

    def __init__(self, roster: Roster, attaching: Attaching) -> None:
        self._roster = roster
        self._attaching = attaching
        self._since: dict[HostId, tuple[int, float]] = {}
        """For each silent host: since when in Unix seconds, as it is shown, and since when on the monotonic clock."""

    def seconds(self, host: HostId) -> float:
        """Seconds for which this host has been silent (monotonic, since first seen so); below 0 if it answers."""
        since = self._attaching.silent.get(host)
        if since is None:
            self._since.pop(host, None)
            return -1.0
        now = time.monotonic()
        if self._since.get(host, (None, now))[0] != since:  # it answered in between
            self._since[host] = (since, now)
        return now - self._since[host][1]

    def is_ours(self) -> bool:
        """Whether most hosts are silent: then this server is more likely to be cut off than they are."""
        others = [one.host for one in self._roster if not one.own and one.host not in self._attaching.deaths]
        silent = [host for host in others if host in self._attaching.silent]
        return len(silent) > 1 and 2 * len(silent) > len(others)


@dataclass
class _Failed:
    """A failure: its reason, how many there were, and when to try again (monotonic clock)."""

    words: str
    tries: int
    again: float


class Failures:
    """What has failed with each host, and is tried again after growing `pauses`, in seconds."""

    def __init__(self, pauses: tuple[float, ...] = AGAIN) -> None:
        self.pauses = pauses
        self._of: dict[HostId, _Failed] = {}

    def note(self, host: HostId, words: str) -> None:
        before = self._of.get(host)
        tries = 0 if before is None else before.tries
        self._of[host] = _Failed(words, tries + 1, time.monotonic() + self.pauses[min(tries, len(self.pauses) - 1)])

    def words(self, host: HostId) -> str:
        """Why it failed; empty if it did not."""
        failed = self._of.get(host)
        return "" if failed is None else failed.words

    def waits(self, host: HostId) -> bool:
        """Whether it is too early to try again."""
        failed = self._of.get(host)
        return failed is not None and time.monotonic() < failed.again

    def forget(self, host: HostId) -> None:
        self._of.pop(host, None)
