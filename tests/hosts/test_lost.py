"""A host that is lost: silence changes nothing, proof ends its runs, and what returns is told by the record."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from msgspec import UNSET, structs

from tests.api.world import World
from tests.hosts.installation import Installation
from tests.hosts.together import Other, machine, together
from tests.patience import eventually
from velocity.contract.lost_hosts import ConfirmDead
from velocity.contract.machines import Reason
from velocity.contract.problems import Problem, Refused
from velocity.hypervisor.fake.faults import Answer
from velocity.hypervisor.port import Fact, FactCause, HostId, Unknown
from velocity.hypervisor.routed import routed
from velocity.machines.evacuated import Death
from velocity.store.evacuations import SqlLosses

pytestmark = pytest.mark.anyio


@pytest.fixture
def b() -> Other:
    return Other(2, "b", (20, "fast"))


async def lost(w: World, b: Other) -> None:
    b.fake.faults.lose(b.host)
    await b.fake.heard()
    await eventually(lambda: b.host in w.server.hosts.silent)


async def running(w: World, name: str = "vm", **more: Any) -> int:
    vmid = await w.vm(name, **{"host": 2, **more})
    assert (await w.ok("PUT", "/v/vm/state", vmid=vmid, state="RUNNING"))["state"] == "RUNNING"
    return vmid


async def confirm(w: World, name: str = "b") -> Any:
    return (await w.ok("PUT", "/h/node/dead", host=2, name=name)).body


async def shown(w: World, vmid: int) -> Any:
    return (await w.ok("POST", "/v/vm", vmid=vmid)).body


async def returned(w: World, b: Other) -> None:
    b.fake.faults.heal(b.host)
    await eventually(lambda: b.host not in w.server.hosts.silent and b.host not in w.server.hosts.deaths)
    await w.settle()


@pytest.mark.holds("MANY-85", "MANY-86")
async def test_nothing_happens_without_proof_and_with_it_a_start_finds_another_host(tmp_path: Path, b: Other) -> None:
    async with together(tmp_path / "data", b) as w:
        vmid, off = await running(w), await w.vm("off", host=2)
        await lost(w, b)
        assert (await w.call("PUT", "/v/vm/state", vmid=vmid, state="RUNNING")).code == 13230
        refused = await w.call("PUT", "/v/vm/state", vmid=off, state="RUNNING")
        assert refused["message"].endswith("or prove that it is off: `velocity node confirm-dead b`")
        assert (await w.call("DELETE", "/v/vm", vmid=vmid)).code == 16320
        (now,) = (one for one in (await w.ok("POST", "/h/node/list"))["nodes"] if one["host"] == 2)
        assert "velocity node confirm-dead b" in now["missing"]
        assert await w.refused("PUT", "/h/node/dead", host=2, name="a") == (406, 61222)
        assert await w.refused("PUT", "/h/node/dead", host=1, name=w.server.hosts.hosts.own.name) == (406, 61221)
        assert await w.refused("PUT", "/h/node/dead", host=9, name="b") == (404, 61210)
        assert (await shown(w, vmid))["state"] == "RUNNING"

        plan = await w.ok("PUT", "/h/node/dead", host=2, name="b", plan=True)
        assert [(one["do"], one["kind"], one["name"]) for one in plan["steps"]] == [
            ("change", "host", "b"),
            ("kill", "vm", "vm"),
        ]
        assert (await shown(w, vmid))["state"] == "RUNNING", "a plan changes nothing"
        now = await confirm(w)
        assert (now["state"], now["dead"]["by"]) == ("dead", "root")
        assert await confirm(w) == now, "said twice is said once"
        vm = await shown(w, vmid)
        assert (vm["state"], vm["reason"]["cause"], "unreachable_since" in vm) == ("STOPPED", "host-lost", False)
        assert "confirmed dead by root" in vm["reason"]["message"]
        assert vm["reason"]["message"].endswith("a start gives it to another host")
        assert vm["host"]["id"] == 2, "nothing is moved before it is started"

        assert (await w.ok("PUT", "/v/vm/state", vmid=vmid, state="RUNNING"))["state"] == "RUNNING"
        assert (await shown(w, vmid))["host"]["id"] == 1
        assert machine(w, vmid) in w.hypervisor.runs


@pytest.mark.holds("MANY-87")
async def test_a_host_that_returns_ends_what_was_over_before_anything_of_it_is_believed(
    tmp_path: Path, b: Other
) -> None:
    async with together(tmp_path / "data", b) as w:
        moved, stayed = await running(w, "moved"), await running(w, "stayed")
        await lost(w, b)
        await confirm(w)
        await w.ok("PUT", "/v/vm/state", vmid=moved, state="RUNNING")
        assert b.runs(machine(w, moved)), "the word was false: it runs there all the while"
        await returned(w, b)
        assert not b.runs(machine(w, moved))
        assert not b.runs(machine(w, stayed)), "it was declared over, and its media may be another's by now"
        assert b.fake.state.ends == {}, "their ends are acknowledged"
        assert (await shown(w, moved))["state"] == "RUNNING"
        assert (await shown(w, moved))["host"]["id"] == 1
        vm = await shown(w, stayed)
        assert (vm["state"], vm["reason"]["cause"], vm["host"]["id"]) == ("STOPPED", "host-lost", 2)
        over = w.server.services.fleet.get(stayed).who
        b.fake.state.tell(over, Fact.RUNNING, FactCause.ASKED)  # news that come late
        await b.fake.heard()
        await w.settle()
        assert (await shown(w, stayed))["state"] == "STOPPED"
        (now,) = (one for one in (await w.ok("POST", "/h/node/list"))["nodes"] if one["host"] == 2)
        assert "dead" not in now
        await w.written()
        entries = (await w.ok("POST", "/t/history"))["entries"]
        told = [(one["operation"], one["target"]) for one in entries if one["operation"] == "host_returned"]
        assert told == [("host_returned", "host=2 name=b")]
        assert (await w.ok("PUT", "/v/vm/state", vmid=stayed, state="RUNNING"))["state"] == "RUNNING"
        assert (await shown(w, stayed))["host"]["id"] == 2
        assert b.runs(machine(w, stayed))


@pytest.mark.holds("MANY-87")
async def test_what_cannot_be_ended_keeps_its_host_from_being_believed(tmp_path: Path, b: Other) -> None:
    async with together(tmp_path / "data", b) as w:
        vmid = await running(w)
        await lost(w, b)
        await confirm(w)
        b.fake.faults.answers.append(Answer.LOST)
        await returned(w, b)
        assert not b.fake.faults.answers, "the first time, it was not heard"
        assert not b.runs(machine(w, vmid))


@pytest.mark.holds("MANY-88")
async def test_the_record_outlives_the_server_at_every_point(tmp_path: Path, b: Other) -> None:
    async with together(tmp_path / "data", b) as w:
        vmid, fake = await running(w), w.hypervisor
        await lost(w, b)
        await confirm(w)
    async with together(tmp_path / "data", b, hypervisor=fake) as w:
        vm = await shown(w, vmid)
        assert (vm["state"], vm["reason"]["cause"], "unreachable_since" in vm) == ("STOPPED", "host-lost", False)
        await w.ok("PUT", "/v/vm/state", vmid=vmid, state="RUNNING")
        uuid = machine(w, vmid)
    b.fake.faults.heal(b.host)  # while no server is there
    assert b.runs(uuid)
    async with together(tmp_path / "data", b, hypervisor=fake) as w:
        await returned(w, b)
        assert not b.runs(uuid)
        vm = await shown(w, vmid)
        assert (vm["state"], vm["host"]["id"]) == ("RUNNING", 1)
    async with together(tmp_path / "data", b, hypervisor=fake) as w:
        assert b.host not in w.server.hosts.deaths
        assert uuid in fake.runs


@pytest.mark.holds("MANY-87")
async def test_a_host_that_answers_at_the_moment_of_the_word_ends_what_was_declared_over(
    tmp_path: Path, b: Other
) -> None:
    async with together(tmp_path / "data", b) as w:
        vmid = await running(w)
        await confirm(w)  # its node is not heard, and its hypervisor is: there is no way to it but the test's
        await returned(w, b)
        assert not b.runs(machine(w, vmid))
        assert (await shown(w, vmid))["state"] == "STOPPED"


@pytest.mark.holds("MANY-86")
async def test_what_ran_on_a_host_that_is_dead_is_told_as_absent(tmp_path: Path, b: Other) -> None:
    """To whoever asks for the facts of such a run, as one that it was to be moved from or to."""
    async with together(tmp_path / "data", b) as w:
        who = w.server.services.fleet.get(await running(w)).who
        machines = routed(w.server.hosts.hosts).machines
        await lost(w, b)
        with pytest.raises(Unknown):
            await machines.facts(who, deadline=1.0)
        await confirm(w)
        for run in (who, structs.replace(who, epoch=who.epoch + 1)):
            assert (await machines.facts(run, deadline=1.0)).fact is Fact.ABSENT
        await returned(w, b)
        assert (await machines.facts(who, deadline=1.0)).fact is Fact.ABSENT


@pytest.mark.holds("MANY-88")
async def test_a_server_that_is_killed_when_it_is_written_down_has_ended_the_runs(tmp_path: Path, b: Other) -> None:
    async with together(tmp_path / "data", b) as w:
        vmid, fake = await running(w), w.hypervisor
        await lost(w, b)
        reason = Reason(cause="host-lost", message="its host was confirmed dead", since=1)
        runs = await SqlLosses(w.server.database).confirm(b.host, Death(1, "root"), reason)
        assert runs == {machine(w, vmid): 1}
    async with together(tmp_path / "data", b, hypervisor=fake) as w:
        vm = await shown(w, vmid)
        assert (vm["state"], vm["reason"]["cause"]) == ("STOPPED", "host-lost")
        assert (await w.ok("PUT", "/v/vm/state", vmid=vmid, state="RUNNING"))["state"] == "RUNNING"


@pytest.mark.holds("MANY-89")
async def test_a_vm_whose_media_are_on_the_dead_host_stays_says_why_and_can_be_deleted(
    tmp_path: Path, b: Other
) -> None:
    async with together(tmp_path / "data", b) as w:
        disk = await w.medium("data", mpid=20)
        vmid = await running(w, media=[{"mid": disk, "mode": "VIRTIO"}])
        await lost(w, b)
        await confirm(w)
        words = (await shown(w, vmid))["reason"]["message"]
        assert "it cannot be started elsewhere" in words
        assert "medium 'data' is on no other host" in words
        refused = await w.call("PUT", "/v/vm/state", vmid=vmid, state="RUNNING")
        assert refused.code == 13230
        assert "which is confirmed dead" in refused["message"]
        assert "medium 'data' is on no other host" in refused["message"]
        assert (await shown(w, vmid))["host"]["id"] == 2
        assert await w.refused("DELETE", "/h/node", host=2) == (409, 57320)
        await w.ok("DELETE", "/v/vm", vmid=vmid)
        await w.ok("DELETE", "/h/node", host=2)


@pytest.mark.holds("MANY-90")
async def test_what_is_under_way_to_the_host_ends_with_the_word(tmp_path: Path, b: Other) -> None:
    """A start that got no answer, a pause in the middle, a stop that waits for the guest."""
    async with together(tmp_path / "data", b) as w:
        starts = await w.vm("starts", host=2)
        pauses, stops = await running(w, "pauses"), await running(w, "stops")
        b.fake.faults.deaf = True
        b.fake.state.runs[machine(w, stops)].deaf = True
        await w.ok("PUT", "/v/vm/state", vmid=stops, state="STOPPED")
        b.fake.faults.answers.extend([Answer.UNDER_WAY, Answer.LOST])
        for vmid, state in ((starts, "RUNNING"), (pauses, "PAUSED")):
            assert (await w.call("PUT", "/v/vm/state", vmid=vmid, state=state)).code == 13230
        await lost(w, b)
        await confirm(w)
        for vmid in (starts, pauses, stops):
            vm = await shown(w, vmid)
            assert (vm["state"], "unreachable_since" in vm) == ("STOPPED", False), vm["name"]
        assert "reason" not in await shown(w, stops), "that it stopped is what was asked for"
        await returned(w, b)
        b.fake.faults.arrive(machine(w, starts))
        assert b.fake.runs == {}, "what was asked before the word does not begin after it"


@pytest.mark.holds("MANY-90")
async def test_a_start_that_is_being_prepared_while_its_host_is_confirmed_dead_does_not_begin(
    tmp_path: Path, b: Other
) -> None:
    going_on, asked = asyncio.Event(), asyncio.Event()

    async def memory_free(host: HostId, *, deadline: float) -> int:
        asked.set()
        await going_on.wait()
        return 4096

    async with together(tmp_path / "data", b) as w:
        vmid = await w.vm("vm", host=2)
        b.fake.hosts.memory_free = memory_free  # type: ignore[method-assign]
        starting = asyncio.create_task(w.call("PUT", "/v/vm/state", vmid=vmid, state="RUNNING"))
        await asked.wait()
        await lost(w, b)
        await confirm(w)
        going_on.set()
        refused = await starting
        assert refused.code == 13230
        assert "confirmed dead meanwhile" in refused["message"]
        vm = await shown(w, vmid)
        assert (vm["state"], "unreachable_since" in vm) == ("STOPPED", False)
        assert (await w.ok("PUT", "/v/vm/state", vmid=vmid, state="RUNNING"))["state"] == "RUNNING"
        assert (await shown(w, vmid))["host"]["id"] == 1


@pytest.mark.holds("MANY-91")
async def test_a_vm_with_ha_is_started_elsewhere_after_the_proof_alone(tmp_path: Path, b: Other) -> None:
    async with together(tmp_path / "data", b) as w:
        ha = [await running(w, f"ha{number}", ha="restart") for number in range(3)]
        plain = await running(w, "plain")
        off = await w.vm("off", host=2, ha="restart")
        paused = await running(w, "paused", ha="restart")
        await w.ok("PUT", "/v/vm/state", vmid=paused, state="PAUSED")
        await lost(w, b)
        await w.settle()
        assert w.hypervisor.runs == {}, "silence starts nothing"
        await confirm(w)
        await eventually(lambda: len(w.hypervisor.runs) == len(ha))
        await w.settle()
        assert {machine(w, vmid) for vmid in ha} == w.hypervisor.runs.keys()
        for vmid in (plain, off, paused):
            assert (await shown(w, vmid))["state"] == "STOPPED"
        await w.written()
        entries = (await w.ok("POST", "/t/history"))["entries"]
        assert sorted(one["vmid"] for one in entries if one["operation"] == "start_again") == sorted(ha)


@pytest.mark.holds("MANY-239")
async def test_vms_of_a_lost_host_are_started_in_their_order(tmp_path: Path, b: Other) -> None:
    async with together(tmp_path / "data", b) as w:
        orders = {"last": 0, "third": 7, "second": 2, "first": 1}
        vms = {await running(w, name, ha="restart", start_order=order): name for name, order in orders.items()}
        await lost(w, b)
        await confirm(w)
        await eventually(lambda: len(w.hypervisor.runs) == len(vms))
        await w.settle()
        names = {machine(w, vmid): name for vmid, name in vms.items()}
        assert [names[one] for one in w.hypervisor.runs] == ["first", "second", "third", "last"]


@pytest.mark.holds("MANY-92")
async def test_ha_tries_again_and_says_why_it_cannot_until_somebody_stops_it(tmp_path: Path, b: Other) -> None:
    async with together(tmp_path / "data", b) as w:
        w.server.services.fleet.availability.pauses = (0.0,)
        vmid, keeper = await running(w, ha="restart"), w.server.services.fleet.all()[0]
        await lost(w, b)
        await w.ok("PATCH", "/h/node", host=1, duty="draining")
        await confirm(w)
        await eventually(lambda: "started again" in getattr(keeper.progress.reason, "message", ""))
        words = (await shown(w, vmid))["reason"]["message"]
        assert "no host can have it: ask an administrator of the hosts" in words
        assert words.count("started again") == 1
        await w.ok("PUT", "/v/vm/state", vmid=vmid, state="STOPPED")
        await w.ok("PATCH", "/h/node", host=1, duty="active")
        await w.settle()
        assert (await shown(w, vmid))["wanted"] == "STOPPED"
        assert w.hypervisor.runs == {}


@pytest.mark.holds("MANY-92")
async def test_what_can_only_run_on_the_host_that_returns_starts_there_at_once(tmp_path: Path, b: Other) -> None:
    async with together(tmp_path / "data", b) as w:
        media = [{"mid": await w.medium("data", mpid=20), "mode": "VIRTIO"}]
        other = [{"mid": await w.medium("other", mpid=20), "mode": "VIRTIO"}]
        w.server.services.fleet.availability.pauses = (0.0, 1e9)
        ha, starts = (
            await running(w, "ha", ha="restart", media=media),
            await running(w, "auto", autostart=True, media=other),
        )
        await lost(w, b)
        await confirm(w)
        await w.settle()
        assert [(await shown(w, vmid))["state"] for vmid in (ha, starts)] == ["STOPPED", "STOPPED"]
        b.fake.faults.reboot(b.host)
        await eventually(lambda: {machine(w, vmid) for vmid in (ha, starts)} == b.fake.runs.keys())
        await w.settle()


@pytest.mark.holds("MANY-102")
async def test_a_host_that_answers_is_not_taken_for_dead(tmp_path: Path) -> None:
    installation = Installation(tmp_path)
    await installation.open()
    try:
        node, host = await installation.join("b")
        with pytest.raises(Refused) as raised:
            await installation.membership.lost.confirm(ConfirmDead(host=host, name="b"), "root")
        assert raised.value.problem is Problem.NODE_ANSWERS
        assert installation.hosts.deaths == {}
        await node.stop()
        now = await installation.until(host, lambda now: now.state == "unreachable")
        assert now.missing is UNSET, "it has no VM"
        await installation.membership.lost.confirm(ConfirmDead(host=host, name="b"), "root")
        assert installation.hosts.deaths[host].by == "root"
    finally:
        await installation.close()


@pytest.mark.holds("MANY-93")
async def test_ha_starts_again_what_was_killed_on_its_own_host_and_nothing_that_ended_by_itself(tmp_path: Path) -> None:
    async with together(tmp_path / "data") as w:
        killed, ended, stopped = [await running(w, name, host=1, ha="restart") for name in ("killed", "ended", "off")]
        plain = await running(w, "plain", host=1)
        for vmid in (killed, plain):
            w.hypervisor.play(machine(w, vmid), Fact.ENDED, FactCause.KILLED)
        w.hypervisor.play(machine(w, ended), Fact.ENDED, FactCause.GUEST_SHUTDOWN)
        await w.ok("PUT", "/v/vm/state", vmid=stopped, state="STOPPED", force=True)
        await eventually(lambda: len(w.hypervisor.machines.started) == 5)
        await w.settle()
        states = [(await shown(w, vmid))["state"] for vmid in (killed, ended, stopped, plain)]
        assert states == ["RUNNING", "STOPPED", "STOPPED", "STOPPED"]


@pytest.mark.holds("MANY-91")
async def test_a_server_that_restarts_after_the_word_starts_what_is_to_be_started(tmp_path: Path, b: Other) -> None:
    async with together(tmp_path / "data", b) as w:
        w.server.services.fleet.availability.pauses = (1e9,)
        vmid, fake = await running(w, ha="restart"), w.hypervisor
        await lost(w, b)
        await confirm(w)
        assert fake.runs == {}
    async with together(tmp_path / "data", b, hypervisor=fake) as w:
        await eventually(lambda: machine(w, vmid) in fake.runs)
        await w.settle()
        assert (await shown(w, vmid))["host"]["id"] == 1


@pytest.mark.holds("MANY-192")
async def test_a_silent_host_is_not_drained_of_vms_that_cannot_move(tmp_path: Path, b: Other) -> None:
    async with together(tmp_path / "data", b) as w:
        await running(w)
        await lost(w, b)
        assert await w.refused("PUT", "/h/node/drain", host=2) == (406, 62290)
        answer = await w.call("PUT", "/h/node/drain", host=2)
        assert "so its VMs cannot move: wait until it does" in answer["message"]
        assert "velocity node confirm-dead b" in answer["message"]
        assert (await w.ok("POST", "/h/node", host=2))["duty"] == "active", "nothing has changed"
