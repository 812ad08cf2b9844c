"""A job on another host whose node is restarted in the middle of calls about it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import Any, cast
from uuid import uuid4

import pytest

from velocity.contract.media import Content
from velocity.contract.problems import Problem, Refused
from velocity.storage.host_job import HostJob
from velocity.storage.patience import Patience
from velocity.storage.port import Clone, JobProgress, Made, MediaRef, PoolState, Prepared, Storage
from velocity.storage.ways import Ways

pytestmark = pytest.mark.anyio

SOURCE, TARGET = 20, 21
DEADLINE = 10.0
MADE = Made(4096, Content(format="raw"))
LOST = Refused(Problem.TASK_NOT_FOUND, "the host does not know this job: start it again")


class Host:
    """Its node is restarted, and loses the job, whenever `fails` names the call; then it has its source's pool late."""

    def __init__(self, *fails: str) -> None:
        self._fails = list(fails)
        self._looks = 0
        self._knows = False
        self.calls: list[str] = []
        self.jobs = self.trash = self.pools = self

    def _take(self, call: str) -> None:
        self.calls.append(call)
        if self._fails and self._fails[0] == call:
            self._fails.pop(0)
            self._looks, self._knows = 2, False
        if not self._knows:
            raise LOST

    async def state(self, pool: int, *, deadline: float) -> PoolState:
        if pool == SOURCE and self._looks:
            self._looks -= 1
            return PoolState("away", "pool 'source' is not mounted yet")
        return PoolState("online")

    async def prepare(self, job: Clone, *, deadline: float) -> Prepared:
        if self._looks:
            raise Refused(Problem.POOL_AWAY, "pool 'source' is not mounted yet")
        self._knows = True
        self._take("prepare")
        return Prepared(4096, 4096)

    async def start(self, target: MediaRef, size: int, *, deadline: float) -> None:
        self._take("start")

    async def allow(self, target: MediaRef, size: int, *, deadline: float) -> None:
        self._take("allow")

    async def cancel(self, target: MediaRef, *, deadline: float) -> None: ...

    async def settle(self, ref: MediaRef, belongs: object, *, deadline: float) -> None: ...

    async def watch(self, target: MediaRef) -> AsyncIterator[JobProgress | Made]:
        self._take("watch")
        yield MADE
        self._take("end")


def job_on(host: Host) -> HostJob:
    ways: Any = SimpleNamespace(called_if_other=lambda pool: "host 'b'", is_shared=lambda pool: False)
    patience = Patience(cast(Ways, ways), cast(Any, host), seconds=DEADLINE, again=0.01)
    job = Clone(MediaRef(SOURCE, uuid4(), "raw"), MediaRef(TARGET, uuid4(), "raw"))
    return HostJob(job, lambda: cast(Storage, host), patience, "host 'b'")


async def made(host: Host) -> list[JobProgress | Made]:
    job = job_on(host)
    await job.prepare(deadline=DEADLINE)
    await job.start(4096, deadline=DEADLINE)
    return [one async for one in job.watch()]


@pytest.mark.holds("MANY-285")
@pytest.mark.parametrize("fails", [("start",), ("start", "start"), ("watch",), ("watch", "start")], ids="-".join)
async def test_a_job_is_begun_anew_once_both_pools_are_there(fails: tuple[str, ...]) -> None:
    assert await made(host := Host(*fails)) == [MADE]
    assert host.calls[-3:] == ["prepare", "start", "watch"]


@pytest.mark.holds("MANY-285")
async def test_what_was_reported_as_made_is_not_made_again() -> None:
    """It belongs to its caller, who may have committed it."""
    assert await made(host := Host("end")) == [MADE]
    assert host.calls == ["prepare", "start", "watch"]
