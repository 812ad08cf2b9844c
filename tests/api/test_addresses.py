"""The addresses of VMs that run, each with its source: NAT's leases, what the host hears, what guest agents say."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest

from tests.api.test_nat_addresses import HOST, streamed
from tests.api.world import World, world
from velocity.events import views
from velocity.hypervisor.fake import FakeAgent, FakeHypervisor
from velocity.hypervisor.port import HardwareProfile, NicAddress

pytestmark = pytest.mark.anyio

NAT: dict[str, Any] = {"type": "NAT"}
HARDWARE = HardwareProfile("2", "a bridge and a channel", nat_bridge=True, agent=True)
BRIDGED: dict[str, Any] = {"type": "BRIDGE", "host": 5}


async def known(w: World, vmid: int) -> list[list[tuple[str, str]]]:
    """Of each NIC."""
    answer = await w.ok("POST", "/v/vm", vmid=vmid)
    return [
        [(each["address"], each["source"]) for each in one.get("known_addresses", [])] for one in answer["interfaces"]
    ]


async def macs(w: World, vmid: int) -> list[str]:
    return [one["mac"] for one in (await w.ok("POST", "/v/vm", vmid=vmid))["interfaces"]]


async def running(w: World, **more: Any) -> int:
    vmid = await w.vm(**more)
    await w.ok("PUT", "/v/vm/state", vmid=vmid, state="RUNNING")
    return vmid


def says(agent: FakeAgent, mac: str, *addresses: str) -> None:
    listed = [{"ip-address": one, "ip-address-type": "ipv4", "prefix": 24} for one in addresses]
    nic = {"name": "eth0", "hardware-address": mac.upper(), "ip-addresses": listed}
    agent.tells["guest-network-get-interfaces"] = [nic]


async def inhabited(w: World, vmid: int) -> FakeAgent:
    agent = FakeAgent()
    w.hypervisor.guests.agents[w.server.services.fleet.get(vmid).machine.uuid] = agent
    return agent


async def listed(w: World) -> dict[str, Any]:
    (vm,) = (await w.ok("POST", "/v/vm/list", gid=0))["vms"]
    return dict(vm)


@pytest.mark.holds("NAT-12")
async def test_each_address_is_told_once_with_its_source(tmp_path: Path) -> None:
    async with world(tmp_path / "data", FakeHypervisor(dataclasses.replace(HOST, hardware=(HARDWARE,)))) as w:
        vmid = await running(w, nics=[NAT, BRIDGED])
        first, second = await macs(w, vmid)
        machine = w.server.services.fleet.get(vmid).machine.uuid
        leases = [("10.9.16.2", "lease"), ("fd00:1:2:3::2", "lease")]
        assert await known(w, vmid) == [leases, []]
        agent = await inhabited(w, vmid)
        says(agent, second, "192.0.2.9", "192.0.2.7")
        w.hypervisor.hosts.heard = [NicAddress(machine, 2, "192.0.2.7"), NicAddress(machine, 2, "fe80::1")]
        await w.server.services.addresses.look()
        assert await known(w, vmid) == [leases, [("192.0.2.7", "neighbour"), ("192.0.2.9", "agent")]]
        assert ((await listed(w))["address"], (await listed(w))["mac"]) == ("10.9.16.2", first)
        assert await streamed(w) == ["10.9.16.2", "fd00:1:2:3::2", "192.0.2.7", "192.0.2.9"]
        await w.ok("PUT", "/v/vm/state", vmid=vmid, state="STOPPED", force=True)
        assert await known(w, vmid) == [leases, []], "of a run that is over nothing is known"


@pytest.mark.holds("PAGE-93")
async def test_an_address_of_nat_is_reserved_until_the_guest_is_heard_at_it(tmp_path: Path) -> None:
    async with world(tmp_path / "data", FakeHypervisor(dataclasses.replace(HOST, hardware=(HARDWARE,)))) as w:
        vmid = await running(w, nics=[NAT])
        keeper = w.server.services.fleet.get(vmid)
        assert views.vm(keeper, w.server.services.fleet).reserved == ["10.9.16.2", "fd00:1:2:3::2"]
        w.hypervisor.hosts.heard = [NicAddress(keeper.machine.uuid, 1, "10.9.16.2")]
        await w.server.services.addresses.look()
        assert await known(w, vmid) == [[("10.9.16.2", "neighbour"), ("fd00:1:2:3::2", "lease")]]
        assert views.vm(keeper, w.server.services.fleet).reserved == ["fd00:1:2:3::2"]
        await w.ok("PUT", "/v/vm/state", vmid=vmid, state="STOPPED", force=True)
        assert await known(w, vmid) == [[("10.9.16.2", "lease"), ("fd00:1:2:3::2", "lease")]]


@pytest.mark.holds("NAT-13")
async def test_what_a_guest_says_of_addresses_is_bounded(w: World) -> None:
    vmid = await running(w, nics=[BRIDGED])
    (mac,) = await macs(w, vmid)
    agent = await inhabited(w, vmid)
    nobodys = ("127.0.0.1", "169.254.1.1", "224.0.0.1", "0.0.0.0", "fe80::1%eth0", "<b>", "\x1b[2J")
    says(agent, mac, *nobodys, *(f"192.0.2.{number}" for number in range(40)))
    await w.server.services.addresses.look()
    assert await known(w, vmid) == [[(f"192.0.2.{number}", "agent") for number in range(16)]]
    says(agent, "52:54:00:00:00:01", "192.0.2.200")
    await w.ok("POST", "/v/vm/guest", vmid=vmid)
    assert await known(w, vmid) == [[]], "a NIC that it does not have is nobody's"


async def test_changes_are_told_and_nothing_else_is(w: World) -> None:
    vmid = await running(w, nics=[BRIDGED])
    (mac,) = await macs(w, vmid)
    says(await inhabited(w, vmid), mac, "192.0.2.8", "192.0.2.7")
    told: list[int] = []
    looks = w.server.services.addresses
    w.server.services.changes.set_listener(
        lambda what, id, gid: told.append(vmid) if (what, id) == ("vm", vmid) else None
    )
    await looks.look()
    assert told == [vmid]
    says(await inhabited(w, vmid), mac, "192.0.2.7", "192.0.2.8")
    for _ in range(4):
        await looks.look()
    assert told == [vmid], "in another order they are the same"


async def test_one_without_an_agent_is_asked_less_and_less(w: World) -> None:
    vmid = await running(w, nics=[BRIDGED])
    agent, looks = await inhabited(w, vmid), w.server.services.addresses
    del agent.tells["guest-network-get-interfaces"]
    asked = []
    for _ in range(16):
        before = len(w.hypervisor.guests.asked)
        await looks.look()
        asked.append(len(w.hypervisor.guests.asked) - before)
    assert asked == [1, 1, 0, 1, 0, 0, 0, 1, *[0] * 7, 1]


async def test_a_host_that_is_lost_tells_nothing_new(w: World) -> None:
    vmid = await running(w, nics=[BRIDGED])
    machine = w.server.services.fleet.get(vmid).machine.uuid
    w.hypervisor.hosts.heard = [NicAddress(machine, 1, "192.0.2.7")]
    await w.server.services.addresses.look()
    w.hypervisor.faults.lose(w.server.services.fleet.get(vmid).who.host)
    await w.server.services.addresses.look()
    w.hypervisor.faults.heal(w.server.services.fleet.get(vmid).who.host)
    await w.settle()
    assert await known(w, vmid) == [[("192.0.2.7", "neighbour")]]
