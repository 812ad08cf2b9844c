"""Hosts that are lost, confirmed dead and return, and a server that is killed in between: no VM ever runs twice.

Where the word is true, at no moment. Where it is false, no longer than until the host answers again.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from typing import ClassVar
from uuid import UUID

import pytest
from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis import strategies as st
from hypothesis.stateful import initialize, invariant, precondition, rule, run_state_machine_as_test

from tests.faults.clock import passed
from tests.faults.hosts import TOLD_BEFORE, ServedHosts
from tests.faults.test_lives import SHOWN, STATES, Number, pick
from velocity.contract.machines import State
from velocity.hypervisor.fake import FakeHypervisor
from velocity.hypervisor.fake.guest import FakeRun
from velocity.hypervisor.port import Fact, FactCause, HostId
from velocity.storage.fake.pools import FakeHost

A, B, C = HostId(1), HostId(2), HostId(3)
OTHERS = st.sampled_from([B, C])
LONG = 400.0
"""Seconds of the loop's own time in which everything has been asked, and started, again."""


class Runs(dict[UUID, FakeRun]):
    """What runs on a host. Each begin is looked at."""

    def __init__(self, begins: Callable[[UUID], None]) -> None:
        super().__init__()
        self._begins = begins

    def __setitem__(self, machine: UUID, run: FakeRun) -> None:
        self._begins(machine)
        super().__setitem__(machine, run)


