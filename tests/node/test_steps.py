"""Tasks over the end of a node, or of the way to it, at each of their steps: what was accepted is done, and once."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import lzma
from collections.abc import Awaitable, Callable
from pathlib import Path
from uuid import UUID

import pytest

from tests.node.steps import AGAIN, Fault, SteppedNode, contents
from tests.patience import PATIENCE, eventually
from velocity.contract.problems import Refused
from velocity.hosts.port import AttachedHost, OfferedPool
from velocity.hypervisor.attached import FIRST_HOST, AttachedHosts
from velocity.hypervisor.fake import FakeHypervisor
from velocity.hypervisor.port import HostId
from velocity.hypervisor.storage_ways import StorageWays
from velocity.storage.declared import open_directories
from velocity.storage.directory.places import Places, file_name
from velocity.storage.host_job import ANEW
from velocity.storage.patience import waiting
from velocity.storage.port import Belongs, Clone, Import, JobProgress, Made, MediaRef, Storage, Unknown
from velocity.storage.routed import routed

pytestmark = pytest.mark.anyio

HERE, THERE, BESIDE = 1, 20, 21
"""A pool of the server's host, and two of the other one."""
DEADLINE = 10.0
BYTES = hashlib.shake_128(b"velocity").digest(640 << 10) + bytes(256 << 10) + b"end".ljust(4096, b".")
PACKED = lzma.compress(BYTES)


def ref(pool: int, number: int) -> MediaRef:
    return MediaRef(pool, UUID(int=number), "raw")


async def receive(to: Storage, one: MediaRef, content: bytes) -> None:
    incoming = await to.blobs.put(one, deadline=DEADLINE)
    try:
        for at in range(0, len(content), 256 << 10):
            await incoming.write(content[at : at + (256 << 10)])
        await incoming.finish()
        await to.trash.settle(one, Belongs.KEPT, deadline=DEADLINE)
    finally:
        await incoming.close()


async def read(to: Storage, one: MediaRef) -> bytes:
    outgoing, found = await to.blobs.get(one, deadline=DEADLINE), b""
    try:
        while piece := await outgoing.read(len(found), 256 << 10):
            found += piece
    finally:
        await outgoing.close()
    return found


async def make(to: Storage, job: Clone | Import, *, settles: bool = True) -> None:
    prepared = await to.jobs.prepare(job, deadline=DEADLINE)
    allowed = prepared.size
    try:
        await to.jobs.start(job.target, allowed, deadline=DEADLINE)
        async for now in to.jobs.watch(job.target):
            if isinstance(now, JobProgress) and now.wants > allowed:
                allowed = now.wants
                await to.jobs.allow(job.target, allowed, deadline=DEADLINE)
        assert isinstance(now, Made) and now.size == len(BYTES)
        if settles:
            await to.trash.settle(job.target, Belongs.KEPT, deadline=DEADLINE)
    finally:
        await to.jobs.cancel(job.target, deadline=DEADLINE)


Files = dict[MediaRef, bytes]
Task = Callable[[Storage], Awaitable[None]]


async def upload(to: Storage) -> None:
    await receive(to, ref(THERE, 2), BYTES)


async def download(to: Storage) -> None:
    assert await read(to, ref(THERE, 1)) == BYTES


async def copy_there(to: Storage) -> None:
    await make(to, Clone(ref(HERE, 1), ref(THERE, 2)))


async def copy_here(to: Storage) -> None:
    await make(to, Clone(ref(THERE, 1), ref(HERE, 2)))


async def clone_there(to: Storage) -> None:
    await make(to, Clone(ref(THERE, 1), ref(BESIDE, 2)))


async def import_there(to: Storage) -> None:
    await make(to, Import(ref(THERE, 1), ref(BESIDE, 2)))


async def compact_there(to: Storage) -> None:
    await make(to, Clone(ref(THERE, 1), ref(THERE, 1), compact=True))


async def clone_disks(to: Storage) -> None:
    """As a VM is cloned: what was made of the first disk is hidden until both are complete."""
    jobs = [Clone(ref(HERE, 1), ref(THERE, 2)), Clone(ref(THERE, 1), ref(BESIDE, 3))]
    for job in jobs:
        await make(to, job, settles=False)
    for job in jobs:
        await to.trash.settle(job.target, Belongs.KEPT, deadline=DEADLINE)


async def create(to: Storage) -> None:
    await to.blobs.create(ref(THERE, 2), 1 << 20, deadline=DEADLINE)
    await to.trash.settle(ref(THERE, 2), Belongs.KEPT, deadline=DEADLINE)


async def leave(to: Storage) -> None:
    """As a move ends for its source."""
    await to.trash.lift(ref(THERE, 1), deadline=DEADLINE)
    await to.trash.settle(ref(THERE, 1), Belongs.NOWHERE, deadline=DEADLINE)


TASKS: dict[str, tuple[Task, Files, Files]] = {
    "upload": (upload, {}, {ref(THERE, 2): BYTES}),
    "download": (download, {ref(THERE, 1): BYTES}, {ref(THERE, 1): BYTES}),
    "copy there": (copy_there, {ref(HERE, 1): BYTES}, {ref(HERE, 1): BYTES, ref(THERE, 2): BYTES}),
    "copy here": (copy_here, {ref(THERE, 1): BYTES}, {ref(THERE, 1): BYTES, ref(HERE, 2): BYTES}),
    "clone there": (clone_there, {ref(THERE, 1): BYTES}, {ref(THERE, 1): BYTES, ref(BESIDE, 2): BYTES}),
    "import there": (import_there, {ref(THERE, 1): PACKED}, {ref(THERE, 1): PACKED, ref(BESIDE, 2): BYTES}),
    "compact there": (compact_there, {ref(THERE, 1): BYTES}, {ref(THERE, 1): BYTES}),
    "clone disks": (
        clone_disks,
        {ref(HERE, 1): BYTES, ref(THERE, 1): BYTES},
        {ref(HERE, 1): BYTES, ref(THERE, 1): BYTES, ref(THERE, 2): BYTES, ref(BESIDE, 3): BYTES},
    ),
    "create": (create, {}, {ref(THERE, 2): bytes(1 << 20)}),
    "leave": (leave, {ref(THERE, 1): BYTES}, {}),
}
"""Each task, the media before it, and after it."""


