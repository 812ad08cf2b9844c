"""CPUs, memory and NICs of a VM that runs: what comes at once, what waits, what is counted, and what a crash leaves."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.api.world import World, world
from tests.patience import asked_until
from velocity.hypervisor.fake import Answer as Ends
from velocity.hypervisor.fake import FakeRun
from velocity.machines.guest import agents

pytestmark = pytest.mark.anyio

VM = "/v/vm"
NAT: dict[str, Any] = {"type": "NAT"}
BRIDGE: dict[str, Any] = {"type": "BRIDGE", "host": 5}
GROWS = {"max_cpus": 4, "max_memory_mib": 256}


async def running(w: World, **more: Any) -> tuple[int, FakeRun]:
    vmid = await w.vm(**more)
    await w.ok("PUT", "/v/vm/state", vmid=vmid, state="RUNNING")
    (run,) = w.hypervisor.runs.values()
    return vmid, run


async def waits(w: World, vmid: int) -> dict[str, str]:
    shown = await w.ok("POST", VM, vmid=vmid)
    return {field: shown["waits"][field] for field in shown["waiting"]}


async def used(w: World) -> tuple[int, int]:
    """CPUs and MiB that the root group's VMs take."""
    found = (await w.ok("POST", "/u/group/quota", gid=0))["usage"]
    return found["cpus"], found["memory_mib"]


@pytest.mark.holds("GUEST-80")
async def test_a_display_gets_another_size_at_once_where_the_guest_follows(w: World) -> None:
    screen = {"name": "screen", "width": 1280, "height": 720}
    vmid, run = await running(w, displays=[screen])
    wider = {"name": "wide", "width": 1920, "height": 1080, "ppi": 110}
    planned = await w.ok("PATCH", VM, vmid=vmid, displays=[wider], plan=True)
    assert (planned["steps"][0]["live"], planned["steps"][0].get("waits")) == (["displays"], None)
    altered = await w.ok("PATCH", VM, vmid=vmid, displays=[wider])
    assert (altered["waiting"], [(one.name, one.width) for one in run.spec.displays]) == ([], [("wide", 1920)])
    await w.ok("POST", "/v/vm/screen", vmid=vmid, display="wide")
    run.devices.lets_go = False
    altered = await w.ok("PATCH", VM, vmid=vmid, displays=[{**wider, "name": "wider", "width": 2560}])
    assert altered["waiting"] == ["displays"]
    assert altered["waits"]["displays"].startswith("wider: the guest did not follow at once")
    await w.ok("POST", "/v/vm/screen", vmid=vmid, display="wider")
    planned = await w.ok("PATCH", VM, vmid=vmid, displays=[], plan=True)
    assert planned["steps"][0]["waits"] == {"displays": "displays are added and removed at a start"}


@pytest.mark.holds("GUEST-61", "GUEST-62")
async def test_cpus_and_memory_come_at_once_and_count_from_then_on(tmp_path: Path) -> None:
    async with world(tmp_path / "data") as w:
        vmid, run = await running(w, **GROWS)
        planned = await w.ok("PATCH", VM, vmid=vmid, cpus=2, memory_mib=128, plan=True)
        (step,) = planned["steps"]
        assert (step["live"], step.get("waits")) == (["cpus", "memory_mib"], None)
        assert (run.spec.cpus, await used(w)) == (1, (1, 64))
        altered = await w.ok("PATCH", VM, vmid=vmid, cpus=2, memory_mib=128)
        assert (altered["waiting"], altered.body.get("waits"), altered.body.get("warnings")) == ([], None, None)
        assert (run.spec.cpus, run.spec.memory, await used(w)) == (2, 128, (2, 128))
        planned = await w.ok("PATCH", VM, vmid=vmid, cpus=1, memory_mib=64, max_cpus=8, plan=True)
        assert planned["steps"][0]["live"] == ["memory_mib"]
        assert planned["steps"][0]["waits"].keys() == {"cpus", "max_cpus"}
        altered = await w.ok("PATCH", VM, vmid=vmid, cpus=1, memory_mib=64, max_cpus=8)
        assert altered["waiting"] == ["cpus", "max_cpus"]
        assert "not removed" in altered["waits"]["cpus"]
        assert (run.spec.cpus, run.spec.memory, await used(w)) == (2, 64, (2, 64)), "what it has is counted"
        told = "it was started with 64 MiB, and can release only what was added since"
        planned = await w.ok("PATCH", VM, vmid=vmid, memory_mib=32, plan=True)
        assert planned["steps"][0]["waits"]["memory_mib"] == told
        altered = await w.ok("PATCH", VM, vmid=vmid, memory_mib=32)
        assert (altered["waits"]["memory_mib"], run.spec.memory) == (told, 64), "and the plan is right"
        await w.ok("PATCH", VM, vmid=vmid, memory_mib=64)
        hypervisor = w.hypervisor
    async with world(tmp_path / "data", hypervisor) as w:
        await w.settle()
        assert (await waits(w, vmid)).keys() == {"cpus", "max_cpus"}
        assert (run.spec.cpus, await used(w)) == (2, (2, 64))


