"""Each NIC has an id and a MAC address of its own, wherever it stands in the list."""

from __future__ import annotations

from typing import Any

import pytest

from tests.api.world import World

pytestmark = pytest.mark.anyio

VM, CREATE, TRASH = "/v/vm", "/v/vm/efi", "/t/trash"
NAT: dict[str, Any] = {"type": "NAT"}
BRIDGE: dict[str, Any] = {"type": "BRIDGE", "host": 5}
TRUSTED: dict[str, Any] = {**BRIDGE, "trusted": True}
OWN, OTHER = "02:00:00:00:00:0a", "02:00:00:00:00:0b"


async def shown(w: World, vmid: int) -> list[tuple[int, str]]:
    """The id and the MAC address of each NIC."""
    answer = await w.ok("POST", VM, vmid=vmid)
    assert len(answer["nics"]) == len(answer["interfaces"])
    return [(one["id"], one["mac"]) for one in answer["interfaces"]]


CHANGES: list[tuple[str, list[dict[str, Any]], list[dict[str, Any]], list[int]]] = [
    ("the first is removed", [NAT, BRIDGE], [BRIDGE], [2]),
    ("one is inserted before", [BRIDGE], [NAT, BRIDGE], [2, 1]),
    ("they change places", [NAT, BRIDGE], [BRIDGE, NAT], [2, 1]),
    ("one of three that are alike is removed by its id", [NAT, NAT, NAT], [NAT, {**NAT, "id": 3}], [1, 3]),
    ("the first of two that are alike is removed by its id", [NAT, NAT], [{**NAT, "id": 2}], [2]),
    ("of those that are alike, the first ones stay", [NAT, NAT, BRIDGE], [BRIDGE, NAT], [3, 1]),
    ("what says something else is another", [BRIDGE, NAT], [NAT, TRUSTED, NAT], [2, 1, 3]),
    ("the only one is of another type now", [NAT], [BRIDGE], [1]),
    ("one is changed in its place", [NAT, BRIDGE, NAT], [NAT, NAT, NAT], [1, 2, 3]),
    ("one is changed by its id", [NAT, BRIDGE], [{**NAT, "id": 2}], [2]),
    ("one is found by its MAC address", [NAT, {**NAT, "mac": OWN}], [{**BRIDGE, "mac": OWN.upper()}], [2]),
    ("one is given a MAC address in its place", [NAT, NAT], [{**NAT, "mac": OWN}, NAT], [1, 2]),
    ("one comes with a MAC address", [NAT, NAT], [{**NAT, "mac": OWN}, NAT, NAT], [3, 1, 2]),
    ("a chosen MAC address is kept when it is not said", [{**NAT, "mac": OWN}], [NAT], [1]),
    ("one that was made is meant, and not one that was chosen", [{**NAT, "mac": OWN}, NAT], [NAT], [2]),
    ("all are removed", [NAT, NAT], [], []),
]


@pytest.mark.holds("GUEST-32")
@pytest.mark.parametrize(("what", "before", "after", "ids"), CHANGES, ids=[what for what, *_ in CHANGES])
async def test_a_nic_keeps_its_mac_address_wherever_it_stands(
    w: World, what: str, before: list[dict[str, Any]], after: list[dict[str, Any]], ids: list[int]
) -> None:
    vmid = await w.vm("vm", nics=before)
    had = dict(await shown(w, vmid))
    assert list(had) == list(range(1, len(before) + 1)) and len(set(had.values())) == len(had)
    plan = await w.ok("PATCH", VM, vmid=vmid, nics=after, plan=True)
    assert dict(await shown(w, vmid)) == had
    await w.ok("PATCH", VM, vmid=vmid, nics=after)
    now = await shown(w, vmid)
    assert [one for one, _ in now] == ids
    for (one, mac), said in zip(now, after, strict=True):
        assert mac == said.get("mac", had.get(one, mac)).lower()
    assert (await w.ok("POST", VM, vmid=vmid))["nics"] == after, "they read back as they were sent"
    told = [change for step in plan["steps"] for change in step["changes"] if change["field"] == "interfaces"]
    assert [[(one["id"], one["mac"]) for one in change["new"]] for change in told] in ([now], []), "and as planned"
    assert bool(told) == (now != list(had.items()))


