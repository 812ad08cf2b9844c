"""Which hosts have the shared pools: each is asked repeatedly for the mark in the pool's directory."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from contextvars import Context

from velocity.contract.problems import Refused
from velocity.hypervisor.attached import AttachedHosts
from velocity.hypervisor.port import HostId, HypervisorError
from velocity.hypervisor.storage_ways import StorageWays
from velocity.regularly import tried
from velocity.storage.port import PoolMark, Storage, Unknown
from velocity.storage.routed import routed

log = logging.getLogger(__name__)

EVERY = 5.0
"""Seconds between two surveys: storage may be unmounted without notice."""
DEADLINE = 5.0
"""Seconds for a host to report the identity of a pool."""


def storage_of_all(hosts: AttachedHosts, term: Callable[[], int]) -> tuple[Storage, SharedPools]:
    """The storage of all hosts, and the survey of shared pools. `term` returns the server's term."""
    shared = SharedPools(hosts)
    storage = routed(StorageWays(hosts), shared.survey, hosts.own.storage.files, term=term)
    shared.answered = storage.settling.answered
    return storage, shared


class SharedPools:
    """Surveys the shared pools of all hosts.

    `changed` is called with the pool when a host has it now that had it not, or the reverse. `answered` is called with
    the pool and the host whenever a host answers for one.
    """

    def __init__(self, hosts: AttachedHosts, every: float = EVERY) -> None:
        self._hosts = hosts
        self._every = every
        self.changed: Callable[[int], None] = lambda mpid: None
        self.answered: Callable[[int, int], None] = lambda mpid, host: None
        self._asked = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def ask(self) -> None:
        """Survey soon. Once a shared pool is declared, also survey regularly."""
        self._asked.set()
        if self._task is None and self._declared():
            self._task = asyncio.create_task(self._keep_asking(), context=Context())

    def _declared(self) -> list[int]:
        return [mpid for mpid, pool in self._hosts.pools().items() if pool.shared]

    async def _keep_asking(self) -> None:
        while True:
            self._asked.clear()
            await tried("the survey of shared pools", self._survey_all)
            try:
                async with asyncio.timeout(self._every):
                    await self._asked.wait()
            except TimeoutError:
                continue

    async def _survey_all(self) -> None:
        await asyncio.gather(*map(self.survey, self._declared()))

    async def survey(self, mpid: int) -> None:
        """Ask all hosts that declare this pool and are not silent. Never fails."""
        had = self._hosts.pool_hosts.of(mpid)
        known = ""
        while True:  # a second time, once a host has told the pool's identity
            sharing = [host for host in self._hosts.pool_hosts.sharing(mpid) if host not in self._hosts.silent]
            marks = await asyncio.gather(*(self._mark(mpid, host) for host in sharing))
            for host, mark in zip(sharing, marks, strict=True):
                if mark is not None and self._hosts.find(host) is not None:
                    self._hosts.pool_hosts.note(mpid, host, mark)
                    if mark.clients:
                        self._hosts.clients.setdefault(host, {})[mpid] = mark.clients
            if known == (known := self._hosts.pool_hosts.identity(mpid)):
                break
        if had != (has := self._hosts.pool_hosts.of(mpid)):
            self._log(mpid, set(had), set(has))
            self.changed(mpid)

    def _log(self, mpid: int, had: set[HostId], has: set[HostId]) -> None:
        for host in had - has:
            if self._hosts.find(host) is not None and (words := self._hosts.conflicts(host).get(mpid)):
                log.warning("%s", words)
        for host in has - had:
            log.info("%s has the shared pool %d", self._hosts.called(host), mpid)

    async def _mark(self, mpid: int, host: HostId) -> PoolMark | None:
        """The pool's mark on this host; None if it does not answer, which says nothing about the pool."""
        expected = self._hosts.pool_hosts.identity(mpid)
        try:
            mark = await self._hosts.by_id[host].storage.pools.mark(mpid, expected, deadline=DEADLINE)
            self.answered(mpid, host)
            return mark
        except Unknown:
            return None if host in self._hosts.silent else PoolMark()
        except Refused:
            return PoolMark()
        except HypervisorError:  # a later server controls the host
            return None

    async def close(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait({self._task})