@pytest.mark.holds("GUEST-94")
async def test_a_guest_is_asked_to_switch_on_cpus_that_came(w: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(agents, "LOOK", 0.0)
    vmid, _ = await running(w, **GROWS)
    known = [[{"logical-id": 0, "online": True}]]
    came = [{"logical-id": 0, "online": True}, *({"logical-id": one, "online": False} for one in (1, 2))]
    switched: list[Any] = []

    def answers(command: str, given: Mapping[str, Any]) -> Any:
        if command == "guest-get-vcpus":
            return known.pop(0) if known else came
        switched.append((command, given))
        return 2

    (machine,) = w.hypervisor.runs
    w.hypervisor.guests.agents[machine] = answers
    await w.ok("PATCH", VM, vmid=vmid, cpus=3)
    await w.server.services.fleet.agents.settle()
    wanted = [{"logical-id": one, "online": True} for one in (1, 2)]
    assert switched == [("guest-set-vcpus", {"vcpus": wanted})], "once the guest knows of them"
    w.hypervisor.guests.agents[machine] = lambda command, given: b"nonsense"
    assert (await w.ok("PATCH", VM, vmid=vmid, cpus=4))["waiting"] == []
    await w.server.services.fleet.agents.settle()


@pytest.mark.holds("GUEST-61", "GUEST-62")
@pytest.mark.parametrize(
    ("settings", "code", "field"),
    [
        ({"cpus": 3, "max_cpus": 2}, 20, "max_cpus"),
        ({"max_cpus": 9}, 20, "max_cpus"),
        ({"memory_mib": 256, "max_memory_mib": 128}, 21, "max_memory_mib"),
        ({"max_memory_mib": 4097}, 21, "max_memory_mib"),
    ],
)
async def test_a_maximum_below_what_a_vm_has_or_above_what_the_host_has_is_refused(
    w: World, settings: dict[str, int], code: int, field: str
) -> None:
    answer = await w.call("PUT", "/v/vm/efi", name="vm", gid=0, **{"cpus": 1, "memory_mib": 64, **settings})
    assert (answer.status, answer.code) == (406, 12200 + code) and field in answer["message"]
    vmid = await w.vm()
    before = (await w.ok("POST", VM, vmid=vmid)).body
    answer = await w.call("PATCH", VM, vmid=vmid, **settings)
    assert (answer.status, answer.code, answer["field"]) == (406, 16400 + code, field)
    assert (await w.ok("POST", VM, vmid=vmid)).body == before
    await w.ok("PATCH", VM, vmid=vmid, max_cpus=8, max_memory_mib=4096)
    assert await used(w) == (1, 64), "a maximum takes no quota"


@pytest.mark.holds("GUEST-61", "GUEST-62")
async def test_what_a_run_may_have_by_now_is_counted_until_it_is_known(w: World) -> None:
    vmid, run = await running(w, **GROWS)
    w.hypervisor.faults.answers.append(Ends.LOST)
    w.hypervisor.faults.hang(run.who.machine)
    own = [{**NAT, "mac": "02:00:00:00:00:0a"}]
    altered = await w.ok("PATCH", VM, vmid=vmid, cpus=4, memory_mib=256, nics=own)
    assert altered["waiting"] == ["cpus", "memory_mib", "nics"]
    await w.ok("PATCH", VM, vmid=vmid, cpus=1, memory_mib=64, nics=[])
    assert await used(w) == (4, 256)
    other = {"name": "other", "gid": 0, "cpus": 1, "memory_mib": 64, "nics": own}
    assert (await w.call("PUT", "/v/vm/efi", **other)).code == 12229, "the run may have that MAC address"
    w.hypervisor.faults.wake(run.who.machine)
    await w.settle()
    assert await waits(w, vmid) == {}
    await asked_until(lambda: used(w), lambda now: now == (1, 64), "that what may have come is known not to have")
    await w.ok("PUT", "/v/vm/efi", **other)


@pytest.mark.holds("GUEST-63", "GUEST-64")
async def test_a_nic_comes_and_goes_at_once_and_its_cable_too(tmp_path: Path) -> None:
    async with world(tmp_path / "data") as w:
        vmid, run = await running(w, nics=[NAT])
        planned = await w.ok("PATCH", VM, vmid=vmid, nics=[NAT, BRIDGE], plan=True)
        assert (planned["steps"][0]["live"], planned["steps"][0].get("waits")) == (["nics"], None)
        assert (await w.ok("PATCH", VM, vmid=vmid, nics=[NAT, BRIDGE]))["waiting"] == []
        assert [one.nic for one in run.spec.nics] == [1, 2]
        sent = [{**NAT, "link": "down"}, {**BRIDGE, "link": "up"}]
        assert (await w.ok("PATCH", VM, vmid=vmid, nics=sent))["waiting"] == []
        assert [one.up for one in run.spec.nics] == [False, True]
        assert (await w.ok("POST", VM, vmid=vmid))["nics"] == sent
        assert (await w.ok("PATCH", VM, vmid=vmid, nics=[NAT]))["waiting"] == []
        assert [(one.nic, one.up) for one in run.spec.nics] == [(1, True)]
        answer = await w.call("PATCH", VM, vmid=vmid, nics=[{**NAT, "link": "sideways"}])
        assert answer.status == 400 and "nics[0].link" in answer["message"]
        await w.ok("PATCH", VM, vmid=vmid, nics=[{**NAT, "link": "down"}])
        hypervisor = w.hypervisor
    async with world(tmp_path / "data", hypervisor) as w:
        await w.ok("PUT", "/v/vm/state", vmid=vmid, state="STOPPED", force=True)
        await w.ok("PUT", "/v/vm/state", vmid=vmid, state="RUNNING")
        (run,) = w.hypervisor.runs.values()
        assert [one.up for one in run.spec.nics] == [False], "it is out from the start on"


@pytest.mark.holds("GUEST-63")
async def test_a_nic_that_the_guest_keeps_waits_with_its_mac_address_and_goes_when_the_guest_lets_go(w: World) -> None:
    vmid, run = await running(w, nics=[])
    await w.ok("PATCH", VM, vmid=vmid, nics=[NAT])
    (one,) = (await w.ok("POST", VM, vmid=vmid))["interfaces"]
    run.devices.lets_go = False
    altered = await w.ok("PATCH", VM, vmid=vmid, nics=[])
    assert altered["waiting"] == ["nics"] and "released" in altered["waits"]["nics"]
    assert [nic.up for nic in run.spec.nics] == [False], "it is off the network at once"
    answer = await w.call(
        "PUT", "/v/vm/efi", name="other", gid=0, cpus=1, memory_mib=64, nics=[{**NAT, "mac": one["mac"]}]
    )
    assert answer.code == 12229, "its MAC address is still its own"
    w.hypervisor.let_go(run.who.machine)
    await w.settle()
    assert (await waits(w, vmid), run.spec.nics) == ({}, ())
    await w.vm("other", nics=[{**NAT, "mac": one["mac"]}])


@pytest.mark.holds("GUEST-63")
@pytest.mark.parametrize(
    ("nics", "why"),
    [
        ([], "there at the start"),
        ([{**NAT, "mac": "02:00:00:00:00:0a"}], "MAC address"),
        ([BRIDGE], "user network"),
    ],
)
async def test_what_of_a_nic_waits_for_the_next_start_is_said_before_and_after(
    w: World, nics: list[dict[str, Any]], why: str
) -> None:
    vmid, run = await running(w, nics=[NAT])
    planned = await w.ok("PATCH", VM, vmid=vmid, nics=nics, plan=True)
    assert why in planned["steps"][0]["waits"]["nics"] and "live" not in planned["steps"][0]
    altered = await w.ok("PATCH", VM, vmid=vmid, nics=nics)
    assert altered["waiting"] == ["nics"] and why in altered["waits"]["nics"]
    assert [(one.nic, one.up) for one in run.spec.nics] == [(1, bool(nics))]


@pytest.mark.holds("GUEST-63")
async def test_without_free_pci_ports_a_new_nic_waits_and_the_cure_is_named(w: World) -> None:
    vmid = await w.vm()
    await w.ok("PATCH", VM, vmid=vmid, hardware="1")
    await w.ok("PUT", "/v/vm/state", vmid=vmid, state="RUNNING")
    planned = await w.ok("PATCH", VM, vmid=vmid, nics=[NAT], plan=True)
    assert "--hardware latest" in planned["steps"][0]["waits"]["nics"]
    altered = await w.ok("PATCH", VM, vmid=vmid, nics=[NAT])
    assert "--hardware latest" in altered["waits"]["nics"]
