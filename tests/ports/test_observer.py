"""The host's edge in a whole server: what the API says while hosts and machines fall silent; also of a node."""

from __future__ import annotations

import asyncio
import errno
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any, ClassVar, Protocol
from uuid import uuid4

import pytest

from tests.api.world import World, world
from tests.node.served import Served
from tests.patience import asked_until, eventually
from tests.ports.subjects import no_storage
from velocity.hypervisor.fake import Answer, FakeHypervisor, FakeMachines
from velocity.hypervisor.port import (
    Fact,
    FactCause,
    FactReport,
    HostId,
    Hypervisor,
    Incarnation,
    Listing,
    MachineSpec,
    Unknown,
)
from velocity.machines.run.observer import HostBack, HostLost, Observer
from velocity.node import remote
from velocity.storage.port import MediaFiles

pytestmark = pytest.mark.anyio

HOST = HostId(1)
OTHER = HostId(2)
SPEC = MachineSpec("vm", 1, 64, "fake-1.0", "0")


class Over(Protocol):
    def __call__(self, data: Path, fake: FakeHypervisor | None = None) -> AbstractAsyncContextManager[World]: ...


@pytest.fixture(params=["fake", "remote"])
def over(request: pytest.FixtureRequest) -> Over:
    """A server over the fake, or over the fake on a node."""

    @asynccontextmanager
    async def opened(data: Path, fake: FakeHypervisor | None = None) -> AsyncIterator[World]:
        inner = fake or FakeHypervisor()
        if request.param == "fake":
            async with world(data, inner) as w:
                yield w
            return
        served = Served(inner, no_storage, data.parent)
        await served.open()
        to = served.connect()

        async def driver(media: MediaFiles) -> Hypervisor:
            return remote.hypervisor(to, inner.hosts.about(HOST))

        async with world(data, inner, driver=driver) as w:
            yield w
        await to.close()
        await served.close()

    return opened


async def running(w: World, name: str) -> int:
    vmid = await w.vm(name)
    await w.ok("PUT", "/v/vm/state", vmid=vmid, state="RUNNING")
    return vmid


async def shown(w: World, vmid: int) -> tuple[str, str | None, bool]:
    """Its state, the cause of it, and whether it is unreachable."""
    vm = (await w.ok("POST", "/v/vm", vmid=vmid)).body
    return vm["state"], vm.get("reason", {}).get("cause"), "unreachable_since" in vm


async def comes_to(w: World, vmid: int, *expected: object) -> None:
    await asked_until(lambda: shown(w, vmid), lambda now: now == expected)


async def test_a_host_that_reboots_while_it_is_unreachable_costs_its_guests(tmp_path: Path, over: Over) -> None:
    async with over(tmp_path / "data") as w:
        vmid = await running(w, "a")
        w.hypervisor.faults.lose(HOST)
        await comes_to(w, vmid, "RUNNING", None, True)
        w.hypervisor.faults.reboot(HOST)
        await comes_to(w, vmid, "STOPPED", "host-restarted", False)
        await w.ok("PUT", "/v/vm/state", vmid=vmid, state="PAUSED")


async def test_what_one_vm_asks_never_takes_the_end_of_another(tmp_path: Path, over: Over) -> None:
    async with over(tmp_path / "data") as w:
        a, b = await running(w, "a"), await running(w, "b")
        uuid = w.server.services.fleet.get(b).machine.uuid
        w.hypervisor.faults.lose(HOST)
        w.hypervisor.play(uuid, Fact.ENDED, FactCause.GUEST_SHUTDOWN, seen=False)
        answer = await w.call("PUT", "/v/vm/state", vmid=a, state="PAUSED")
        assert (answer.status, answer.code) == (500, 13230)
        w.hypervisor.faults.heal(HOST)
        await comes_to(w, b, "STOPPED", "guest-shutdown", False)
        await comes_to(w, a, "RUNNING", None, False)


async def test_a_start_that_comes_late_is_never_deletable_while_it_runs(tmp_path: Path, over: Over) -> None:
    async with over(tmp_path / "data") as w:
        vmid = await w.vm("a")
        uuid = w.server.services.fleet.get(vmid).machine.uuid
        w.hypervisor.faults.hang(uuid)
        answer = await w.call("PUT", "/v/vm/state", vmid=vmid, state="RUNNING")
        assert (answer.status, answer.code) == (500, 13230)
        assert await shown(w, vmid) == ("STARTING", None, True)
        assert (await w.call("DELETE", "/v/vm", vmid=vmid)).status == 409, "it may still begin"
        w.hypervisor.faults.wake(uuid)
        await comes_to(w, vmid, "RUNNING", None, False)
        assert (await w.call("DELETE", "/v/vm", vmid=vmid)).status == 409
        await w.ok("PUT", "/v/vm/state", vmid=vmid, state="STOPPED", force=True)


