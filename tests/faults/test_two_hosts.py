"""Lives on two hosts, of which one is lost, comes back and reboots: nothing of that is seen on the other one's VMs."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from typing import ClassVar
from uuid import UUID

import pytest
from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis import strategies as st
from hypothesis.stateful import initialize, invariant, rule, run_state_machine_as_test

from tests.faults.hosts import ServedHosts
from tests.faults.test_lives import LONG, SHOWN, STATES, Number, pick
from velocity.contract.machines import State
from velocity.hosts.port import OfferedPool
from velocity.hypervisor.fake import FakeHypervisor
from velocity.hypervisor.port import Fact, FactCause, HostId
from velocity.storage.fake.pools import FakeHost

A, B = HostId(1), HostId(2)
VMS = 2
"""On each."""


class Hosts(ServedHosts):
    """`of`: the host of each VM."""

    NAMES: ClassVar[dict[HostId, str]] = {B: "b"}
    POOLS: ClassVar[tuple[OfferedPool, ...]] = (OfferedPool(20, "fast"),)

    @initialize()
    def begin(self) -> None:
        self.prepare()
        self.fakes = {A: FakeHypervisor(), B: FakeHypervisor()}
        self.disks = {A: FakeHost((0, "own"), (1, "default")), B: FakeHost((0, "own"), (20, "fast"))}
        self.of: dict[int, HostId] = {}
        self.uuids: dict[int, UUID] = {}
        self.run(self.start())
        for host in (A, B):
            for _ in range(VMS):
                self.run(self.make(host))

    async def make(self, host: HostId) -> None:
        self.number += 1
        vmid = await self.w.vm(f"vm{self.number}", host=host)
        self.of[vmid] = host
        self.uuids[vmid] = self.w.server.services.fleet.get(vmid).machine.uuid

    def fact(self, vmid: int) -> Fact | None:
        run = self.fakes[self.of[vmid]].runs.get(self.uuids[vmid])
        return None if run is None else run.fact

    @rule(one=Number, state=st.sampled_from(STATES), force=st.booleans())
    def ask(self, one: int, state: str, force: bool) -> None:
        vmid = pick(sorted(self.of), one)
        answer = self.run(self.w.call("PUT", "/v/vm/state", vmid=vmid, state=state, force=force))
        self.counted[f"answered {answer.status} on {'a' if self.of[vmid] == A else 'b'}"] += 1
        if self.of[vmid] == A:
            assert answer.status in (200, 406), answer
        else:
            assert answer.status in (200, 406, 500), answer

    @rule(how=st.sampled_from(["lose", "heal", "heal", "reboot"]))
    def b(self, how: str) -> None:
        getattr(self.fakes[B].faults, how)(B)

    @rule(one=Number, ended=st.booleans())
    def guest(self, one: int, ended: bool) -> None:
        """One does something by itself, on either host."""
        running = [(fake, uuid) for fake in self.fakes.values() for uuid in fake.runs]
        if running:
            fake, uuid = pick(running, one)
            what = (Fact.ENDED, FactCause.GUEST_SHUTDOWN) if ended else (Fact.PAUSED, FactCause.GUEST_PANICKED)
            fake.play(uuid, *what)
            self.run(fake.heard() if fake is self.fakes[A] else asyncio.sleep(0))

    @rule(one=Number, turns=st.integers(0, 80))
    def kill_the_server(self, one: int, turns: int) -> None:
        self.run(self.kill_as_it_starts(pick(sorted(self.of), one), turns))

    @invariant()
    def what_is_shown_as_stopped_does_not_run(self) -> None:
        for vmid in getattr(self, "of", ()):
            if self.w.server.services.fleet.get(vmid).state is State.STOPPED:
                assert self.fact(vmid) is None, f"VM {vmid} is shown STOPPED, and runs"

    @invariant()
    def a_vm_is_on_its_host_alone(self) -> None:
        for vmid, uuid in getattr(self, "uuids", {}).items():
            other = self.fakes[B if self.of[vmid] == A else A]
            assert uuid not in other.runs, f"VM {vmid} runs on the other host"

    @invariant()
    def nothing_of_b_is_seen_on_a(self) -> None:
        for vmid, host in getattr(self, "of", {}).items():
            keeper = self.w.server.services.fleet.get(vmid)
            if host == A and not keeper.busy and not keeper.doubtful:
                assert keeper.unreachable_since is None, f"VM {vmid} is on A, and is shown as unreachable"
                if keeper.state is not State.STOPPING:
                    assert keeper.state.value == SHOWN[self.fact(vmid)], f"VM {vmid}"

    async def calm(self) -> None:
        self.fakes[B].faults.heal(B)
        await asyncio.sleep(LONG)
        self.check_ends()
        for vmid in self.of:
            vm = (await self.w.ok("POST", "/v/vm", vmid=vmid)).body
            assert vm["state"] == SHOWN[self.fact(vmid)]
            assert "unreachable_since" not in vm
            for state in ("RUNNING", "PAUSED", "RUNNING", "STOPPED"):
                answer = await self.w.call("PUT", "/v/vm/state", vmid=vmid, state=state, force=state == "STOPPED")
                assert (answer.status, answer.body.get("state")) == (200, state), (vmid, answer)
        self.counted["lives compared"] += len(self.of)


@pytest.mark.holds("MANY-7")
@pytest.mark.long
@pytest.mark.whole
def test_a_host_that_is_lost_is_not_seen_on_the_vms_of_another(say: Callable[[str], None], whole: bool) -> None:
    class Chosen(Hosts):
        counted: ClassVar[Counter[str]] = Counter()

    chosen = settings(
        stateful_step_count=40, max_examples=300 if whole else 8, deadline=None, database=None,
        suppress_health_check=list(HealthCheck), phases=[Phase.generate],
    )  # fmt: skip
    run_state_machine_as_test(Chosen if whole else seed(7)(Chosen), settings=chosen)
    say(f"lives on two hosts: {dict(sorted(Chosen.counted.items()))}, no lie")
    assert Chosen.counted["kills"] >= 5
    assert Chosen.counted["answered 200 on a"] >= 10
    assert Chosen.counted["lives compared"] >= 30
