"""Trusted NICs: who may make them, and what becomes of them."""

from __future__ import annotations

import pytest

from tests.api.world import World
from velocity.hypervisor.port import BridgeSpec

pytestmark = pytest.mark.anyio

TRUSTED, PLAIN = {"type": "BRIDGE", "host": 5, "trusted": True}, {"type": "BRIDGE", "host": 5}
CREATE, VM = "/v/vm/efi", "/v/vm"


@pytest.mark.holds("ISOLATION-11")
async def test_a_nic_is_made_trusted_by_who_may_make_it_so(w: World) -> None:
    gid = await w.group("a")
    held = [(gid, name) for name in ("vm.create", "vm.alter", "vm.view")]
    bob, dora = await w.user("bob", *held), await w.user("dora", *held, (gid, "nic.trust"))
    body = {"gid": gid, "cpus": 1, "memory_mib": 64}
    for nics in ([TRUSTED], [PLAIN, TRUSTED], [{"type": "NAT", "trusted": True}]):
        answer = await w.call("PUT", CREATE, bob, name="vm", nics=nics, **body)
        assert (answer.status, answer.code) == (401, 12200)
        assert answer["field"] == f"nics[{len(nics) - 1}].trusted"
        assert "velocity.nic.trust" in answer["message"]
    plain = (await w.ok("PUT", CREATE, bob, name="plain", nics=[{**PLAIN, "trusted": False}], **body))["vmid"]
    assert await w.refused("PATCH", VM, bob, vmid=plain, nics=[TRUSTED]) == (403, 16400)
    assert (await w.ok("POST", VM, bob, vmid=plain))["nics"] == [{**PLAIN, "trusted": False}]
    await w.ok("PATCH", VM, dora, vmid=plain, nics=[TRUSTED])
    assert (await w.ok("POST", VM, bob, vmid=plain))["nics"] == [TRUSTED]


@pytest.mark.holds("ISOLATION-11")
async def test_what_is_trusted_stays_so_and_no_more_becomes_so(w: World) -> None:
    gid = await w.group("a")
    bob = await w.user("bob", (gid, "vm.alter"), (gid, "vm.view"))
    vmid = await w.vm("vm", gid, nics=[{"type": "NAT"}, TRUSTED])
    await w.ok("PATCH", VM, bob, vmid=vmid, cpus=2)
    await w.ok("PATCH", VM, bob, vmid=vmid, nics=[TRUSTED, PLAIN])
    assert await w.refused("PATCH", VM, bob, vmid=vmid, nics=[TRUSTED, TRUSTED]) == (403, 16400)
    assert await w.refused("PATCH", VM, bob, vmid=vmid, nics=[{"type": "NAT", "trusted": True}]) == (403, 16400)
    await w.ok("PATCH", VM, bob, vmid=vmid, nics=[PLAIN])
    assert await w.refused("PATCH", VM, bob, vmid=vmid, nics=[TRUSTED]) == (403, 16400), "it is so no more"


async def test_the_host_is_told_which_nics_are_trusted(w: World) -> None:
    vmid = await w.vm("vm", nics=[PLAIN, TRUSTED, {**PLAIN, "trusted": False}])
    await w.ok("PUT", "/v/vm/state", vmid=vmid, state="RUNNING")
    (run,) = w.hypervisor.runs.values()
    assert [isinstance(nic, BridgeSpec) and nic.trusted for nic in run.spec.nics] == [False, True, False]
