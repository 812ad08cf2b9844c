"""Chooses the host whose storage is used for a pool."""

from __future__ import annotations

from velocity.hypervisor.attached import AttachedHosts
from velocity.hypervisor.port import HostId
from velocity.storage.port import Storage, Unknown


class StorageWays:
    """Implements `velocity.storage.ways.Ways` for the hosts attached at the moment of a call."""

    def __init__(self, hosts: AttachedHosts) -> None:
        self._hosts = hosts

    def all(self) -> list[Storage]:
        return [one.storage for one in self._hosts.all()]

    def storage_of(self, mpid: int) -> Storage:
        """The storage of the pool's host; if no host declares it, our own, which refuses.

        Raises `velocity.storage.port.Unknown` for another host that is known not to answer, so that nobody waits for
        it.
        """
        return self.storage_on(self.host_of(mpid))

    def called_if_other(self, mpid: int) -> str:
        """The host of a pool; empty: our own."""
        host = self.host_of(mpid)
        return "" if host == self._hosts.own.host else self._hosts.called(host)

    def is_shared(self, mpid: int) -> bool:
        return self._hosts.pool_hosts.is_shared(mpid)

    def silent_of(self, mpid: int) -> str:
        may_write = (host for host in self._hosts.pool_hosts.sharing(mpid) if not self._hosts.is_dead(host))
        return next(filter(None, map(self._hosts.silence, may_write)), "")

    def openers(self, mpid: int) -> list[HostId]:
        """The hosts that have to open a shared pool: the one that calls go to; for a new pool, all that may have it."""
        first = self.host_of(mpid)
        if self._hosts.pool_hosts.identity(mpid):
            return [first]
        return [
            first,
            *(host for host in self._hosts.pool_hosts.of(mpid) if host != first and self._hosts.serves(host)),
        ]

    def host_of_both(self, mpid: int, other: int) -> HostId | None:
        """A host that has both pools, and responds; None: there is none."""
        both = [host for host in self._hosts.pool_hosts.of(mpid) if host in self._hosts.pool_hosts.of(other)]
        first = (self.host_of(mpid), self.host_of(other), *both)
        return next((host for host in first if host in both and self._hosts.serves(host)), None)

    def storage_on(self, host: int) -> Storage:
        """The storage of one host. Raises `Unknown` if it is known not to answer, or gone."""
        one = self._hosts.find(host)
        if one is None:
            raise Unknown(f"host {host} is no more")
        if not self._hosts.serves(one.host):
            raise Unknown(f"{self._hosts.silence(one.host)}: use another pool until it does")
        return one.storage

    def host_of(self, mpid: int) -> HostId:
        return self._hosts.host_of(mpid) or self._hosts.own.host

    def called(self, host: int) -> str:
        return "" if self._hosts.find(host) is None else self._hosts.called(host)
