"""A server with other hosts than its own, on a loop that does not wait: killed and started again, which no host is."""

from __future__ import annotations

import asyncio
from typing import Any, ClassVar

from hypothesis import strategies as st
from hypothesis.stateful import rule

from tests.api.world import world
from tests.faults.clock import passed
from tests.faults.served import Served
from tests.faults.test_lives import Line
from tests.hosts.together import AGAIN, note
from velocity.hosts.port import AttachedHost, Attaching, OfferedPool
from velocity.hypervisor.fake import FakeHypervisor
from velocity.hypervisor.port import HostId
from velocity.storage.fake import connect
from velocity.storage.fake.pools import FakeHost
from velocity.store.database import Database

OWN = HostId(1)
TOLD_BEFORE = 1000
"""One host has told so many facts before: each host numbers its own."""


class ServedHosts(Served):
    """`fakes` and `disks` outlive the server, as hosts do; `lines` are its connections to them."""

    NAMES: ClassVar[dict[HostId, str]]
    """Of the other hosts."""
    POOLS: ClassVar[tuple[OfferedPool, ...]] = ()
    """Of each of these."""
    fakes: dict[HostId, FakeHypervisor]
    disks: dict[HostId, FakeHost]

    async def start(self) -> None:
        self.lines = {host: Line(fake) for host, fake in self.fakes.items()}

        async def driver(_media: Any) -> Any:
            return self.lines[OWN]

        async def attach(database: Database, to: Attaching) -> None:
            for host, name in self.NAMES.items():
                note(database, host, name)
                line: Any = self.lines[host]
                await to.attach(AttachedHost(host, name, line, connect(self.disks[host], AGAIN), self.POOLS))

        own = connect(self.disks[OWN], AGAIN)
        self.opened = world(
            self.data, self.fakes[OWN], machines=self.loop.machines, driver=driver, storage=lambda _: own, attach=attach
        )
        self.w = await self.opened.__aenter__()

    async def kill(self) -> None:
        for line in self.lines.values():
            line.cut = True
        await super().kill()
        for fake in self.fakes.values():
            await fake.machines.close()

    async def kill_as_it_starts(self, vmid: int, turns: int) -> None:
        """After so many turns of the loop."""
        asking = asyncio.create_task(self.w.call("PUT", "/v/vm/state", vmid=vmid, state="RUNNING"))
        await passed(turns)
        await self.kill()
        asking.cancel()
        await self.start()
        self.counted["kills"] += 1

    def check_ends(self) -> None:
        for host, fake in self.fakes.items():
            assert fake.state.ends == {}, f"each end on host {host} is written down, and acknowledged"

    @rule(seconds=st.sampled_from([0.05, 0.5, 3.0, 20.0]))
    def wait(self, seconds: float) -> None:
        self.run(asyncio.sleep(seconds))
