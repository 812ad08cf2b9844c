"""Media in a pool that two hosts share, under random faults of either: what the API says against what is there.

Beside what `test_storage` does: the storage goes away, hangs, fails or is read-only for one host alone, and one of the
two is not heard for a while. Calls go from one to the other, and what one does late undoes nothing of the other.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any, ClassVar

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import rule, run_state_machine_as_test

from tests.api.world import world
from tests.faults.test_storage import Media
from tests.hosts.together import AGAIN, note
from tests.store.lossy import Lossy
from velocity.config import PoolSetting
from velocity.hosts.port import AttachedHost, Attaching, OfferedPool
from velocity.hypervisor.fake import FakeHypervisor
from velocity.hypervisor.port import HostId
from velocity.storage.fake import FakeStorage, connect
from velocity.storage.fake.pools import FakeHost, FakePool, FakeShared
from velocity.store.database import Database

B = HostId(2)


class SharedMedia(Media):
    """`usb` is the pool as one of the hosts sees it: the one whose faults come next."""

    def begin_hosts(self) -> None:
        storage = FakeShared()
        self.host = FakeHost((1, "good"), shared={(2, "usb"): storage})
        self.other = FakeHost((0, "own"), shared={(2, "usb"): storage})
        self.views: list[FakePool] = [self.host.pools[2], self.other.pools[2]]
        self.usb = self.views[0]
        self.b = FakeHypervisor()

    async def start(self) -> None:
        async def attach(database: Database, to: Attaching) -> None:
            note(database, B, "b")
            self.line = connect(self.other, AGAIN)
            await to.attach(AttachedHost(B, "b", self.b, self.line, (OfferedPool(2, "usb", shared=True),)))

        pools = [PoolSetting(1, "good", self.data / "good"), PoolSetting(2, "usb", self.data / "usb", shared=True)]
        self.storage: FakeStorage = connect(self.host, AGAIN)
        self.opened = world(
            self.data, machines=self.loop.machines, storage=lambda _: self.storage, pools=pools, attach=attach
        )
        self.w = await self.opened.__aenter__()
        self.database = Lossy(self.w.server.database)

    @rule(view=st.integers(0, 1))
    def look_at(self, view: int) -> None:
        self.usb = self.views[view]

    @rule(how=st.sampled_from(["lose", "heal", "heal"]))
    def b_is(self, how: str) -> None:
        getattr(self.b.faults, how)(B)
        self.counted[f"b: {how}"] += 1

    @rule(capacity=st.sampled_from([40_000, 1 << 40, 1 << 40]))
    def disk(self, capacity: int) -> None:
        for view in self.views:
            view.capacity = capacity

    def heal(self) -> None:
        for view in self.views:
            view.faults.clear()
            view.state = "online"
            view.wake()

    async def kill(self) -> None:
        self.line.line.cut = True
        for view in self.views:
            view.wake()
        await super().kill()

    async def calm(self) -> None:
        self.b.faults.heal(B)
        self.disk(1 << 40)
        served: Any = self.w.server.hosts.hosts.host_of(2)
        self.counted[f"served by {served}"] += 1
        await super().calm()


@pytest.mark.holds("MANY-124")
@pytest.mark.long
@pytest.mark.whole
def test_media_under_faults_of_two_hosts_that_share_their_pool(say: Callable[[str], None], whole: bool) -> None:
    class Chosen(SharedMedia):
        counted: ClassVar[Counter[str]] = Counter()

    chosen = settings(
        stateful_step_count=30, max_examples=400 if whole else 6, deadline=None, derandomize=not whole, database=None,
        suppress_health_check=list(HealthCheck), phases=[Phase.generate],
    )  # fmt: skip
    run_state_machine_as_test(Chosen, settings=chosen)
    say(f"media in a shared pool under faults: {dict(sorted(Chosen.counted.items()))}, nothing lost")
    assert Chosen.counted["kills"] >= 5
    assert Chosen.counted["media compared"] >= 20