class LostHosts(ServedHosts):
    """`truthful`: nobody says that a host is dead which is not."""

    NAMES: ClassVar[dict[HostId, str]] = {B: "b", C: "c"}

    @initialize(truthful=st.booleans())
    def begin(self, truthful: bool) -> None:
        self.prepare()
        self.truthful = truthful
        self.twice: list[UUID] = []
        self.fakes = {host: FakeHypervisor() for host in (A, B, C)}
        self.fakes[B].state.number = TOLD_BEFORE
        for fake in self.fakes.values():
            fake.runs = fake.state.runs = Runs(self.look)
        self.disks = {host: FakeHost((0, "own")) for host in (B, C)}
        self.disks[A] = FakeHost((0, "own"), (1, "default"))
        self.uuids: dict[int, UUID] = {}
        self.run(self.start())
        for host in (B, B, C):
            self.run(self.make(host))

    def look(self, machine: UUID) -> None:
        if self.truthful and any(machine in fake.runs for fake in self.fakes.values()):
            self.twice.append(machine)

    async def make(self, host: HostId) -> None:
        self.number += 1
        vmid = await self.w.vm(f"vm{self.number}", host=host, ha="restart" if self.number % 2 else "off")
        self.uuids[vmid] = self.w.server.services.fleet.get(vmid).machine.uuid
        await self.w.ok("PUT", "/v/vm/state", vmid=vmid, state="RUNNING")

    @rule(one=Number, state=st.sampled_from(STATES), force=st.booleans())
    def ask(self, one: int, state: str, force: bool) -> None:
        vmid = pick(sorted(self.uuids), one)
        able = set() if state == "STOPPED" else self.able(vmid)
        answer = self.run(self.w.call("PUT", "/v/vm/state", vmid=vmid, state=state, force=force))
        self.counted[f"answered {answer.status}"] += 1
        assert answer.status in (200, 406, 500), answer
        if able & self.alive():
            self.counted["found a host"] += 1
            assert answer.status == 200, (answer, "its host is lost, and another one could start it")

    def alive(self) -> set[HostId]:
        """The hosts that respond, also to the server, and are not lost."""
        hosts = self.w.server.hosts
        lost = {*hosts.silent, *hosts.deaths, *hosts.disks.blocklisted}
        return {host for host, fake in self.fakes.items() if host not in fake.state.lost | lost}

    def able(self, vmid: int) -> set[HostId]:
        """The hosts that can start it, if its own is lost."""
        fleet, hosts = self.w.server.services.fleet, self.w.server.hosts.hosts
        keeper = fleet.get(vmid)
        if not keeper.ended or not fleet.evacuation.evacuated.is_freed(keeper.who):
            return set()
        pools = fleet.builder.reach.pools(keeper.machine.spec).keys()
        return {host for host in self.alive() if pools <= set(hosts.pools_of(host))}

    @rule(host=OTHERS, how=st.sampled_from(["lose", "lose", "heal", "reboot"]))
    def break_or_heal(self, host: HostId, how: str) -> None:
        getattr(self.fakes[host].faults, how)(host)

    @rule(host=OTHERS, turns=st.sampled_from([None, None, None, 20, 60, 200]))
    def prove(self, host: HostId, turns: int | None) -> None:
        """It is lost, and confirmed dead. After so many turns of the loop, the server is killed."""
        fake = self.fakes[host]
        if self.truthful:
            fake.faults.reboot(host)  # its power is off: nothing of it is left
        fake.faults.lose(host)
        self.run(self.say_it(host, turns))

    async def say_it(self, host: HostId, turns: int | None) -> None:
        await asyncio.sleep(3.0)  # it is told as silent by then
        saying = asyncio.create_task(self.w.call("PUT", "/h/node/dead", host=host, name=self.NAMES[host]))
        if turns is None:
            assert (await saying).status == 200
            self.counted["proofs"] += 1
            return
        await passed(turns)
        await self.kill()
        saying.cancel()
        await self.start()
        self.counted["kills"] += 1

    @rule(one=Number)
    def guest_ends(self, one: int) -> None:
        running = [(fake, uuid) for fake in self.fakes.values() for uuid in fake.runs]
        if running:
            fake, uuid = pick(running, one)
            fake.play(uuid, Fact.ENDED, FactCause.KILLED)

    @rule(one=Number, turns=st.integers(15, 80))
    def kill_the_server_that_starts(self, one: int, turns: int) -> None:
        self.run(self.kill_as_it_starts(pick(sorted(self.uuids), one), turns))

    @invariant()
    @precondition(lambda self: hasattr(self, "uuids"))
    def no_vm_runs_twice(self) -> None:
        assert self.twice == []

    @invariant()
    @precondition(lambda self: hasattr(self, "uuids"))
    def what_is_shown_as_stopped_does_not_run_where_it_is(self) -> None:
        lost = self.w.server.hosts.deaths.keys() | self.w.server.hosts.disks.blocklisted.keys()
        for vmid, uuid in self.uuids.items():
            keeper = self.w.server.services.fleet.get(vmid)
            host = keeper.machine.host
            if keeper.ended and host not in lost:
                assert uuid not in self.fakes[host].runs, f"VM {vmid} is shown STOPPED, and runs"

    async def calm(self) -> None:
        for host in (B, C):
            self.fakes[host].faults.heal(host)
        await asyncio.sleep(LONG)
        self.check_ends()
        assert dict(self.w.server.hosts.deaths) == {}
        assert dict(self.w.server.hosts.disks.blocklisted) == {}
        for vmid, uuid in self.uuids.items():
            where = [host for host, fake in self.fakes.items() if uuid in fake.runs]
            vm = (await self.w.ok("POST", "/v/vm", vmid=vmid)).body
            assert where in ([], [vm["host"]["id"]]), (vm, where)
            run = self.fakes[HostId(vm["host"]["id"])].runs.get(uuid)
            assert vm["state"] == SHOWN[None if run is None else run.fact]
            assert "unreachable_since" not in vm
            self.counted["moved"] += vm["host"]["id"] == A
            for state in ("RUNNING", "STOPPED"):
                answer = await self.w.call("PUT", "/v/vm/state", vmid=vmid, state=state, force=state == "STOPPED")
                assert (answer.status, answer.body.get("state")) == (200, state), (vmid, answer)
        assert all(self.w.server.services.fleet.get(vmid).state is State.STOPPED for vmid in self.uuids)
        self.counted["lives compared"] += len(self.uuids)


@pytest.mark.holds("MANY-100")
@pytest.mark.long
@pytest.mark.whole
def test_no_vm_runs_twice_whatever_is_lost_proven_returned_and_killed(say: Callable[[str], None], whole: bool) -> None:
    class Chosen(LostHosts):
        counted: ClassVar[Counter[str]] = Counter()

    chosen = settings(
        stateful_step_count=40, max_examples=150 if whole else 16, deadline=None, database=None,
        suppress_health_check=list(HealthCheck), phases=[Phase.generate],
    )  # fmt: skip
    run_state_machine_as_test(Chosen if whole else seed(11)(Chosen), settings=chosen)
    say(f"lives on hosts that are lost: {dict(sorted(Chosen.counted.items()))}, none twice")
    assert Chosen.counted["proofs"] >= 5
    assert Chosen.counted["kills"] >= 5
    assert Chosen.counted["moved"] >= 1
    assert Chosen.counted["found a host"] >= 1
