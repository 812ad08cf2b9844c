"""The lives of VMs under random faults: what the API says against what the hypervisor knows.

Hosts are lost, return and reboot; machines fall silent and answer again; answers are late, lost or under way; guests
end while nobody watches; the store takes no write, or its answer is lost; the server is killed at any point. No step
ends in a lie that no later fact corrects, no state is stuck, and nothing that runs can be deleted.
"""

from __future__ import annotations

import asyncio
import inspect
from collections import Counter
from collections.abc import AsyncIterator, Callable
from functools import partial
from typing import Any, ClassVar, TypeVar
from uuid import UUID

import pytest
from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis import strategies as st
from hypothesis.stateful import initialize, invariant, precondition, rule, run_state_machine_as_test

from tests.api.world import world
from tests.faults.clock import passed
from tests.faults.served import Served
from velocity.contract.machines import State
from velocity.contract.problems import Problem, Refused
from velocity.hypervisor.fake import Answer, FakeHypervisor, FakeRun
from velocity.hypervisor.port import Fact, FactCause, FactReport, HostId
from velocity.machines.rules import RunRecord, Spec
from velocity.storage.fake import connect
from velocity.storage.fake.pools import FakeHost
from velocity.storage.port import MediaFiles
from velocity.store.machines import SqlMachines

T = TypeVar("T")
HOST = HostId(1)
VMS = 3
LONG = 60.0
"""Seconds of the loop's own time in which everything has been asked again."""

CALM_AFTER = 12
"""Steps after which everything may answer again: what goes wrong needs several, and to compare takes time."""
STATES = ["RUNNING", "PAUSED", "STOPPED"]
WHYS = [FactCause.GUEST_PANICKED, FactCause.DISK_FULL, FactCause.GUEST_SHUTDOWN, FactCause.KILLED]
SHOWN = {None: "STOPPED", Fact.RUNNING: "RUNNING", Fact.PAUSED: "PAUSED", Fact.HELD: "PAUSED"}
Number = st.integers(0, 10**6)


class Disk:
    """What the store does with the next writes: `refuses` them, or does them and loses the answer."""

    def __init__(self) -> None:
        self.refuses = False
        self.loses = False


class FlakyStore(SqlMachines):
    disk: ClassVar[Disk]

    async def begin_run(self, vmid: int, wanted: State, spec: Spec, host: HostId) -> int:
        self._check()
        return self._answer(await super().begin_run(vmid, wanted, spec, host))

    async def alter_run(self, vmid: int, epoch: int, spec: Spec) -> None:
        self._check()
        await super().alter_run(vmid, epoch, spec)
        self._answer(None)

    async def keep_progress(self, vmid: int, progress: RunRecord) -> None:
        self._check()
        await super().keep_progress(vmid, progress)
        self._answer(None)

    def _check(self) -> None:
        if self.disk.refuses:
            raise Refused(Problem.UNAVAILABLE, "the database does not answer; nothing was changed: try again later")

    def _answer(self, value: T) -> T:
        if self.disk.loses:
            raise Refused(Problem.UNAVAILABLE, "the answer was lost")
        return value


class Line:
    """One server's connection to the fake hypervisor; what it asks after it was killed never arrives."""

    def __init__(self, fake: FakeHypervisor) -> None:
        self.cut = False
        self.machines: Any = Asked(self, fake.machines)
        self.consoles: Any = Asked(self, fake.consoles)
        self.screens: Any = Asked(self, fake.screens)
        self.meters: Any = Asked(self, fake.meters)
        self.guests: Any = Asked(self, fake.guests)
        self.hosts: Any = Asked(self, fake.hosts)
        self.mirrors: Any = Asked(self, fake.mirrors)
        self.mobility: Any = Asked(self, fake.mobility)


class Asked:
    """One part of the hypervisor, over the line."""

    def __init__(self, line: Line, part: Any) -> None:
        self._line = line
        self._part = part

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._part, name)
        if name == "news":
            return self._news
        if not inspect.iscoroutinefunction(method):
            return method

        async def call(*values: Any, **more: Any) -> Any:
            if self._line.cut:
                await asyncio.Event().wait()
            return await method(*values, **more)

        return call

    async def _news(self, host: HostId) -> AsyncIterator[FactReport]:
        async for news in self._part.news(host):
            if self._line.cut:
                await asyncio.Event().wait()
            yield news