@pytest.mark.holds("GUEST-32")
async def test_an_id_is_given_once_and_the_guest_sees_the_nic_at_its_own_place(w: World) -> None:
    vmid = await w.vm("vm", nics=[NAT] * 8)
    first = await shown(w, vmid)
    await w.ok("PATCH", VM, vmid=vmid, nics=[{**NAT, "id": one} for one in (2, 5)])
    await w.ok("PATCH", VM, vmid=vmid, nics=[*({**NAT, "id": one} for one in (2, 5)), *[NAT] * 6])
    ids = [one for one, _ in await shown(w, vmid)]
    assert ids[:2] == [2, 5] and min(ids[2:]) > 8 and len({(one - 1) % 8 for one in ids}) == 8
    assert not {mac for _, mac in first if mac} & {mac for one, mac in await shown(w, vmid) if one > 8}
    await w.ok("PATCH", VM, vmid=vmid, cpus=2)
    assert [one for one, _ in await shown(w, vmid)] == ids
    await w.ok("PUT", "/v/vm/state", vmid=vmid, state="RUNNING")
    (run,) = w.hypervisor.runs.values()
    assert [(nic.nic, nic.mac) for nic in run.spec.nics] == await shown(w, vmid)


@pytest.mark.holds("GUEST-33")
async def test_what_waits_for_the_next_start_is_the_nics_themselves(w: World) -> None:
    vmid = await w.vm("vm", nics=[NAT, NAT])
    await w.ok("PUT", "/v/vm/state", vmid=vmid, state="RUNNING")
    for nics, waits in (
        ([{**NAT, "id": 2}, {**NAT, "id": 1, "trusted": False}], []),
        ([{**NAT, "id": 2}], ["nics"]),
        ([{**NAT, "id": 2}, NAT], ["nics"]),
    ):
        assert (await w.ok("PATCH", VM, vmid=vmid, nics=nics))["waiting"] == waits
    assert [one for one, _ in await shown(w, vmid)] == [2, 3]


@pytest.mark.holds("GUEST-34")
async def test_a_chosen_mac_address_is_of_one_nic_and_its_holder_named_to_who_may_view_it(w: World) -> None:
    gid = await w.group("a")
    bob = await w.user("bob", *((gid, f"vm.{one}") for one in ("create", "alter", "view")))
    vmid = await w.vm("holder", nics=[{**NAT, "mac": OWN.upper()}, NAT])
    made = (await shown(w, vmid))[1][1]
    body = {"gid": gid, "name": "vm", "cpus": 1, "memory_mib": 64}
    for wrong in ("", "x", OWN[:-1], OWN + ":00", OWN.replace(":", "-"), "01:00:5e:00:00:01", "ff:" * 5 + "ff",
                  "00:00:00:00:00:00", 5, "０2:00:00:00:00:0a"):  # fmt: skip
        answer = await w.call("PUT", CREATE, nics=[NAT, {**NAT, "mac": wrong}], **body)
        assert (answer.status, answer["field"]) == (400, "nics[1].mac"), wrong
        assert "MAC address such as" in answer["message"] or wrong == 5
    for key, name in ((None, "VM 'holder'"), (bob, "a VM that you may not see")):
        for taken in (OWN, made):
            assert await w.refused("PUT", CREATE, key, nics=[{**NAT, "mac": taken}], **body) == (409, 12229)
            answer = await w.call("PUT", CREATE, key, nics=[NAT, {**NAT, "mac": taken}], **body)
            assert answer["field"] == "nics[1].mac" and name in answer["message"] and taken in answer["message"]
    answer = await w.call("PUT", CREATE, nics=[{**NAT, "mac": OTHER}, {**NAT, "mac": OTHER.upper()}], **body)
    assert (answer.code, answer["field"]) == (12229, "nics[1].mac")
    other = (await w.ok("PUT", CREATE, bob, nics=[{**NAT, "mac": OTHER}], **body))["vmid"]
    assert await w.refused("PATCH", VM, bob, vmid=other, nics=[{**NAT, "mac": OWN}]) == (409, 16440)
    assert await w.refused("PATCH", VM, vmid=vmid, nics=[{**NAT, "id": 2, "mac": OWN}, {**NAT, "id": 1}]) == (
        409,
        16440,
    )
    swapped = [{**NAT, "id": 1, "mac": made}, {**NAT, "id": 2, "mac": OWN}]
    await w.ok("PATCH", VM, vmid=vmid, nics=swapped)
    assert await shown(w, vmid) == [(1, made), (2, OWN)]


