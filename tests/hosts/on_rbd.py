"""Other hosts that have a pool with a blocklist: a RADOS pool in memory, which knows each by an address."""

from __future__ import annotations

from uuid import UUID

from tests.api.world import World
from tests.hosts.together import Other
from velocity.hosts.blocklists import Blocklists
from velocity.hosts.port import OfferedPool
from velocity.hypervisor.port import HostId
from velocity.storage.fake.pools import FakeHost, FakePool, FakeShared
from velocity.storage.port import MediaRef

RBD = 7
ADDRESSES = {2: "192.0.2.8", 3: "192.0.2.9"}


class OnRbd(Other):
    """One of them, with a pool of its own, `number * 10`."""

    def __init__(self, number: int, name: str, rados: FakeShared, address: str = "") -> None:
        own = (number * 10, f"own-{name}")
        super().__init__(number, name, pools=(OfferedPool(*own), OfferedPool(RBD, "ceph", shared=True)))
        client = address or ADDRESSES[number]
        self.disks = FakeHost((0, "own"), own, shared={(RBD, "ceph"): rados}, client=client)

    @property
    def rbd(self) -> FakePool:
        return self.disks.pools[RBD]


def blocklists(w: World) -> Blocklists:
    return w.server.services.membership.lost.blocklists


async def known(w: World, *hosts: OnRbd) -> None:
    """Returns when these have the pool, and it is kept by which addresses that knows them."""
    await w.server.hosts.shared.survey(RBD)
    await blocklists(w).note_clients()
    assert {one.host for one in hosts} <= {HostId(one) for one in w.server.hosts.hosts.pool_hosts.of(RBD)}


def ref(w: World, mid: str) -> MediaRef:
    return w.server.services.library.get(UUID(mid)).ref
