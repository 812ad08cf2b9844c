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
from velocity.storage.fake import connect
from velocity.storage.fake.pools import FakeHost, FakeShared
from velocity.storage.port import Belongs, MediaRef, Unknown

pytestmark = pytest.mark.anyio

A, B = HostId(1), HostId(2)


@pytest.mark.holds("MANY-139")
async def test_an_object_is_left_alone_while_a_host_may_do_yet_what_it_was_asked() -> None:
    """It is done by the object's name, and that may be another's by then."""
    export = FakeShared("its identity")
    a, b = (FakeHost(shared={(MPID, NAME): export}) for _ in range(2))
    pools = (OfferedPool(MPID, NAME, shared=True),)
    hosts = AttachedHosts(AttachedHost(A, "a", FakeHypervisor(), connect(a, 0.05), pools))
    hosts.put(AttachedHost(B, "b", FakeHypervisor(), connect(b, 0.05), pools))
    storage, shared = storage_of_all(hosts, lambda: 1)
    one, other = (MediaRef(MPID, uuid4(), "raw") for _ in range(2))
    await storage.pools.open(MPID, (), (), (), deadline=10)
    for ref in (one, other):
        await storage.blobs.create(ref, 4096, deadline=10)
        await storage.trash.settle(ref, Belongs.KEPT, deadline=10)
    a.pools[MPID].hang()
    with pytest.raises(Unknown):
        await storage.trash.lift(one, deadline=0.05)
    await shared.survey(MPID)
    assert hosts.host_of(MPID) == B
    await storage.pools.open(MPID, (one, other), (), (), deadline=10)
    await storage.trash.lift(other, deadline=10)
    await storage.trash.settle(other, Belongs.TRASH, deadline=10)
    for asked in (storage.trash.lift(one, deadline=10), storage.blobs.put(one, deadline=10)):
        with pytest.raises(Unknown, match="host 'a' has not said what became of it"):
            await asked
    a.pools[MPID].wake()
    await eventually(lambda: one in export.kept)
    await shared.survey(MPID)
    await storage.trash.lift(one, deadline=10)
    await storage.trash.settle(one, Belongs.TRASH, deadline=10)
    assert export.trash.keys() == {one, other}
    await storage.close()


@pytest.mark.holds("MANY-120")
async def test_hosts_are_told_what_the_first_of_them_says_in_the_same_look() -> None:
    storage = FakeShared("its identity")
    a, b = (FakeHost(shared={(MPID, NAME): storage}) for _ in range(2))
    a.pools[MPID].taken = storage.identity
    pools = (OfferedPool(MPID, NAME, shared=True),)
    hosts = AttachedHosts(AttachedHost(A, "a", FakeHypervisor(), connect(a), pools))
    hosts.put(AttachedHost(B, "b", FakeHypervisor(), connect(b), pools))
    await SharedPools(hosts).survey(MPID)
    assert b.pools[MPID].taken == storage.identity