async def test_a_start_that_is_said_to_be_absent_does_not_begin_afterwards(tmp_path: Path, over: Over) -> None:
    async with over(tmp_path / "data") as w:
        vmid = await w.vm("a")
        w.hypervisor.faults.answers.append(Answer.UNDER_WAY)
        assert (await w.call("PUT", "/v/vm/state", vmid=vmid, state="RUNNING")).status == 500
        await comes_to(w, vmid, "STOPPED", "start-failed", False)
        w.hypervisor.faults.arrive(w.server.services.fleet.get(vmid).machine.uuid)
        assert w.hypervisor.runs == {}
        await w.ok("PUT", "/v/vm/state", vmid=vmid, state="RUNNING")


async def test_a_late_fact_that_it_runs_is_believed(tmp_path: Path, over: Over) -> None:
    async with over(tmp_path / "data") as w:
        vmid = await running(w, "a")
        await w.ok("PUT", "/v/vm/state", vmid=vmid, state="STOPPED", force=True)
        keeper = w.server.services.fleet.get(vmid)
        keeper.apply_fact(FactReport(keeper.who, Fact.RUNNING, FactCause.ASKED, number=1 << 30))
        assert await shown(w, vmid) == ("RUNNING", None, False)
        assert (await w.call("DELETE", "/v/vm", vmid=vmid)).status == 409


@pytest.mark.holds("STATE-15")
async def test_a_silent_host_costs_its_vms_their_freshness_and_never_the_server_its_start(
    tmp_path: Path, over: Over
) -> None:
    fake = FakeHypervisor()
    async with over(tmp_path / "data", fake) as w:
        vmid, stopped = await running(w, "a"), await w.vm("b", autostart=True)
    fake.faults.lose(HOST)
    async with over(tmp_path / "data", fake) as w:
        assert await shown(w, vmid) == ("RUNNING", None, True)
        assert (await w.call("DELETE", "/v/vm", vmid=vmid)).status == 409
        assert (await w.call("PUT", "/v/vm/state", vmid=stopped, state="RUNNING")).status == 500
        fake.faults.heal(HOST)
        await comes_to(w, vmid, "RUNNING", None, False)
        await comes_to(w, stopped, "RUNNING", None, False)  # what starts with the server starts when its host is there


@pytest.mark.holds("STATE-16")
async def test_a_run_that_no_vm_has_is_named_and_left_alone(
    tmp_path: Path, over: Over, caplog: pytest.LogCaptureFixture
) -> None:
    fake = FakeHypervisor()
    stranger = Incarnation(uuid4(), HOST, 3)
    async with over(tmp_path / "data", fake) as w:
        await running(w, "a")
    await fake.machines.start(stranger, SPEC, deadline=1)
    async with over(tmp_path / "data", fake) as w:
        assert (await w.ok("POST", "/h/host"))["unknown_guests"] == [{"uuid": str(stranger.machine), "run": 3}]
        assert str(stranger.machine) in caplog.text
        assert stranger.machine in fake.runs
        assert stranger.machine not in fake.machines.forgotten
        fake.play(stranger.machine, Fact.ENDED, FactCause.KILLED)
        await asked_until(lambda: w.ok("POST", "/h/host"), lambda shown: not shown["unknown_guests"])


class Watched:
    """What an observer feeds, with its own memory of it."""

    doubtful = busy = False
    lives = True
    number = 0

    def __init__(self, host: HostId) -> None:
        self.who = Incarnation(uuid4(), host, 1)
        self.heard: list[Fact] = []
        self.fresh = True

    def apply_fact(self, news: FactReport) -> None:
        self.heard.append(news.fact)

    def host_lost(self) -> None:
        self.fresh = False

    def host_back(self) -> None:
        self.fresh = True

    def mark_unknown(self) -> None:
        raise AssertionError("nothing is asked of it")


async def test_a_host_that_is_lost_means_that_host_s_machines_alone() -> None:
    fake = FakeHypervisor()
    keepers = {host: [Watched(host) for _ in range(2)] for host in (HOST, OTHER)}
    told: dict[HostId, list[object]] = {HOST: [], OTHER: []}
    observers = []
    for host, watched in keepers.items():
        by_uuid = {one.who.machine: one for one in watched}
        machines = fake.machines
        observer = Observer(host, machines, by_uuid.get, lambda watched=watched: watched, changed=told[host].append)  # type: ignore[misc]
        for one in watched:
            await fake.machines.start(one.who, SPEC, deadline=1)
        observers.append(observer)
        await observer.open()
    fake.faults.lose(HOST)
    await eventually(lambda: bool(told[HOST]))
    assert [one.fresh for one in keepers[HOST] + keepers[OTHER]] == [False, False, True, True]
    fake.play(keepers[OTHER][0].who.machine, Fact.PAUSED, FactCause.DISK_FULL)
    await eventually(lambda: keepers[OTHER][0].heard[-1] is Fact.PAUSED)
    fake.faults.reboot(HOST)
    await eventually(lambda: len(told[HOST]) == 2)
    assert [type(one) for one in told[HOST]] == [HostLost, HostBack]
    assert told[OTHER] == []
    assert [one.heard[-1] for one in keepers[HOST]] == [Fact.ABSENT, Fact.ABSENT]
    assert Fact.ABSENT not in keepers[OTHER][0].heard + keepers[OTHER][1].heard
    fake.faults.lose(HOST)
    with pytest.raises(Unknown):
        await observers[0].reached(1 << 20)
    for observer in observers:
        await observer.close()