@pytest.mark.holds("GUEST-34")
async def test_a_mac_address_is_taken_while_a_guest_runs_with_it_and_free_afterwards(w: World) -> None:
    vmid, other = await w.vm("a", nics=[{**NAT, "mac": OWN}]), await w.vm("b", nics=[NAT])
    await w.ok("PUT", "/v/vm/state", vmid=vmid, state="RUNNING")
    await w.ok("PATCH", VM, vmid=vmid, nics=[])
    assert await w.refused("PATCH", VM, vmid=other, nics=[{**NAT, "mac": OWN}]) == (409, 16440)
    await w.ok("PUT", "/v/vm/state", vmid=vmid, state="STOPPED", force=True)
    await w.settle()
    await w.ok("PATCH", VM, vmid=other, nics=[{**NAT, "mac": OWN}])
    assert await shown(w, other) == [(1, OWN)]


@pytest.mark.holds("GUEST-35")
async def test_ids_that_a_vm_has_not_are_refused(w: World) -> None:
    vmid = await w.vm("vm", nics=[NAT, BRIDGE])
    await w.ok("PATCH", VM, vmid=vmid, nics=[NAT])
    for nics, status, field, words in (
        ([{**NAT, "id": 2}], (404, 16412), "nics[0].id", "they are 1"),
        ([NAT, {**BRIDGE, "id": 3}], (404, 16412), "nics[1].id", "leave `id` out"),
        ([{**NAT, "id": 1}, {**BRIDGE, "id": "1"}], (400, 400), "nics[1].id", "twice"),
        ([{**NAT, "id": 0}], (400, 400), "nics[0].id", ">= 1"),
    ):
        assert await w.refused("PATCH", VM, vmid=vmid, nics=nics) == status
        answer = await w.call("PATCH", VM, vmid=vmid, nics=nics)
        assert answer["field"] == field and words in answer["message"]
    body = {"gid": 0, "name": "new", "cpus": 1, "memory_mib": 64}
    assert await w.refused("PUT", CREATE, nics=[{**NAT, "id": 1}], **body) == (404, 12212)
    assert [one for one, _ in await shown(w, vmid)] == [1]


@pytest.mark.holds("GUEST-36")
async def test_a_vm_from_the_trash_has_its_mac_addresses_again_unless_another_has_them_by_now(w: World) -> None:
    vmid = await w.vm("vm", nics=[NAT, {**NAT, "mac": OWN}])
    had = await shown(w, vmid)
    await w.ok("DELETE", VM, vmid=vmid)
    other = await w.vm("other", nics=[{**NAT, "mac": OWN}])
    (item,) = (await w.ok("POST", "/t/trash/list"))["items"]
    assert await w.refused("PUT", TRASH, trid=item["trid"]) == (409, 25229)
    assert "'other'" in (await w.call("PUT", TRASH, trid=item["trid"]))["message"]
    await w.ok("PATCH", VM, vmid=other, nics=[{**NAT, "mac": OTHER}])
    await w.ok("PUT", TRASH, trid=item["trid"])
    assert await shown(w, vmid) == had
    assert await w.refused("PATCH", VM, vmid=other, nics=[{**NAT, "mac": OWN}]) == (409, 16440)


@pytest.mark.holds("ISOLATION-16")
async def test_a_bridged_nic_poses_as_nobody_by_a_chosen_mac_address(w: World) -> None:
    gid = await w.group("a")
    held = [(gid, f"vm.{one}") for one in ("create", "alter", "view")]
    bob, dora = await w.user("bob", *held), await w.user("dora", *held, (gid, "nic.trust"))
    body = {"gid": gid, "cpus": 1, "memory_mib": 64}
    answer = await w.call("PUT", CREATE, bob, name="vm", nics=[NAT, {**BRIDGE, "mac": OWN}], **body)
    assert (answer.code, answer["field"]) == (12200, "nics[1].mac") and "velocity.nic.trust" in answer["message"]
    vmid = (await w.ok("PUT", CREATE, bob, name="vm", nics=[{**NAT, "mac": OWN}, BRIDGE], **body))["vmid"]
    made = (await shown(w, vmid))[1][1]
    for nics in (
        [{**BRIDGE, "id": 1}, BRIDGE],
        [NAT, {**BRIDGE, "id": 2, "mac": OTHER}],
        [{**BRIDGE, "mac": made.upper()}, {**NAT, "id": 2, "mac": OTHER}],
    ):
        assert await w.refused("PATCH", VM, bob, vmid=vmid, nics=nics) == (403, 16400), nics
    await w.ok("PATCH", VM, bob, vmid=vmid, nics=[NAT, {**BRIDGE, "mac": made}])
    await w.ok("PATCH", VM, dora, vmid=vmid, nics=[{**BRIDGE, "id": 1}, {**NAT, "id": 2}])
    await w.ok("PATCH", VM, bob, vmid=vmid, nics=[NAT, {**BRIDGE, "mac": OWN}])
    assert dict(await shown(w, vmid)) == {1: OWN, 2: made}
