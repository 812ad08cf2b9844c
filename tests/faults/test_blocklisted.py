"""Hosts that are lost, blocklisted on Ceph and return, and a server that is killed in between.

At no moment two runs of one VM could write to its disk: one runs on a host that the cluster takes nothing from.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Collection
from typing import ClassVar
from uuid import UUID

import pytest
from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis import strategies as st
from hypothesis.stateful import initialize, rule, run_state_machine_as_test

from tests.faults.clock import passed
from tests.faults.test_lives import Number, pick
from tests.faults.test_lost_hosts import OTHERS, A, B, C, LostHosts, Runs
from tests.hosts.on_rbd import ADDRESSES, RBD
from velocity.hosts.port import OfferedPool
from velocity.hypervisor.fake import FakeHypervisor
from velocity.hypervisor.port import HostId
from velocity.storage.fake.pools import FakeHost, FakeShared


class Rados(FakeShared):
    """Whoever is taken off the blocklist is looked at."""

    def take_off_blocklist(self, addresses: Collection[str]) -> None:
        super().take_off_blocklist(addresses)
        self.let_in()

    let_in: Callable[[], None]


class Blocklisted(LostHosts):
    """All VMs have a disk on RBD, but for the last."""

    POOLS = (OfferedPool(RBD, "ceph", shared=True),)

    @initialize(truthful=st.just(False))
    def begin(self, truthful: bool) -> None:
        self.prepare()
        self.truthful = truthful
        self.twice: list[UUID] = []
        self.rados = Rados()
        self.rados.let_in = self.look_at_all
        self.fakes = {host: FakeHypervisor() for host in (A, B, C)}
        for fake in self.fakes.values():
            fake.runs = fake.state.runs = Runs(self.look)
        pool = {(RBD, "ceph"): self.rados}
        self.disks = {host: FakeHost((0, "own"), shared=pool, client=ADDRESSES[host]) for host in (B, C)}
        self.disks[A] = FakeHost((0, "own"), (1, "default"))
        self.uuids: dict[int, UUID] = {}
        self.homes: dict[int, HostId] = {}
        self.run(self.start())
        for host in (B, B, C, B):
            self.run(self.make(host))

    async def start(self) -> None:
        await super().start()
        self.w.server.services.membership.lost.blocklists.lifting.pauses = (0.0,)  # by another clock than the loop's

    def writers(self, machine: UUID) -> list[HostId]:
        blocked = self.rados.blocklisted
        return [
            host for host, fake in self.fakes.items() if machine in fake.runs and ADDRESSES.get(host) not in blocked
        ]

    def look(self, machine: UUID) -> None:
        """It is about to run on one more host."""
        if self.writers(machine):
            self.twice.append(machine)

    def look_at_all(self) -> None:
        self.twice += [uuid for uuid in self.uuids.values() if len(self.writers(uuid)) > 1]

    async def make(self, host: HostId) -> None:
        self.number += 1
        on_rbd = self.number < 4
        media = [{"mid": await self.w.medium(f"disk{self.number}", mpid=RBD), "mode": "VIRTIO"}] if on_rbd else []
        ha = "restart" if self.number % 2 else "off"
        vmid = await self.w.vm(f"vm{self.number}", host=host, media=media, ha=ha)
        self.uuids[vmid] = self.w.server.services.fleet.get(vmid).machine.uuid
        self.homes[vmid] = host
        await self.w.ok("PUT", "/v/vm/state", vmid=vmid, state="RUNNING")
        await self.w.server.hosts.shared.survey(RBD)
        await self.w.server.services.membership.lost.blocklists.note_clients()

    @rule(
        host=OTHERS,
        turns=st.sampled_from([None, None, None, 5, 20, 60, 200]),
        then=st.sampled_from(["kill", "return"]),
    )
    def prove(self, host: HostId, turns: int | None, then: str = "kill") -> None:
        """After so many turns of the loop, the server is killed, or the host is back."""
        self.fakes[host].faults.lose(host)
        self.run(self.blocklist(host, turns, then))

    async def blocklist(self, host: HostId, turns: int | None, then: str) -> None:
        await asyncio.sleep(3.0)  # it is told as silent by then
        asking = asyncio.create_task(self.w.call("PUT", "/h/node/blocklist", host=host, name=self.NAMES[host]))
        if turns is None:
            answer = await asking
            assert answer.status in (200, 409, 500), answer
            self.counted[f"proofs {answer.status}"] += 1
            return
        await passed(turns)
        if then == "return":
            self.fakes[host].faults.heal(host)
            assert (await asking).status in (200, 409, 500)
            self.counted["returns"] += 1
            return
        await self.kill()
        asking.cancel()
        await self.start()
        self.counted["kills"] += 1

    @rule(host=OTHERS, holds=st.booleans())
    def hold(self, host: HostId, holds: bool) -> None:
        """What ended VMs wrote there is still on its way, so the host stays on the blocklist although it responds."""
        self.disks[host].pools[RBD].holds = holds

    @rule(host=OTHERS, one=Number)
    def start_while_it_stays_blocklisted(self, host: HostId, one: int) -> None:
        """It responds again: its VMs start on the other one, whichever has more memory left."""
        self.break_or_heal(B if host == C else C, "heal")
        self.hold(host, holds=True)
        self.wait(3.0)
        self.prove(host, None)
        self.wait(3.0)  # what is restarted by itself is on the other one by then
        self.break_or_heal(host, "heal")
        self.wait(3.0)
        if able := [number for number, vmid in enumerate(sorted(self.uuids)) if self.able(vmid)]:
            self.counted["stays blocklisted"] += 1
            self.ask(pick(able, one), "RUNNING", force=False)

    async def calm(self) -> None:
        for host in (B, C):
            self.disks[host].pools[RBD].holds = False
        await super().calm()
        assert self.rados.blocklisted == set()
        for vmid, home in self.homes.items():
            self.counted["elsewhere"] += self.w.server.services.fleet.get(vmid).machine.host != home


@pytest.mark.holds("MANY-214")
@pytest.mark.long
@pytest.mark.whole
def test_no_two_runs_of_a_vm_can_write_whatever_is_lost_blocklisted_returned_and_killed(
    say: Callable[[str], None], whole: bool
) -> None:
    class Chosen(Blocklisted):
        counted: ClassVar[Counter[str]] = Counter()

    chosen = settings(
        stateful_step_count=20, max_examples=150 if whole else 30, deadline=None, database=None,
        suppress_health_check=list(HealthCheck), phases=[Phase.generate],
    )  # fmt: skip
    run_state_machine_as_test(Chosen if whole else seed(8)(Chosen), settings=chosen)
    say(f"lives on hosts that are blocklisted: {dict(sorted(Chosen.counted.items()))}, no two that write")
    assert Chosen.counted["proofs 200"] >= 1
    assert Chosen.counted["kills"] >= 3
    assert Chosen.counted["returns"] >= 1
    assert Chosen.counted["elsewhere"] >= 1
    assert Chosen.counted["stays blocklisted"] >= 4
    assert Chosen.counted["found a host"] >= 4