async def test_absence_follows_from_a_complete_listing_alone() -> None:
    class Partly(FakeMachines):
        async def adopt(self, host: HostId, *, deadline: float) -> Listing:
            return Listing(host, (), 1, complete=False)

    one = Watched(HOST)
    observer = Observer(HOST, FakeHypervisor(machines=Partly).machines, lambda uuid: one, lambda: [one])
    await observer.open()
    assert one.heard == []
    await observer.close()


async def test_what_was_listed_before_a_doubt_is_not_taken_for_an_answer_to_it() -> None:
    class Held(FakeMachines):
        def __init__(self, *given: Any) -> None:
            super().__init__(*given)
            self.let, self.listed = asyncio.Event(), 0

        async def adopt(self, host: HostId, *, deadline: float) -> Listing:
            found = await super().adopt(host, deadline=deadline)
            self.listed += 1
            await self.let.wait()
            return found

    one, machines = Watched(HOST), FakeHypervisor(machines=Held).machines
    assert isinstance(machines, Held)
    told: list[tuple[type, int]] = []
    machines.let.set()
    observer = Observer(
        HOST, machines, lambda uuid: one, lambda: [one], changed=lambda news: told.append((type(news), machines.listed))
    )
    await observer.open()
    try:
        machines.let.clear()
        observer.doubt("its connection was lost")
        await eventually(lambda: machines.listed == 2)
        observer.doubt("it was confirmed dead")
        machines.let.set()
        await eventually(lambda: not observer.lost)
        assert told == [(HostLost, 1), (HostBack, 3)], "not by the list that was under way"
    finally:
        await observer.close()


class Sick(FakeMachines):
    """Of which a call fails as nobody foresaw, once for each name in `fails`."""

    fails: ClassVar[list[str]] = []

    def _ail(self, what: str) -> None:
        if what in self.fails:
            self.fails.remove(what)
            raise OSError(errno.EMFILE, "Too many open files")

    async def adopt(self, host: HostId, *, deadline: float) -> Listing:
        self._ail("adopt")
        return await super().adopt(host, deadline=deadline)

    async def facts(self, who: Incarnation, *, deadline: float) -> FactReport:
        self._ail("facts")
        return await super().facts(who, deadline=deadline)

    async def news(self, host: HostId) -> AsyncIterator[FactReport]:
        self._ail("news")
        async for one in super().news(host):
            yield one


@pytest.mark.holds("STATE-23")
@pytest.mark.parametrize("fails", [["adopt"], ["news"], ["facts"], ["adopt", "adopt", "news", "facts"]])
async def test_an_error_that_nobody_foresaw_ends_no_watch_over_a_host(
    tmp_path: Path, fails: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    """At the start, and while the server runs: it is asked again, and no VM is out of date for ever."""
    fake = FakeHypervisor(machines=Sick)
    Sick.fails = list(fails)
    async with world(tmp_path / "data", fake) as w:
        await eventually(lambda: not w.server.services.fleet.hosts.of(HOST).observer.lost)
        a, b = await running(w, "a"), await running(w, "b")
        Sick.fails = list(fails)
        fake.faults.hang(w.server.services.fleet.get(a).machine.uuid)
        assert (await w.call("PUT", "/v/vm/state", vmid=a, state="PAUSED")).status == 500
        fake.faults.lose(HOST)
        await comes_to(w, b, "RUNNING", None, True)
        fake.faults.heal(HOST)
        fake.faults.wake(w.server.services.fleet.get(a).machine.uuid)
        await comes_to(w, b, "RUNNING", None, False)
        await comes_to(w, a, "PAUSED", None, False)
        assert Sick.fails == []
        fake.play(w.server.services.fleet.get(b).machine.uuid, Fact.ENDED, FactCause.GUEST_SHUTDOWN)
        await comes_to(w, b, "STOPPED", "guest-shutdown", False)
    assert "Too many open files" in caplog.text, "and it is told"
