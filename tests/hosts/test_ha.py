"""VMs with `ha` are started again: on their own host, or elsewhere, once their host is proven dead."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.hosts.test_lost import confirm, lost, running, shown
from tests.hosts.together import Other, machine, note, smaller, together
from tests.patience import eventually
from velocity.hypervisor.attached import Duty
from velocity.hypervisor.fake import FACTS
from velocity.hypervisor.port import Fact, FactCause, HostId, Unknown
from velocity.machines.hosts import availability

pytestmark = pytest.mark.anyio


@pytest.fixture
def b() -> Other:
    return Other(2, "b", (20, "fast"))


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


@pytest.mark.holds("MANY-269")
async def test_ha_goes_to_a_host_that_has_the_memory_free(tmp_path: Path, b: Other) -> None:
    """What others than VMs use of a host is in no sum of what VMs were given."""
    c = Other(3, "c", facts=smaller(memory=FACTS.memory // 4))
    async with together(tmp_path / "data", b, c) as w:
        vmid = await running(w, ha="restart")
        w.hypervisor.hosts.free = 10
        await lost(w, b)
        await confirm(w)
        await eventually(lambda: c.runs(machine(w, vmid)))
        await w.settle()
        assert (await shown(w, vmid))["host"]["id"] == 3


@pytest.mark.holds("MANY-286")
async def test_ha_goes_past_a_host_that_does_not_tell_its_memory(tmp_path: Path, b: Other) -> None:
    async def silent(host: HostId, *, deadline: float) -> int:
        raise Unknown("it does not respond")

    c = Other(3, "c", facts=smaller(memory=FACTS.memory // 4))
    async with together(tmp_path / "data", b, c) as w:
        w.server.services.fleet.availability.pauses = (0.0, 1e9)
        vmid = await running(w, ha="restart")
        w.hypervisor.hosts.memory_free = silent  # type: ignore[method-assign]
        await lost(w, b)
        await confirm(w)
        await eventually(lambda: c.runs(machine(w, vmid)))
        await w.settle()
        assert (await shown(w, vmid))["host"]["id"] == 3


async def test_the_attempts_of_long_ago_are_forgotten(
    tmp_path: Path, b: Other, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with together(tmp_path / "data", b) as w:
        kept = w.server.services.fleet.availability
        vmid = await running(w, ha="restart")
        monkeypatch.setattr(availability, "STEADY", 0.0)
        await lost(w, b)
        await confirm(w)
        await eventually(lambda: w.hypervisor.runs)
        await w.settle()
        assert (await shown(w, vmid))["state"] == "RUNNING"
        await eventually(lambda: not kept.tries)


@pytest.mark.holds("MANY-269")
async def test_ha_that_finds_memory_nowhere_tells_who_keeps_the_server(
    tmp_path: Path, b: Other, caplog: pytest.LogCaptureFixture
) -> None:
    async with together(tmp_path / "data", b) as w:
        w.server.services.fleet.availability.pauses = (0.0, 1e9)
        vmid, keeper = await running(w, ha="restart"), w.server.services.fleet.all()[0]
        w.hypervisor.hosts.free = 10
        await lost(w, b)
        await confirm(w)
        await eventually(lambda: "started again" in getattr(keeper.progress.reason, "message", ""))
        assert "ask an administrator of the hosts" in (await shown(w, vmid))["reason"]["message"]
        assert "it has 10 MiB of memory free, and this one needs" in caplog.text


@pytest.mark.holds("MANY-270")
async def test_a_host_that_comes_or_takes_vms_again_has_what_waited_for_one_at_once(tmp_path: Path, b: Other) -> None:
    c = Other(3, "c")
    async with together(tmp_path / "data", b) as w:
        w.server.services.fleet.availability.pauses = (0.0, 1e9)
        vmid, keeper = await running(w, ha="restart"), w.server.services.fleet.all()[0]
        await lost(w, b)
        await w.ok("PATCH", "/h/node", host=1, duty="draining")
        await confirm(w)
        await eventually(lambda: "started again" in getattr(keeper.progress.reason, "message", ""))
        note(w.server.database, c.host, c.name)
        await w.server.hosts.attach(c.attached(duty=Duty.MAINTENANCE))
        await w.settle()
        assert c.fake.runs == {}
        await w.server.hosts.attach(c.attached(duty=Duty.ACTIVE))
        await eventually(lambda: c.runs(machine(w, vmid)))
        await w.settle()


@pytest.mark.holds("MANY-270")
async def test_what_starts_by_itself_and_could_not_in_maintenance_does_once_that_ends(tmp_path: Path, b: Other) -> None:
    async with together(tmp_path / "data", b) as w:
        vmid, off = await running(w, "auto", autostart=True), await w.vm("off", host=2, autostart=True)
        await w.server.hosts.attach(b.attached(duty=Duty.MAINTENANCE))
        b.fake.faults.reboot(b.host)
        keeper = w.server.services.fleet.get(vmid)
        await eventually(lambda: "in maintenance" in getattr(keeper.progress.reason, "message", ""))
        await w.server.hosts.attach(b.attached(duty=Duty.DRAINING))
        await eventually(lambda: b.runs(machine(w, vmid)))
        await w.settle()
        assert (await shown(w, off))["state"] == "STOPPED", "somebody had stopped it"
