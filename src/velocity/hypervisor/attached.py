"""The hosts of this server, each with its ports: its own, and those that nodes serve."""

from __future__ import annotations

import enum
import logging
import shlex
import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field

from velocity.hypervisor.pool_hosts import OfferedPool, PoolHosts
from velocity.hypervisor.port import HostId, Hypervisor, Incarnation
from velocity.storage.port import Storage

log = logging.getLogger(__name__)

TIME = "%Y-%m-%d %H:%M:%S UTC"
FIRST_HOST = HostId(1)
"""The host on which the installation was begun. The host that the server runs on now is `AttachedHosts.own`."""


class Duty(enum.Enum):
    """What a host is used for.

    DRAINING: its VMs keep running, and no more are placed there; MAINTENANCE: it starts none, either.
    """

    ACTIVE = "active"
    DRAINING = "draining"
    MAINTENANCE = "maintenance"


@dataclass(frozen=True)
class AttachedHost:
    """A host with its ports, whether it answers now or not. `nics` are its host NICs: nicid -> identifier.

    `pools`, `nics` and the `version` of Velocity there are as last known; empty: that of this server.
    """

    host: HostId
    name: str
    hypervisor: Hypervisor
    storage: Storage
    pools: tuple[OfferedPool, ...]
    nics: Mapping[int, str] = field(default_factory=dict)
    duty: Duty = Duty.ACTIVE
    labels: Mapping[str, str] = field(default_factory=dict)
    version: str = ""


CONFLICTS = {
    "twice": "host {here} declares a pool {pool}, and so does host {there}: give one of them another number in its "
    "settings; until then the one of {there} is used",
    "half": "hosts {here} and {there} declare a pool {pool}, and only one of them declares it as `shared`: do so in "
    "the settings of both if it is one directory on storage that both have mounted; otherwise give one of them another "
    "number",
    "nowhere": "host {here} does not reach the storage of the shared pool {pool}: `velocity doctor` there says what is "
    "lacking",
    "absent": "host {here} does not reach the storage of the shared pool {pool}, as host {there} does: `velocity "
    "doctor` on {here} says what is missing",
    "other": "host {here} has another directory as the shared pool {pool} than host {there}: mount the same storage on "
    "both; until then the one of {there} is used",
}
"""Why a pool that a host declares cannot be used there, and what to do."""


