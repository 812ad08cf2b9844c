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
from velocity.machines.hosts.evacuated import Death
from velocity.store.evacuations import SqlLosses

pytestmark = pytest.mark.anyio


WAY_OUT = "wait until the host does, or prove that it is off: `velocity node confirm-dead b`"


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


@pytest.mark.holds("MANY-85", "MANY-86", "MANY-267", "MANY-271")
async def test_nothing_happens_without_proof_and_with_it_a_start_finds_another_host(tmp_path: Path, b: Other) -> None:
    async with together(tmp_path / "data", b) as w:
        vmid, off = await running(w), await w.vm("off", host=2)
        await lost(w, b)
        refused = await w.call("PUT", "/v/vm/state", vmid=vmid, state="RUNNING")
        assert (refused.code, refused["message"].endswith(WAY_OUT)) == (13230, True)
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
        assert "confirmed dead: a start" in vm["reason"]["message"], "not by whom: who sees VMs may not see users"
        assert vm["reason"]["message"].endswith("a start brings it to another host")
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
        assert f"medium {disk} is on no other host" in words
        refused = await w.call("PUT", "/v/vm/state", vmid=vmid, state="RUNNING")
        assert refused.code == 13230
        assert "which is confirmed dead" in refused["message"]
        assert "medium 'data' is on no other host" in refused["message"]
        assert (await shown(w, vmid))["host"]["id"] == 2
        assert await w.refused("DELETE", "/h/node", host=2) == (409, 57320)
        await w.ok("DELETE", "/v/vm", vmid=vmid)
        await w.ok("DELETE", "/h/node", host=2)


@pytest.mark.holds("MANY-63")
async def test_the_log_names_hosts_whoever_asked(tmp_path: Path, b: Other, caplog: pytest.LogCaptureFixture) -> None:
    """Also if that user reads only their ids."""
    caplog.set_level("INFO")
    async with together(tmp_path / "data", b) as w:
        vmid, key = await running(w), await w.user("bob", (0, "node.manage"), (0, "vm.state"), (0, "vm.view"))
        await lost(w, b)
        await w.ok("PUT", "/h/node/dead", key, host=2, name="b")
        await w.ok("PUT", "/v/vm/state", key, vmid=vmid, state="RUNNING")
        own = w.server.hosts.hosts.own.name
        assert "host 'b' was confirmed dead by" in caplog.text
        assert f"vm {vmid}: started on host {own!r}" in caplog.text


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


@pytest.mark.holds("MANY-192")
async def test_a_silent_host_is_not_drained_of_vms_that_cannot_move(tmp_path: Path, b: Other) -> None:
    async with together(tmp_path / "data", b) as w:
        await running(w)
        await lost(w, b)
        assert await w.refused("PUT", "/h/node/drain", host=2) == (406, 62290)
        answer = await w.call("PUT", "/h/node/drain", host=2)
        assert "so its VMs cannot move: wait until the host does" in answer["message"]
        assert "velocity node confirm-dead b" in answer["message"]
        assert (await w.ok("POST", "/h/node", host=2))["duty"] == "active", "nothing has changed"


@pytest.mark.holds("MANY-268")
async def test_of_a_host_that_is_confirmed_dead_nobody_is_asked_to_prove_that_again(tmp_path: Path, b: Other) -> None:
    async with together(tmp_path / "data", b) as w:
        vmid = await running(w)
        await lost(w, b)
        await confirm(w)
        moving = {"vmid": vmid, "host": 1}
        for method, path, asked in (
            ("PUT", "/h/node/drain", {"host": 2}), ("DELETE", "/h/node", {"host": 2}), ("PUT", "/v/vm/host", moving)
        ):  # fmt: skip
            refused = await w.call(method, path, **asked)
            assert refused.status in (406, 409)
            assert "confirm-dead" not in refused["message"]
            assert "start" in refused["message"], "which is what its VMs need"
