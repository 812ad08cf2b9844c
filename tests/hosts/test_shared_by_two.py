"""Two hosts that share a pool in memory, asked directly."""

from __future__ import annotations

from uuid import uuid4

import pytest

from tests.hosts.sharing import MPID, NAME
from tests.patience import eventually
from velocity.hosts.port import AttachedHost, OfferedPool
from velocity.hosts.shared_pools import SharedPools, storage_of_all
from velocity.hypervisor.attached import AttachedHosts
from velocity.hypervisor.fake import FakeHypervisor
from velocity.hypervisor.port import HostId
from velocity.hypervisor.storage_ways import StorageWays
from velocity.storage.fake import connect
from velocity.storage.fake.pools import FakeContent, FakeHost, FakePool, FakeShared
from velocity.storage.port import Belongs, Clone, MediaRef, Unknown
from velocity.storage.routed import routed

pytestmark = pytest.mark.anyio

A, B = HostId(1), HostId(2)


def two() -> tuple[FakeShared, FakePool, FakePool, AttachedHosts]:
    """Storage, as each of them sees it, and both, of which the first is the server's own."""
    export = FakeShared("its identity")
    a, b = (FakeHost(shared={(MPID, NAME): export}) for _ in range(2))
    pools = (OfferedPool(MPID, NAME, shared=True),)
    hosts = AttachedHosts(AttachedHost(A, "a", FakeHypervisor(), connect(a, 0.05), pools))
    hosts.put(AttachedHost(B, "b", FakeHypervisor(), connect(b, 0.05), pools))
    return export, a.pools[MPID], b.pools[MPID], hosts


@pytest.mark.holds("MANY-124")
async def test_an_object_is_left_alone_while_a_host_may_do_yet_what_it_was_asked() -> None:
    """It is done by the object's name, and that may be another's by then."""
    export, a, _, hosts = two()
    storage, shared = storage_of_all(hosts, lambda: 1)
    one, other = (MediaRef(MPID, uuid4(), "raw") for _ in range(2))
    await storage.pools.open(MPID, (), (), (), deadline=10)
    for ref in (one, other):
        await storage.blobs.create(ref, 4096, deadline=10)
        await storage.trash.settle(ref, Belongs.KEPT, deadline=10)
    a.hang()
    with pytest.raises(Unknown):
        await storage.trash.lift(one, deadline=0.05)
    await shared.survey(MPID)
    assert hosts.host_of(MPID) == B
    await storage.pools.open(MPID, (one, other), (), (), deadline=10)
    await storage.trash.lift(other, deadline=10)
    await storage.trash.settle(other, Belongs.TRASH, deadline=10)
    for asked in (storage.trash.lift(one, deadline=10), storage.blobs.put(one, deadline=10)):
        with pytest.raises(Unknown, match="host 'a' has not reported the result"):
            await asked
    a.wake()
    await eventually(lambda: one in export.kept)
    await shared.survey(MPID)
    await storage.trash.lift(one, deadline=10)
    await storage.trash.settle(one, Belongs.TRASH, deadline=10)
    assert export.trash.keys() == {one, other}
    await storage.close()


@pytest.mark.holds("MANY-105")
async def test_hosts_are_told_what_the_first_of_them_says_in_the_same_look() -> None:
    export, a, b, hosts = two()
    a.taken = export.identity
    await SharedPools(hosts).survey(MPID)
    assert b.taken == export.identity


@pytest.mark.holds("MANY-119")
async def test_nothing_remains_of_a_job_whose_host_is_no_more() -> None:
    export, a, _, hosts = two()
    shared = SharedPools(hosts)
    storage = routed(StorageWays(hosts), shared.survey, hosts.own.storage.files, again=0.02)
    source, target = (MediaRef(MPID, uuid4(), "raw") for _ in range(2))
    await storage.pools.open(MPID, (), (), (), deadline=10)
    await storage.blobs.create(source, 4096, deadline=10)
    a.state = "away"
    await shared.survey(MPID)
    await storage.jobs.prepare(Clone(source, target), deadline=10)
    export.moving[target] = FakeContent(4096)
    hosts.silent[B] = 1
    a.state = "online"
    await shared.survey(MPID)
    await storage.jobs.cancel(target, deadline=10)
    with pytest.raises(Unknown, match="has not been removed yet"):
        await storage.blobs.create(target, 4096, deadline=10)
    hosts.remove(B)
    await eventually(lambda: target not in export.moving)
    await storage.close()