class AttachedHosts:
    """All hosts, by their ids."""

    def __init__(self, own: AttachedHost) -> None:
        self.own = own
        self.by_id: dict[HostId, AttachedHost] = {}
        self.many = False
        self.pool_hosts = PoolHosts()
        self._serving: dict[int, HostId] = {}
        """The hosts that calls for shared pools go to."""
        self.silent: dict[HostId, int] = {}
        """Hosts that do not answer, with the time since when, in Unix seconds."""
        self.ahead: dict[HostId, int] = {}
        """Hosts whose clock is wrong: by how many seconds it is ahead of ours; negative: behind."""
        self.clients: dict[HostId, dict[int, tuple[str, ...]]] = {}
        """By host and shared pool with a blocklist: the host's client addresses in the cluster, as it last reported."""
        self.leaving: dict[HostId, Collection[int]] = {}
        """Hosts that are being removed, with the pools that go with each: nothing new comes to them."""
        self.absent: dict[HostId, str] = {}
        """The names of hosts that have joined and cannot be attached, because there is no connection to them."""
        self.named: Callable[[], bool] = lambda: True
        """Whether hosts are named to the present request's caller."""
        self.is_over: Callable[[Incarnation], bool] = lambda who: False
        """Whether a run is over because its host is confirmed dead."""
        self.is_dead: Callable[[HostId], bool] = lambda host: False
        """Whether the host is confirmed dead."""
        self.put(own)

    def all(self) -> list[AttachedHost]:
        return list(self.by_id.values())

    def find(self, host: int) -> AttachedHost | None:
        return self.by_id.get(HostId(host))

    def put(self, one: AttachedHost) -> bool:
        """Add or replace a host; returns whether VMs look different then."""
        self.absent.pop(one.host, None)
        before = self.by_id.get(one.host)
        known = {} if before is None else self.conflicts(one.host)
        self.by_id[one.host] = one
        self.many = len(self.by_id) > 1
        self.pool_hosts.put(one.host, one.pools)
        for mpid, words in self.conflicts(one.host).items():
            if mpid not in known:
                log.error("%s", words)
        return before is None or before.name != one.name

    def remove(self, host: HostId) -> None:
        """Remove a host. Pools with the same number that another host declares can be used then."""
        del self.by_id[host]
        self.ahead.pop(host, None)
        self.clients.pop(host, None)
        self.many = len(self.by_id) > 1
        self.pool_hosts.remove(host)

    def host_of(self, mpid: int) -> HostId | None:
        """The host to which calls for a pool go; None: no host declares it.

        For a shared pool it is a host that has it and responds, preferably our own, and the same as long as it
        responds.
        """
        if not self.pool_hosts.is_shared(mpid):
            return self.pool_hosts.first(mpid)
        able = [host for host in self.pool_hosts.of(mpid) if self.serves(host)]
        if not able:
            return next(iter(self.pool_hosts.of(mpid)), self.pool_hosts.first(mpid))
        if self._serving.get(mpid) not in able:
            self._serving[mpid] = self.own.host if self.own.host in able else able[0]
        return self._serving[mpid]

    def serves(self, host: HostId) -> bool:
        """Whether its storage can be asked; that of our own host is in this process."""
        return host == self.own.host or host not in self.silent

    def pools_of(self, host: int) -> list[int]:
        """The pools that can be used there."""
        return self.pool_hosts.on(HostId(host))

    def pools(self) -> dict[int, OfferedPool]:
        """All pools, by number."""
        leaving = {mpid for pools in self.leaving.values() for mpid in pools}
        return {mpid: pool for mpid, pool in self.pool_hosts.all().items() if mpid not in leaving}

    def conflicts(self, host: HostId) -> dict[int, str]:
        """The pools that a host declares and that cannot be used there, and why."""
        return {
            mpid: CONFLICTS["nowhere" if right == host else why].format(
                here=repr(self.by_id[host].name), there=repr(self.by_id[right].name), pool=f"{mpid} ({pool.name!r})"
            )
            for mpid, (pool, right, why) in self.pool_hosts.lacking(host).items()
        }

    def called(self, host: int) -> str:
        """Its name for people, or its id for those to whom hosts are not named."""
        name = self.name(host) if self.named() else ""
        return f"host {name!r}" if name else f"host {host}"

    def name(self, host: int) -> str:
        """Empty: it is not known."""
        one = self.find(host)
        return self.absent.get(HostId(host), "") if one is None else one.name

    def remedy(self, host: HostId) -> str:
        """What to do about a host that does not answer; empty as in `silence`."""
        if not self.silence(host):
            return ""
        if self.is_dead(host):
            return "as it is confirmed dead, its VMs go to other hosts when they are started"
        return f"wait until the host does, or prove that it is off: `velocity node confirm-dead {self._word(host)}`"

    def _word(self, host: HostId) -> str:
        """The host in a command line: by its name, or by its id to those to whom hosts are not named."""
        return shlex.quote((self.name(host) if self.named() else "") or f"id:{host}")

    def called_silent(self, *hosts: HostId) -> str:
        """The name of the first of these that does not answer, by what is known; of the last if all others do."""
        return self.called(next((host for host in hosts if self.silence(host)), hosts[-1]))

    def silence(self, host: HostId) -> str:
        """That it does not answer, and since when; empty: it answers, or is the only one."""
        since = self.silent.get(host) if self.many else None
        if since is None:
            return ""
        return f"{self.called(host)} has not responded since {time.strftime(TIME, time.gmtime(since))}"
