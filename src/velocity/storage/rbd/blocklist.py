"""Ceph's blocklist: clients whose writes a cluster refuses, by the address of their host.

Writes on their way are refused by every OSD. Once the host is off the blocklist, buffered writes would arrive: so they
are dropped first.

https://docs.ceph.com/en/latest/rados/operations/control/#osd-subsystem
"""

from __future__ import annotations

import contextlib
import errno
import json
import logging
import re
import sys
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from pathlib import Path

from velocity.contract.problems import Problem, Refused
from velocity.storage.directory.blocklist import Blocklist
from velocity.storage.rbd import own_address
from velocity.storage.rbd.openings import RbdOpenings, find
from velocity.storage.rbd.places import RbdPlaces
from velocity.storage.rbd.rados_pool import RadosPool, error_of, run, words_of

log = logging.getLogger(__name__)

LASTING = 10 * 365 * 86_400
"""Seconds that an entry lasts: a host that was suspended for so long is no danger."""
PATIENCE = 20.0
"""Seconds in which OSDs drop watchers of an image."""
LOOK = 0.25
"""Seconds between two looks at the watchers."""
AGAIN = 60.0
"""Seconds for which a queried address is valid."""
AN_ADDRESS = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[0-9.]+):\d+/\d+")
"""An address of Ceph: IP address, port, and nonce."""


class RbdBlocklist(Blocklist):
    """One pool's blocklist."""

    def __init__(self, places: RbdPlaces, openings: RbdOpenings) -> None:
        super().__init__(places.name)
        self._rados = places.rados
        self._openings = openings

    def add(self, addresses: Collection[str], names: Sequence[str]) -> tuple[str, ...]:
        with self._told_by_ceph():
            for address in addresses:
                self._rados.ceph("osd", "blocklist", "add", f"{address}:0/0", str(LASTING))
            if missing := set(addresses) - self._listed():
                words = f"{', '.join(sorted(missing))} is not on the blocklist, though it was added"
                raise error_of(errno.EIO, words)
            images = [find(self._rados, name).name for name in names]
            left = dict.fromkeys(images, "")
            _until(lambda: not any(self._look(left)))
            return tuple(left[image] for image in images)

    def _look(self, left: dict[str, str]) -> Collection[str]:
        """Query again which images are open: those that were, or, the first time, all."""
        for image in [one for one, at in left.items() if at] or list(left):
            left[image] = next(iter(self._watchers(image)), "")
        return left.values()

    def lift(self, addresses: Collection[str]) -> None:
        """The capability `profile rbd` allows to add entries, but not to remove them."""
        with self._told_by_ceph():
            for address in sorted(set(addresses) & self._listed()):
                try:
                    self._rados.ceph("osd", "blocklist", "rm", f"{address}:0/0")
                except PermissionError:
                    words = (
                        f"user {self._rados.user!r} may not take an address off the blocklist: give it the rights that "
                        f"are documented, or run: ceph osd blocklist rm {address}:0/0"
                    )
                    raise error_of(errno.EACCES, words) from None

    def give_up(self) -> None:
        if left := self._openings.daemons.kill_unused():
            raise Refused(Problem.POOL_AWAY, f"{left} images that machines had open here are not closed yet")

    @contextlib.contextmanager
    def _told_by_ceph(self) -> Iterator[None]:
        """Turns the cluster's errors into `Refused`, with its own messages."""
        try:
            yield
        except OSError as error:
            raise Refused(Problem.POOL_AWAY, f"the cluster of pool {self._name!r} refuses: {words_of(error)}") from None

    def _listed(self) -> set[str]:
        """The addresses all of whose clients are listed."""
        told = self._rados.ceph("osd", "blocklist", "ls", "--format=json").strip()
        found, _ = json.JSONDecoder().raw_decode(told)  # a list of ranges follows
        return {one["addr"].removesuffix(":0/0") for one in found if one["addr"].endswith(":0/0")}

    def _watchers(self, image: str) -> list[str]:
        """The addresses of clients that have it open for writing."""
        found = json.loads(self._rados.rbd("status", "--format=json", self._rados.image(image)))
        return [address for one in found["watchers"] for address in AN_ADDRESS.findall(one["address"])]


def _until(holds: Callable[[], bool]) -> None:
    """Wait until it holds, for `PATIENCE` seconds at most."""
    end = time.monotonic() + PATIENCE
    while not holds() and time.monotonic() < end:
        time.sleep(LOOK)


class OwnAddresses:
    """The addresses by which the cluster knows this host; queried again and again, as they may change."""

    def __init__(self, rados: RadosPool, clock: Callable[[], float] = time.monotonic) -> None:
        self._rados = rados
        self._clock = clock
        self._known: tuple[str, ...] = ()
        self._good_until = float("-inf")

    def get(self) -> tuple[str, ...]:
        """The last known addresses; empty if none are known."""
        if self._clock() >= self._good_until:
            try:
                self._known = ask(self._rados)
            except OSError as error:
                log.warning("RADOS pool %s: the address of this host is not known: %s", self._rados.name, error)
            self._good_until = self._clock() + AGAIN
        return self._known


def ask(rados: RadosPool) -> tuple[str, ...]:
    told = run(sys.executable, "-I", str(Path(own_address.__file__)), str(rados.conf), rados.user)
    return tuple(sorted(set(AN_ADDRESS.findall(told))))
