"""The hosts that there are for this server, each with its ports: its own, and those that a node serves."""

from __future__ import annotations

import enum
import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass, field

from velocity.hypervisor.port import HostId, Hypervisor
from velocity.storage.port import Storage, Unknown

log = logging.getLogger(__name__)

TIME = "%Y-%m-%d %H:%M:%S UTC"
FIRST_HOST = HostId(1)
"""The one on which the installation was begun. Which one the server runs on now is `AttachedHosts.own`."""


class Duty(enum.Enum):
    """What a host is wanted for. DRAINING: its VMs run on, no more come; MAINTENANCE: it starts none, either."""

    ACTIVE = "active"
    DRAINING = "draining"
    MAINTENANCE = "maintenance"


@dataclass(frozen=True)
class OfferedPool:
    """A pool as its host declares it. Numbers are the installation's."""

    mpid: int
    name: str


@dataclass(frozen=True)
class AttachedHost:
    """A host with its ports, whether it answers now or not. `nics` are its host NICs: nicid -> identifier.

    `pools` and `nics` are as they were known last.
    """

    host: HostId
    name: str
    hypervisor: Hypervisor
    storage: Storage
    pools: tuple[OfferedPool, ...]
    nics: Mapping[int, str] = field(default_factory=dict)
    duty: Duty = Duty.ACTIVE
    labels: Mapping[str, str] = field(default_factory=dict)


class AttachedHosts:
    """All of them, by their ids."""

    def __init__(self, own: AttachedHost) -> None:
        self.own = own
        self.by_id: dict[HostId, AttachedHost] = {}
        self.many = False
        self._pools: dict[int, HostId] = {}
        """Where each pool is."""
        self.silent: dict[HostId, int] = {}
        """Those that do not answer, each with the time since when, in Unix seconds."""
        self.put(own)

    def all(self) -> list[AttachedHost]:
        return list(self.by_id.values())

    def find(self, host: int) -> AttachedHost | None:
        return self.by_id.get(HostId(host))

    def put(self, one: AttachedHost) -> bool:
        """It is there, or is another now; whether VMs show otherwise by that."""
        before = self.by_id.get(one.host)
        known = {} if before is None else self.conflicts(one.host)
        self.by_id[one.host] = one
        self.many = len(self.by_id) > 1
        for mpid in [mpid for mpid, host in self._pools.items() if host == one.host]:
            del self._pools[mpid]
        for pool in one.pools:
            self._pools.setdefault(pool.mpid, one.host)
        for mpid, words in self.conflicts(one.host).items():
            if mpid not in known:
                log.error("%s", words)
        return before is None or before.name != one.name

    def remove(self, host: HostId) -> None:
        """It is no more. What another declares under the same number comes to the fore."""
        del self.by_id[host]
        self.many = len(self.by_id) > 1
        self._pools = {}
        for one in self.by_id.values():
            for pool in one.pools:
                self._pools.setdefault(pool.mpid, one.host)

    def host_of(self, mpid: int) -> HostId | None:
        """Where a pool is; None: no host declares it."""
        return self._pools.get(mpid)

    def pools_of(self, host: HostId) -> list[int]:
        """Those that can be used there."""
        return [mpid for mpid, at in self._pools.items() if at == host]

    def pools(self) -> dict[int, OfferedPool]:
        """Those that can be used, by their numbers."""
        offered = {(one.host, pool.mpid): pool for one in self.by_id.values() for pool in one.pools}
        return {mpid: offered[host, mpid] for mpid, host in sorted(self._pools.items())}

    def conflicts(self, host: HostId) -> dict[int, str]:
        """The pools of a host that cannot be used, as another one has declared their numbers, and why."""
        own = self.by_id[host]
        return {
            pool.mpid: f"host {own.name!r} declares a pool {pool.mpid} ({pool.name!r}), and so does host "
            f"{self.by_id[other].name!r}: give one of them another number in its settings; until then the one of "
            f"{self.by_id[other].name!r} is used"
            for pool in own.pools
            if (other := self._pools.get(pool.mpid, host)) != host
        }

    def called(self, host: int) -> str:
        """For people."""
        one = self.find(host)
        return f"host {host}" if one is None else f"host {one.name!r}"

    def silence(self, host: HostId) -> str:
        """That it does not answer, and since when; empty: it answers, or is the only one."""
        since = self.silent.get(host) if self.many else None
        if since is None:
            return ""
        return f"{self.called(host)} has not responded since {time.strftime(TIME, time.gmtime(since))}"

    def called_if_other(self, mpid: int) -> str:
        """The host of a pool; empty: our own."""
        host = self._pools.get(mpid, self.own.host)
        return "" if host == self.own.host else self.called(host)

    def storage_of(self, mpid: int) -> Storage:
        """That of the pool's host; of a pool that nobody declares, our own, which says so.

        Raises `velocity.storage.port.Unknown` for another host that is known not to answer: nobody waits for it.
        """
        host = self._pools.get(mpid, self.own.host)
        if host == self.own.host:
            return self.own.storage
        if host in self.silent:
            raise Unknown(f"{self.silence(host)}: use another pool until it does")
        return self.by_id[host].storage