class Two:
    """A server's host, and another one behind a node."""

    def __init__(self, place: Path) -> None:
        self._here = Places(HERE, "here", place / "a" / str(HERE), place / "a" / "records")
        self.node = SteppedNode(place / "b", THERE, BESIDE)
        self.said: list[str] = []
        self._known: tuple[MediaRef, ...] = ()

    async def open(self, before: Files) -> None:
        own = open_directories([self._here], None, AGAIN)
        there = await self.node.open()
        hosts = AttachedHosts(AttachedHost(FIRST_HOST, "a", FakeHypervisor(), own, (OfferedPool(HERE, "here"),)))
        offered = tuple(OfferedPool(mpid, str(mpid)) for mpid in (THERE, BESIDE))
        hosts.put(AttachedHost(HostId(2), "b", FakeHypervisor(), there, offered))
        self.to = routed(StorageWays(hosts), _unasked, own.files, AGAIN, PATIENCE)
        for mpid in (HERE, THERE, BESIDE):
            await self._open(mpid)
        for one, content in before.items():
            await receive(self.to, one, content)
        self._known = tuple(before)
        self.node.steps.taken.clear()
        self._looking = asyncio.create_task(self._look())

    async def _open(self, mpid: int) -> None:
        known = tuple(one for one in self._known if one.pool == mpid)
        await self.to.pools.open(mpid, known, (), (), deadline=DEADLINE)

    async def _look(self) -> None:
        """As a server does that is asked for its pools: one that has not been opened is put in order."""
        while True:
            for mpid in (THERE, BESIDE):
                with contextlib.suppress(Unknown):
                    if await self.to.pools.state(mpid, deadline=DEADLINE) is None:
                        await self._open(mpid)
            await asyncio.sleep(AGAIN / 2)

    def files(self) -> dict[str, bytes]:
        here = contents(self._here.path, self._here.path.rglob("*.raw"))
        found = {f"{HERE}/{name}": one for name, one in here.items()}
        return found | {
            f"{mpid}/{name}": one for mpid in (THERE, BESIDE) for name, one in self.node.files(mpid).items()
        }

    async def do(self, task: Task, at: int = 0, fault: Fault | None = None) -> list[str]:
        """Returns the steps. At one of them the node suffers the fault."""
        steps = self.node.steps
        if fault is not None:
            steps.stops_at = at, fault

        running, stands = asyncio.create_task(task_of(self, task)), asyncio.create_task(steps.stands.wait())
        async with asyncio.timeout(PATIENCE):
            await asyncio.wait({running, stands}, return_when=asyncio.FIRST_COMPLETED)
            if fault is not None:
                assert stands.done(), "it stands at that step"
                await self.node.suffer(fault)
            await running
        stands.cancel()
        return steps.taken

    async def close(self) -> None:
        self._looking.cancel()
        await asyncio.wait({self._looking})
        await self.to.close()
        await self.node.close()


async def _unasked(mpid: int) -> None:
    """There are no shared pools."""


async def task_of(two: Two, task: Task) -> None:
    with waiting(two.said.append):
        await task(two.to)


def shown(files: Files) -> dict[str, bytes]:
    return {f"{one.pool}/{file_name(one)}": content for one, content in files.items()}


async def tried(place: Path, name: str, at: int = 0, fault: Fault | None = None) -> list[str]:
    task, before, after = TASKS[name]
    two = Two(place)
    await two.open(before)
    try:
        steps = list(await two.do(task, at, fault))
        wanted = shown(after)
        await eventually(lambda: two.files().keys() == wanted.keys(), f"the files {sorted(wanted)}")
        assert two.files() == wanted
        return steps
    finally:
        await two.close()


@pytest.mark.holds("MANY-288")
async def test_a_job_that_ends_its_node_each_time_fails(tmp_path: Path) -> None:
    task, before, _ = TASKS["clone there"]
    two = Two(tmp_path)
    await two.open(before)
    try:
        two.node.steps.always_at = "watch"
        running = asyncio.create_task(task_of(two, task))
        for _ in range(ANEW + 1):
            async with asyncio.timeout(PATIENCE):
                await two.node.steps.stands.wait()
            two.node.steps.stands.clear()
            await two.node.suffer(Fault.KILLED_BEFORE)
        with pytest.raises(Refused, match=r"host 'b' has lost it 4 times: see the log of its velocity-node service"):
            await running
        await eventually(lambda: two.files() == shown(before))
    finally:
        await two.close()


@pytest.mark.holds("MANY-285")
@pytest.mark.parametrize("fault", Fault, ids=lambda one: one.value)
@pytest.mark.parametrize("name", TASKS)
async def test_a_task_goes_on_whichever_of_its_steps_its_host_is_lost_at(
    tmp_path: Path, name: str, fault: Fault
) -> None:
    steps = await tried(tmp_path / "0", name)
    assert steps, "the other host has a part in it"
    for at in range(1, len(steps) + 1):
        try:
            await tried(tmp_path / str(at), name, at, fault)
        except Exception as error:
            error.add_note(f"{name}, {fault.value} step {at}: {steps[at - 1]}, of {steps}")
            raise
