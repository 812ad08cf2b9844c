"""Which hosts have each pool: one; or for a shared pool, all whose directories have the same mark."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import Struct

from velocity.hypervisor.port import HostId
from velocity.storage.port import PoolMark


class OfferedPool(Struct, frozen=True):
    """A pool as its host declares it. Numbers are the installation's. `shared`: other hosts may have it, too."""

    mpid: int
    name: str
    shared: bool = False


class PoolHosts:
    """What hosts declare, and what each has last reported about the mark of a shared pool."""

    def __init__(self) -> None:
        self._declared: dict[int, dict[HostId, OfferedPool]] = {}
        """In the order in which the hosts were added: if several declare a pool, the first one has it."""
        self._of_host: dict[HostId, dict[int, OfferedPool]] = {}
        """The same by host: a placement asks for the pools of each."""
        self._marks: dict[tuple[int, HostId], PoolMark] = {}
        self._identities: dict[int, str] = {}
        """The marks of the shared pools, once a host has reported one."""

    def put(self, host: HostId, pools: Sequence[OfferedPool]) -> None:
        """The host declares exactly these."""
        mine = {pool.mpid: pool for pool in pools}
        for mpid in self._of_host.get(host, {}).keys() - mine.keys():
            self._forget(mpid, host)
        for mpid, pool in mine.items():
            self._declared.setdefault(mpid, {})[host] = pool
        self._of_host[host] = mine

    def remove(self, host: HostId) -> None:
        self.put(host, ())
        del self._of_host[host]

    def _forget(self, mpid: int, host: HostId) -> None:
        declared = self._declared[mpid]
        del declared[host]
        self._marks.pop((mpid, host), None)
        if not declared:
            del self._declared[mpid]
            self._identities.pop(mpid, None)

    def note(self, mpid: int, host: HostId, mark: PoolMark) -> None:
        """What a host reports of a shared pool.

        The first to report a mark makes it known to the others; another mark replaces it only if no host has the first.
        """
        known = self._identities.get(mpid)
        had = self.of(mpid) if mark.taken and mark.identity != known else None
        self._marks[mpid, host] = mark
        if had is not None and not any(self._mark(mpid, one).identity == known for one in had):
            self._identities[mpid] = mark.identity

    def _mark(self, mpid: int, host: HostId) -> PoolMark:
        return self._marks.get((mpid, host), PoolMark())

    def identity(self, mpid: int) -> str:
        """The mark of a shared pool; empty: not reported yet."""
        return self._identities.get(mpid, "")

    def all(self) -> dict[int, OfferedPool]:
        return {mpid: next(iter(declared.values())) for mpid, declared in sorted(self._declared.items())}

    def is_shared(self, mpid: int) -> bool:
        first = next(iter(self._declared.get(mpid, {}).values()), None)
        return first is not None and first.shared

    def sharing(self, mpid: int) -> list[HostId]:
        """The hosts that declare it as shared, whether they have it or not."""
        declared = self._declared.get(mpid, {}) if self.is_shared(mpid) else {}
        return [host for host, pool in declared.items() if pool.shared]

    def has(self, host: HostId, mpid: int) -> bool:
        """Whether it can be used there. A host that was not asked yet is assumed to have what it declares."""
        if not self.is_shared(mpid):
            return self.first(mpid) == host
        pool, known = self._declared[mpid].get(host), self._identities.get(mpid)
        if pool is None or not pool.shared:
            return False
        return known is None or (mpid, host) not in self._marks or self._marks[mpid, host].identity == known

    def of(self, mpid: int) -> tuple[HostId, ...]:
        """The hosts on which it can be used."""
        return tuple(host for host in self._declared.get(mpid, ()) if self.has(host, mpid))

    def on(self, host: HostId) -> list[int]:
        """The pools that can be used there."""
        return sorted(mpid for mpid in self._of_host.get(host, ()) if self.has(host, mpid))

    def first(self, mpid: int) -> HostId | None:
        """The host that declared it first; None: none has."""
        return next(iter(self._declared.get(mpid, ())), None)

    def lacks(self, host: HostId, mpid: int) -> bool:
        """Whether the pool cannot be used there; False if nobody declares it."""
        return mpid in self._declared and not self.has(host, mpid)

    def lacking(self, host: HostId) -> dict[int, tuple[OfferedPool, HostId, str]]:
        """The pools that a host declares and that cannot be used there: each with the host that has it, and why."""
        found = {}
        for mpid, pool in self._of_host.get(host, {}).items():
            if not self.has(host, mpid):
                right = next(iter([*self.of(mpid), *self._declared[mpid]]))
                found[mpid] = pool, right, self._why(mpid, host)
        return found

    def _why(self, mpid: int, host: HostId) -> str:
        if not self.is_shared(mpid) and not self._declared[mpid][host].shared:
            return "twice"
        if not (self.is_shared(mpid) and self._declared[mpid][host].shared):
            return "half"
        return "other" if self._mark(mpid, host).identity else "absent"
