"""Ports of the host that lead to VMs: which there may be, whose they are, and what a run has of them at once."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.api.world import World, world
from velocity.hypervisor.port import ForwardSpec, NatSpec

pytestmark = pytest.mark.anyio

VM, CREATE, STATE = "/v/vm", "/v/vm/efi", "/v/vm/state"
NAT: dict[str, Any] = {"type": "NAT"}
BRIDGED: dict[str, Any] = {"type": "BRIDGE", "host": 5}
SSH: dict[str, Any] = {"host_port": 2222, "guest_port": 22}
DNS: dict[str, Any] = {"host_port": 5353, "guest_port": 53, "protocol": "udp", "host_address": "127.0.0.1"}


def led(w: World) -> list[list[ForwardSpec]]:
    """Of the one run: what leads to each of its NAT NICs."""
    (run,) = w.hypervisor.runs.values()
    return [list(nic.forwards) for nic in run.spec.nics if isinstance(nic, NatSpec)]


async def running(w: World, **more: Any) -> int:
    vmid = await w.vm(**more)
    await w.ok("PUT", STATE, vmid=vmid, state="RUNNING")
    return vmid


@pytest.mark.holds("NAT-14")
async def test_forwards_are_kept_and_led_to_the_first_nat_nic(tmp_path: Path) -> None:
    async with world(tmp_path / "data") as w:
        vmid = await running(w, nics=[BRIDGED, NAT, NAT], forwards=[SSH, DNS])
        assert (await w.ok("POST", VM, vmid=vmid))["forwards"] == [{**SSH, "protocol": "tcp"}, DNS]
        assert led(w) == [[ForwardSpec(2222, 22), ForwardSpec(5353, 53, "udp", "127.0.0.1")], []]
    async with world(tmp_path / "data") as w:
        assert (await w.ok("POST", VM, vmid=vmid))["forwards"] == [{**SSH, "protocol": "tcp"}, DNS]


@pytest.mark.holds("NAT-15")
async def test_forwards_of_a_vm_that_runs_change_at_once_and_a_plan_says_so(w: World) -> None:
    vmid = await running(w, nics=[NAT], forwards=[SSH])
    plan = await w.ok("PATCH", VM, vmid=vmid, forwards=[DNS], plan=True)
    assert plan["steps"][0]["live"] == ["forwards"]
    assert led(w) == [[ForwardSpec(2222, 22)]]
    answer = await w.ok("PATCH", VM, vmid=vmid, forwards=[DNS])
    assert (answer["waiting"], led(w)) == ([], [[ForwardSpec(5353, 53, "udp", "127.0.0.1")]])
    answer = await w.ok("PATCH", VM, vmid=vmid, forwards=[])
    assert (answer["waiting"], led(w)) == ([], [[]])


@pytest.mark.holds("NAT-15")
async def test_a_port_that_a_process_of_the_host_has_waits_and_the_others_are_there(w: World) -> None:
    vmid = await running(w, nics=[NAT])
    w.hypervisor.state.taken_ports = {2222}
    answer = await w.ok("PATCH", VM, vmid=vmid, forwards=[SSH, DNS])
    assert answer["waiting"] == ["forwards"]
    assert "2222" in answer["waits"]["forwards"]
    assert led(w) == [[ForwardSpec(5353, 53, "udp", "127.0.0.1")]]
    w.hypervisor.state.taken_ports = set()
    assert (await w.ok("PATCH", VM, vmid=vmid, notes="again"))["waiting"] == []
    assert led(w) == [[ForwardSpec(2222, 22), ForwardSpec(5353, 53, "udp", "127.0.0.1")]]


async def test_of_a_nic_that_comes_later(w: World) -> None:
    vmid = await running(w, nics=[BRIDGED])
    answer = await w.ok("PATCH", VM, vmid=vmid, nics=[BRIDGED, NAT], forwards=[SSH])
    assert (answer["waiting"], led(w)) == ([], [[ForwardSpec(2222, 22)]]), "both at once"


@pytest.mark.holds("NAT-16")
async def test_no_port_of_the_host_leads_to_two_vms(w: World) -> None:
    await w.vm("first", nics=[NAT], forwards=[SSH])
    other = {"name": "second", "gid": 0, "cpus": 1, "memory_mib": 64, "nics": [NAT]}
    for taken in (SSH, {**SSH, "guest_port": 80}, {**SSH, "host_address": "192.0.2.1"}):
        assert await w.refused("PUT", CREATE, **other, forwards=[DNS, taken]) == (409, 12260)
    answer = await w.call("PUT", CREATE, **other, forwards=[DNS, SSH])
    assert answer["field"] == "forwards[1].host_port"
    assert "'first'" in answer["message"]
    free = {**DNS, "host_address": "127.0.0.2"}
    second = await w.vm("second", nics=[NAT], forwards=[{**SSH, "protocol": "udp"}, DNS, free])
    assert await w.refused("PATCH", VM, vmid=second, forwards=[SSH]) == (409, 16460)
    assert await w.refused("PATCH", VM, vmid=second, forwards=[DNS, DNS]) == (409, 16460)
    await w.ok("PATCH", VM, vmid=second, forwards=[DNS])


async def test_whoever_may_not_see_a_vm_does_not_learn_which_one_has_a_port(w: World) -> None:
    await w.vm("secret", nics=[NAT], forwards=[SSH])
    gid = await w.group("team")
    key = await w.user("member", (gid, "vm.create"), (gid, "vm.view"))
    body = {"name": "mine", "gid": gid, "cpus": 1, "memory_mib": 64, "nics": [NAT], "forwards": [SSH]}
    answer = await w.call("PUT", CREATE, key, **body)
    assert (answer.status, answer.code) == (409, 12260)
    assert "secret" not in answer["message"]


@pytest.mark.holds("NAT-16")
async def test_what_may_not_be_forwarded(w: World) -> None:
    body = {"name": "vm", "gid": 0, "cpus": 1, "memory_mib": 64}
    assert await w.refused("PUT", CREATE, **body, nics=[BRIDGED], forwards=[SSH]) == (406, 12262)
    assert await w.refused("PUT", CREATE, **body, nics=[NAT], forwards=[{**SSH, "host_port": 1023}]) == (406, 12261)
    assert await w.refused("PUT", CREATE, **body, nics=[NAT], forwards=[{**SSH, "host_port": 8090}]) == (406, 12261)
    await w.vm("dns", nics=[NAT], forwards=[{**DNS, "host_port": 8090}])
    for wrong in ({"host_port": 0}, {"guest_port": 65536}, {"protocol": "sctp"}):
        assert await w.refused("PUT", CREATE, **body, nics=[NAT], forwards=[{**SSH, **wrong}]) == (400, 400)
    for address in ("::1", "localhost", "0.0.0.0", "1.2.3", "1.2.3.256", "1.2.3.4 "):
        wrong = {**SSH, "host_address": address}
        assert await w.refused("PUT", CREATE, **body, nics=[NAT], forwards=[wrong]) == (400, 400)
    vmid = await w.vm("vm", nics=[NAT], forwards=[SSH])
    assert await w.refused("PATCH", VM, vmid=vmid, nics=[BRIDGED]) == (406, 16462)
    many = [{"host_port": 3000 + number, "guest_port": 22} for number in range(65)]
    assert await w.refused("PATCH", VM, vmid=vmid, forwards=many) == (400, 400)


@pytest.mark.parametrize(("setting", "allowed"), [("2222", 2222), ("none", None), ("20000-20010", 20010)])
async def test_the_administrator_says_which_ports_may_be_forwarded(
    tmp_path: Path, setting: str, allowed: int | None
) -> None:
    async with world(tmp_path / "data", forward_ports=setting) as w:
        if allowed is not None:
            await w.vm("vm", nics=[NAT], forwards=[{**SSH, "host_port": allowed}])
        body = {"name": "other", "gid": 0, "cpus": 1, "memory_mib": 64, "nics": [NAT]}
        assert await w.refused("PUT", CREATE, **body, forwards=[{**SSH, "host_port": 30000}]) == (406, 12261)


async def test_a_clone_has_no_ports_of_the_host_and_the_trash_holds_none(w: World) -> None:
    vmid = await w.vm("vm", nics=[NAT], forwards=[SSH])
    await w.ok("PUT", "/v/vm/clone", vmid=vmid, gid=0, name="copy")
    await w.settle()
    assert [one["name"] for one in (await w.ok("POST", "/v/vm/list", gid=0))["vms"]] == ["vm", "copy"]
    copy = (await w.ok("POST", "/v/vm/list", gid=0))["vms"][1]["vmid"]
    assert (await w.ok("POST", VM, vmid=copy))["forwards"] == []
    await w.ok("DELETE", VM, vmid=vmid)
    await w.ok("PATCH", VM, vmid=copy, forwards=[SSH])
    (item,) = (await w.ok("POST", "/t/trash/list"))["items"]
    assert await w.refused("PUT", "/t/trash", trid=item["trid"]) == (409, 25260)
    await w.ok("PATCH", VM, vmid=copy, forwards=[])
    await w.ok("PUT", "/t/trash", trid=item["trid"])
    assert (await w.ok("POST", VM, vmid=vmid))["forwards"] == [{**SSH, "protocol": "tcp"}]


@pytest.mark.holds("NAT-20")
async def test_a_group_has_a_range_of_the_hosts_ports_for_itself_and_those_below(tmp_path: Path) -> None:
    quota, create = "/u/group/quota", CREATE
    async with world(tmp_path / "data", forward_ports="20000-29999") as w:
        team = await w.group("team")
        sub = await w.group("sub", team)
        answer = await w.ok("PUT", quota, gid=team, vms=5, forward_ports="20100-30000")
        assert answer["limits"] == {"vms": 5, "forward_ports": "20100-30000"}
        body = {"name": "vm", "gid": sub, "cpus": 1, "memory_mib": 64, "nics": [NAT]}
        for port, allowed in ((20099, False), (20100, True), (29999, True), (30000, False)):
            forwards = [{"host_port": port, "guest_port": 22}]
            if allowed:
                await w.ok("PUT", create, **{**body, "name": f"vm{port}"}, forwards=forwards)
            else:
                assert await w.refused("PUT", create, **body, forwards=forwards) == (406, 12261)
        await w.ok("PUT", quota, gid=sub, forward_ports="20100-20100")
        assert (await w.ok("POST", quota, gid=sub))["left"]["forward_ports"] == "20100-20100"
        for wrong in ("20099-20100", "30000-30001"):
            assert await w.refused("PUT", quota, gid=sub, forward_ports=wrong) == (406, 18220)
        assert await w.refused("PUT", quota, gid=team, forward_ports="20101-20200") == (406, 18220)
        for wrong in ("20100-20000", "0-5", "1-65536", "none", "5", "a-b"):
            assert await w.refused("PUT", quota, gid=sub, forward_ports=wrong) == (400, 400)
        (vm, other) = (await w.ok("POST", "/v/vm/list", gid=sub))["vms"]
        assert (await w.ok("PATCH", VM, vmid=other["vmid"], notes="what it has, stays"))["waiting"] == []
        forwards = [{"host_port": 20200, "guest_port": 22}]
        assert await w.refused("PATCH", VM, vmid=vm["vmid"], forwards=forwards) == (406, 16461)
        await w.ok("DELETE", "/u/group", gid=sub)
        (item,) = (await w.ok("POST", "/t/trash/list"))["items"]
        await w.ok("PUT", "/t/trash", trid=item["trid"])
    async with world(tmp_path / "data", forward_ports="20000-29999") as w:
        assert (await w.ok("POST", quota, gid=sub))["limits"] == {"forward_ports": "20100-20100"}
        await w.ok("PUT", quota, gid=sub)
        await w.ok("PUT", quota, gid=team)
        assert (await w.ok("POST", quota, gid=sub))["left"] == {}
