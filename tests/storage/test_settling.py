"""Where an object belongs is told until it is so, whatever comes in between."""

from __future__ import annotations

import pytest

from tests.patience import eventually
from tests.ports.storages import DEADLINE, POOLS, ref
from velocity.hosts.port import FIRST_HOST, AttachedHost, OfferedPool
from velocity.hosts.shared_pools import SharedPools
from velocity.hypervisor.attached import AttachedHosts
from velocity.hypervisor.fake import FakeHypervisor
from velocity.hypervisor.storage_ways import StorageWays
from velocity.storage.fake import connect
from velocity.storage.fake.pools import FakeHost
from velocity.storage.port import Belongs, MediaRef
from velocity.storage.routed import routed

pytestmark = pytest.mark.anyio


@pytest.mark.holds("DUR-84")
async def test_an_error_that_nobody_foresaw_leaves_no_object_where_it_does_not_belong(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    own, told = connect(FakeHost(*POOLS)), 0
    hosts = AttachedHosts(AttachedHost(FIRST_HOST, "a", FakeHypervisor(), own, (OfferedPool(2, "usb"),)))
    storage = routed(StorageWays(hosts), SharedPools(hosts).survey, own.files, 0.01)

    async def settle(_ref: MediaRef, belongs: Belongs, *, deadline: float) -> None:
        nonlocal told
        told += 1
        if told < 3:
            raise RuntimeError("can't start new thread")

    monkeypatch.setattr(own.trash, "settle", settle)
    await storage.trash.settle(ref(), Belongs.NOWHERE, deadline=DEADLINE)
    await eventually(lambda: told == 3)
    await storage.close()
