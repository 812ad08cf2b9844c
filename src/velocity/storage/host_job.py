"""A job on another host. A lost connection does not end it; if its node is restarted, it is begun anew."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable

from velocity.contract.problems import Problem, Refused
from velocity.storage.patience import SECONDS, Patience
from velocity.storage.port import Belongs, Job, JobProgress, Made, Prepared, Storage, Unknown

INTERRUPTED, ANEW = 10, 3
"""How often a job may be interrupted without progress, and begun anew: its node may end because of it."""


class HostJob:
    """One job. `storage` returns the storage of its host, or raises `Unknown`; `host` is the host's name."""

    def __init__(self, job: Job, storage: Callable[[], Storage], patience: Patience, host: str) -> None:
        self._job = job
        self._target = job.target
        self._storage = storage
        self._patience = patience
        self._host = host
        self._allowed = 0
        self._anew = 0

    async def prepare(self, *, deadline: float) -> Prepared:
        return await self._storage().jobs.prepare(self._job, deadline=deadline)

    async def start(self, size: int, *, deadline: float) -> None:
        """Raises `Unknown` if the host does not respond for as long as `Patience` waits."""
        self._allowed = size
        try:
            await self._storage().jobs.start(self._target, size, deadline=deadline)
        except Refused as refused:
            if not _is_lost(refused):
                raise
            await self._patience.reach(self._target.pool, self._begin_anew)

    async def allow(self, size: int, *, deadline: float) -> None:
        self._allowed = size

        async def allow() -> None:
            await self._storage().jobs.allow(self._target, size, deadline=deadline)

        try:
            await self._patience.reach(self._target.pool, allow)
        except Refused as refused:
            if refused.problem is not Problem.TASK_NOT_FOUND:
                raise
            # `watch` begins it anew

    async def watch(self) -> AsyncIterator[JobProgress | Made]:
        tries, most = INTERRUPTED, -1
        while True:
            try:
                async for now in self._storage().jobs.watch(self._target):
                    if isinstance(now, JobProgress) and now.done > most:
                        tries, most = INTERRUPTED, now.done
                    yield now
                    if isinstance(now, Made):
                        return  # it is its caller's now: an answer that is lost after it must not begin it anew
                return
            except Refused as refused:
                tries -= 1
                if not _is_lost(refused) or not tries:
                    raise
            await self._patience.reach(self._target.pool, self._go_on)

    async def _go_on(self) -> None:
        """Raises `Unknown`."""
        await self._check_there()
        try:  # it may be waiting for permission, and the answer is lost
            await self._storage().jobs.allow(self._target, self._allowed, deadline=SECONDS)
        except Refused as refused:
            if refused.problem is not Problem.TASK_NOT_FOUND:
                raise
            await self._begin_anew()

    async def _begin_anew(self) -> None:
        """Nothing of the former attempt is left. Raises `Unknown`."""
        await self._check_there()
        if self._anew == ANEW:
            words = f"{self._host} has lost it {ANEW + 1} times: see the log of its velocity-node service"
            raise Refused(Problem.POOL_AWAY, words)
        storage = self._storage()
        await storage.jobs.cancel(self._target, deadline=SECONDS)
        await storage.trash.settle(self._target, Belongs.NOWHERE, deadline=SECONDS)
        await self.prepare(deadline=SECONDS)
        try:
            await storage.jobs.start(self._target, self._allowed, deadline=SECONDS)
        except Refused as refused:
            if refused.problem is not Problem.TASK_NOT_FOUND:
                raise
            raise Unknown("the node was restarted meanwhile") from None
        self._anew += 1

    async def _check_there(self) -> None:
        """Raises `Unknown` unless the host responds and has both pools."""
        for pool in {self._job.source.pool, self._target.pool}:
            await self._patience.check_there(pool)


def _is_lost(refused: Refused) -> bool:
    """Whether the host does not respond, or does not know the job any more."""
    return isinstance(refused, Unknown) or refused.problem is Problem.TASK_NOT_FOUND