class Lives(Served):
    @initialize()
    def begin(self) -> None:
        self.prepare()
        self.fake = FakeHypervisor()
        self.pools = FakeHost((1, "default"))
        self.disk = Disk()
        self.store = type("Store", (FlakyStore,), {"disk": self.disk})
        self.vmids: list[int] = []
        self.uuids: dict[int, UUID] = {}
        self.disks: dict[int, list[str]] = {}
        self.run(self.start())
        for _ in range(VMS):
            self.run(self.make())

    async def start(self) -> None:
        self.line = Line(self.fake)

        async def driver(media: MediaFiles) -> Any:
            return self.line

        storage = connect(self.pools)
        machines = partial(self.loop.machines, kept=self.store)
        self.opened = world(self.data, self.fake, driver=driver, machines=machines, storage=lambda _: storage)
        self.w = await self.opened.__aenter__()

    async def make(self) -> None:
        self.number += 1
        vmid = await self.w.vm(f"vm{self.number}")
        self.vmids.append(vmid)
        self.uuids[vmid] = self.w.server.services.fleet.get(vmid).machine.uuid
        self.disks[vmid] = [await self.w.medium(f"disk {vmid} {number}") for number in range(2)]
        await self.w.call("PUT", "/v/vm/state", vmid=vmid, state="RUNNING")

    # What is asked

    @rule(one=Number, what=st.sampled_from([*STATES, "reset", "restart"]), force=st.booleans())
    def ask(self, one: int, what: str, force: bool) -> None:
        vmid = pick(self.vmids, one)
        before, shown = self.seen(vmid), self.w.server.services.fleet.get(vmid).state.value
        if what in STATES:
            answer = self.run(self.w.call("PUT", "/v/vm/state", vmid=vmid, state=what, force=force))
        else:
            answer = self.run(self.w.call("PUT", f"/v/vm/{what}", vmid=vmid, force=force))
        self.counted[f"answered {answer.status}"] += 1
        assert answer.status in (200, 406, 500, 503), answer
        if answer.status == 503 and "nothing was changed" in answer["message"]:
            assert self.seen(vmid) == before, "what was done is never told as nothing"
        self.counted["restarts"] += what == "restart" and answer.status == 200
        if answer.status != 200 or what == "restart" or answer["state"] == "STOPPING":  # what follows is not waited for
            return
        self.counted["resets"] += what == "reset"
        if what == "reset" or answer["state"] != shown:  # it was done, as it was not so before
            assert answer["state"] == SHOWN[self.fact(vmid)]

    @rule(one=Number, why=st.sampled_from([FactCause.GUEST_PANICKED, FactCause.DISK_FULL]))
    def reset_what_breaks(self, one: int, why: FactCause) -> None:
        """At the moment when its guest breaks, which is not known yet."""
        if running := [vmid for vmid in self.vmids if self.fact(vmid) is Fact.RUNNING]:
            vmid = pick(running, one)
            self.fake.play(self.uuids[vmid], Fact.PAUSED, why)
            resets = self.counted["resets"]
            self.ask(self.vmids.index(vmid), "reset", force=False)
            self.counted["resets of what breaks"] += self.counted["resets"] - resets

    @rule(one=Number, two=Number, state=st.sampled_from(["RUNNING", "PAUSED"]))
    def ask_and_force(self, one: int, two: int, state: str) -> None:
        """A forced stop comes while another request is under way."""

        async def both() -> None:
            vmid = pick(self.vmids, one)
            first = asyncio.create_task(self.w.call("PUT", "/v/vm/state", vmid=vmid, state=state))
            await passed(two % 60)
            stop = await self.w.call("PUT", "/v/vm/state", vmid=vmid, state="STOPPED", force=True)
            self.counted[f"forced {stop.status}"] += 1
            if stop.status == 200 and stop["state"] == "STOPPED":
                assert self.fact(vmid) is None or (await first).status == 200, "a stop that is answered has stopped it"
            await first

        self.run(both())

    @rule(one=Number)
    def delete(self, one: int) -> None:
        vmid = pick(self.vmids, one)
        uuid = self.uuids[vmid]
        answer = self.run(self.w.call("DELETE", "/v/vm", vmid=vmid, purge=bool(one % 2)))
        self.counted[f"deleted {answer.status}"] += 1
        if answer.status == 200:
            self.fake.faults.arrive(uuid)
            assert uuid not in self.fake.runs, "nothing that runs, or may still run, is deleted"
            self.vmids.remove(vmid)
            self.run(self.make())

    @rule(one=Number, which=st.integers(0, 3))
    def change(self, one: int, which: int) -> None:
        """It gets disks and loses them, whatever it does."""
        vmid = pick(self.vmids, one)
        answer = self.run(self.w.call("PATCH", "/v/vm", vmid=vmid, media=self.media(vmid, which)))
        self.counted[f"changed {answer.status}"] += 1
        assert answer.status == 200, answer

    @rule(one=Number, turns=st.integers(0, 80), which=st.integers(0, 3))
    def kill_the_server_in_a_change(self, one: int, turns: int, which: int) -> None:
        async def work() -> None:
            vmid = pick(self.vmids, one)
            asking = asyncio.create_task(self.w.call("PATCH", "/v/vm", vmid=vmid, media=self.media(vmid, which)))
            await self.kill_after(turns, asking)

        self.run(work())

    def media(self, vmid: int, which: int) -> list[dict[str, Any]]:
        disks = self.disks[vmid]
        return [{"mid": mid, "mode": "VIRTIO"} for number, mid in enumerate(disks) if which >> number & 1]

    @rule(holds=st.booleans())
    def grip(self, holds: bool) -> None:
        """Guests that run hold on to their disks, or let go of them."""
        for uuid, run in self.fake.runs.items():
            if holds:
                run.devices.lets_go = False
            else:
                self.fake.let_go(uuid)

    # Faults

    @rule(answers=st.lists(st.sampled_from([None, *Answer]), min_size=1, max_size=3))
    def lose_answers(self, answers: list[Answer | None]) -> None:
        self.fake.faults.answers.extend(answers)

    @rule(one=Number, how=st.sampled_from(["hang", "wake", "arrive"]))
    def silence(self, one: int, how: str) -> None:
        getattr(self.fake.faults, how)(self.uuids[pick(self.vmids, one)])

    @rule(how=st.sampled_from(["lose", "heal", "heal", "reboot"]))
    def host(self, how: str) -> None:
        getattr(self.fake.faults, how)(HOST)
        if how == "reboot":
            self.fake.state.number = self.fake.state.told = 0  # it numbers its facts from the beginning again

    @rule(
        one=Number,
        why=st.sampled_from(
            [FactCause.GUEST_PANICKED, FactCause.DISK_FULL, FactCause.GUEST_SHUTDOWN, FactCause.KILLED]
        ),
        seen=st.booleans(),
    )
    def guest(self, one: int, why: FactCause, seen: bool) -> None:
        """It does something by itself; that it is not seen is how it is while nobody watches, and then he is told."""
        if self.fake.runs:
            ended = why in (FactCause.GUEST_SHUTDOWN, FactCause.KILLED)
            if not seen:
                self.fake.faults.lose(HOST)
            self.fake.play(pick(list(self.fake.runs), one), Fact.ENDED if ended else Fact.PAUSED, why)

    @rule(how=st.sampled_from(["refuses", "loses", "works", "works"]))
    def store_(self, how: str) -> None:
        self.disk.refuses, self.disk.loses = how == "refuses", how == "loses"

    @rule(deaf=st.booleans())
    def ears(self, deaf: bool) -> None:
        self.fake.faults.deaf = deaf
        for run in self.fake.runs.values():
            run.deaf = deaf

    @rule(
        one=Number,
        turns=st.integers(0, 80),
        state=st.sampled_from(["RUNNING", "PAUSED", "STOPPED"]),
        force=st.booleans(),
    )
    def kill_the_server(self, one: int, turns: int, state: str, force: bool) -> None:
        """So many turns of its loop after a request came in."""

        async def work() -> None:
            vmid = pick(self.vmids, one)
            asking = asyncio.create_task(self.w.call("PUT", "/v/vm/state", vmid=vmid, state=state, force=force))
            await self.kill_after(turns, asking)

        self.run(work())

    async def kill_after(self, turns: int, asking: asyncio.Task[Any]) -> None:
        self.counted["kills"] += 1
        await passed(turns)
        await self.kill()
        asking.cancel()
        self.disk.refuses = self.disk.loses = False
        await self.start()

    @rule(seconds=st.sampled_from([0.05, 0.5, 3.0, 20.0]))
    def wait(self, seconds: float) -> None:
        self.run(asyncio.sleep(seconds))

    async def kill(self) -> None:
        self.line.cut = True
        await super().kill()
        await self.fake.machines.close()

    # What must hold

    @invariant()
    def what_is_shown_as_stopped_does_not_run(self) -> None:
        if not hasattr(self, "w"):
            return
        for vmid in self.vmids:
            keeper = self.w.server.services.fleet.get(vmid)
            if keeper.state is State.STOPPED:
                assert self.uuids[vmid] not in self.fake.runs, f"VM {vmid} is shown STOPPED, and runs"

    @invariant()
    def what_is_in_a_run_counts_as_in_use(self) -> None:
        if not hasattr(self, "w"):
            return
        for vmid in self.vmids:
            run = self.fake.runs.get(self.uuids[vmid])
            has = {one.media.medium for one in run.devices.spec.disks} if run is not None else set()
            assert has <= self.w.server.services.fleet.claims.media(self.uuids[vmid]), f"VM {vmid}"

    @invariant()
    def steps_are_counted(self) -> None:
        self.steps = getattr(self, "steps", 0) + 1

    @precondition(lambda self: self.steps > CALM_AFTER)
    @rule()
    def recover(self) -> None:
        self.run(self.calm())

    async def calm(self) -> None:
        """Everything answers again: then, without a restart, the API tells the truth and every verb works."""
        self.counted["calms"] += 1
        self.steps = 0
        self.disk.refuses = self.disk.loses = False
        self.fake.faults.answers.clear()
        self.fake.faults.heal(HOST)
        for uuid in self.uuids.values():
            self.fake.faults.wake(uuid)
        for uuid, run in self.fake.runs.items():
            run.deaf = False
            self.fake.let_go(uuid)
        self.fake.faults.deaf = False
        await asyncio.sleep(LONG)
        for vmid in self.vmids:
            vm = (await self.w.ok("POST", "/v/vm", vmid=vmid)).body
            fact = self.fact(vmid)
            if fact is not None and vm["wanted"] != "STOPPED":
                disks = [str(one.media.medium) for one in self.fake.runs[self.uuids[vmid]].devices.spec.disks]
                assert "media" not in vm["waiting"], vm
                assert sorted(disks) == sorted(one["mid"] for one in vm["media"]), f"VM {vmid} has other disks"
            assert vm["state"] == SHOWN[fact], f"VM {vmid} is shown {vm['state']}, and the host has {fact}"
            assert "unreachable_since" not in vm, f"VM {vmid} answers, and is shown as unreachable"
            words = vm.get("reason", {}).get("message", "")
            assert fact is None or "ended" not in words, f"VM {vmid} runs, and is said to have ended: {words}"
            if fact is Fact.RUNNING:
                assert vm.get("reason", {}).get("cause") in (None, "guest-reset"), vm["reason"]
        await self.w.server.services.fleet.settle()  # the clock does not wait for a database that is slow
        assert self.fake.state.ends == {}, "each end is written down, and acknowledged"
        for vmid in self.vmids:
            for state in ("RUNNING", "PAUSED", "RUNNING", "STOPPED"):
                answer = await self.w.call("PUT", "/v/vm/state", vmid=vmid, state=state, force=state == "STOPPED")
                assert (answer.status, answer.body.get("state")) == (200, state), (vmid, answer)
        self.counted["lives compared"] += len(self.vmids)

    def fact(self, vmid: int) -> Fact | None:
        run: FakeRun | None = self.fake.runs.get(self.uuids[vmid])
        return None if run is None else run.fact

    def seen(self, vmid: int) -> object:
        """What a deed would change."""
        run = self.fake.runs.get(self.uuids[vmid])
        return None if run is None else (run.who, run.fact, run.presses)


SEED = 7
"""Of the short form: its sample has enough of all."""


def pick(some: list[Any], number: int) -> Any:
    return some[number % len(some)]


@pytest.mark.holds("STATE-7")
@pytest.mark.long
@pytest.mark.whole
def test_no_lie_stays_no_state_is_stuck_and_nothing_that_runs_is_deletable(
    say: Callable[[str], None], whole: bool
) -> None:
    class Chosen(Lives):
        counted: ClassVar[Counter[str]] = Counter()

    chosen = settings(
        stateful_step_count=60, max_examples=600 if whole else 20, deadline=None, database=None,
        suppress_health_check=list(HealthCheck), phases=[Phase.generate],
    )  # fmt: skip
    run_state_machine_as_test(Chosen if whole else seed(SEED)(Chosen), settings=chosen)
    say(f"lives of VMs under faults: {dict(sorted(Chosen.counted.items()))}, no lie")
    assert Chosen.counted["kills"] >= 20
    assert Chosen.counted["answered 200"] >= 40
    assert Chosen.counted["lives compared"] >= 80
    assert Chosen.counted["resets"] >= 3
    assert Chosen.counted["resets of what breaks"] >= 2
    assert Chosen.counted["restarts"] >= 3
