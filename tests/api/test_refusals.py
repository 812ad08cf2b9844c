"""What refusals name: the group, as far as the caller may see it, and where else the permission is held."""

from __future__ import annotations

import asyncio
from uuid import UUID

import pytest

from tests.api.world import Answer, World
from tests.patience import eventually
from velocity.contract.machines import State
from velocity.contract.permissions import Permission
from velocity.hypervisor.fake.faults import Answer as Heard
from velocity.machines.run.keeper import Keeper
from velocity.machines.run.states import Cause

pytestmark = pytest.mark.anyio


async def said(w: World, method: str, path: str, key: str, **body: object) -> str:
    answer = await w.call(method, path, key, **body)
    assert answer.status in (401, 403), answer
    return str(answer["message"])


async def test_the_group_is_named_by_its_path(w: World) -> None:
    red = await w.group("red")
    attic = await w.group("attic", red)
    key = await w.user("rosa", (attic, "vm.view"), (red, "group.view"))
    assert (await said(w, "POST", "/m/media/list", key, gid=attic)).startswith(
        "you need velocity.media.list on red/attic: ask someone who can assign it there"
    )
    assert "velocity.group.create on red:" in await said(w, "PUT", "/u/group", key, name="x", parent_gid=red)
    assert "velocity.group.remove on red, above red/attic" in await said(w, "DELETE", "/u/group", key, gid=attic)
    assert "velocity.media.list on /:" in await said(w, "POST", "/m/media/list", key, gid=0)
    assert "you do not have velocity.vm.view on red," in await said(
        w, "PUT", "/u/user/permission", await w.user("ivan", (red, "user.assign")), uid=0, gid=red,
        permission="velocity.vm.view",
    )  # fmt: skip


async def test_where_the_permission_is_held_is_said(w: World) -> None:
    red, blue = await w.group("red"), await w.group("blue")
    key = await w.user("rosa", (red, "vm.view"), (blue, "media.list"))
    assert (await said(w, "POST", "/v/vm/list", key, gid=blue)).startswith(
        "you need velocity.vm.view on blue, and hold it on red: name that group, or ask someone who can assign it there"
    )
    assert "name one of these groups" in await said(
        w, "POST", "/v/vm/list", await w.user("otto", (red, "vm.view"), (blue, "vm.view")), gid=0
    )
    await w.ok("PUT", "/m/pool/assign", gid=blue, mpid=1, manage=True)
    medium = await w.medium("disk", gid=blue)
    assert "name that group" not in await said(
        w, "DELETE", "/m/media", await w.user("ivan", (red, "media.remove"), (blue, "media.list")), mid=medium
    ), "the medium is where it is"


async def test_the_group_of_an_object_is_named_to_those_who_see_it(w: World) -> None:
    red = await w.group("red")
    attic = await w.group("attic", red)
    await w.ok("PUT", "/m/pool/assign", gid=red, mpid=1, manage=True)
    above, inside = await w.medium("disk", gid=red), await w.medium("disk", gid=attic)
    key = await w.user("rosa", (attic, "media.list"))
    assert "velocity.media.remove on the medium's group (red/attic):" in await said(
        w, "DELETE", "/m/media", key, mid=inside
    )
    hidden = await w.call("DELETE", "/m/media", key, mid=above)
    nowhere = await w.call("DELETE", "/m/media", key, mid="00000000-0000-0000-0000-000000000000")
    assert hidden == nowhere, "she sees the group above, but not what it owns"
    assert "on the medium's group:" in hidden["message"]


async def test_a_group_that_is_not_seen_has_no_name_and_none_differs_from_it(w: World) -> None:
    red, blue = await w.group("red"), await w.group("blue")
    key = await w.user("rosa", (red, "vm.view"))
    for method, path, field in (
        ("POST", "/m/media/list", "gid"), ("PUT", "/u/group", "parent_gid"), ("DELETE", "/u/group", "gid")
    ):  # fmt: skip
        there = (await said(w, method, path, key, name="x", **{field: blue})).replace(str(blue), "ID")
        nowhere = (await said(w, method, path, key, name="x", **{field: 99})).replace("99", "ID")
        assert there == nowhere
        assert "group ID" in there
        assert "blue" not in there


VIEWS = {"velocity.vm.view", "velocity.media.list", "velocity.user.view", "velocity.user.list", "velocity.group.view"}
SECRET = "secret"


class Blind:
    """A team with things that bear secret names, and one who holds every right there but those to view."""

    async def make(self, w: World) -> Blind:
        self.above = await w.group("above")
        self.gid = await w.group("team", self.above)
        for gid in (self.above, self.gid):
            await w.ok("PUT", "/m/pool/assign", gid=gid, mpid=1, write=True, manage=True)
        blind = [one.value.removeprefix("velocity.") for one in Permission if one.value not in VIEWS]
        self.key = await w.user("blind", *((self.above, one) for one in blind))
        self.disk = await w.medium(f"{SECRET}-disk", gid=self.gid)
        self.iso = await w.medium(f"{SECRET}-iso", gid=self.gid, type="ISO")
        self.lent = await w.medium(f"{SECRET}-lent", gid=self.gid)
        self.running = await w.vm(f"{SECRET}-vm", self.gid, media=[{"mid": self.disk, "mode": "BLOCK"}])
        await w.ok("PUT", "/v/vm/state", vmid=self.running, state="RUNNING")
        self.reads = await w.vm(f"{SECRET}-reads", self.gid, media=[{"mid": self.lent, "mode": "BLOCK"}])
        self.borrower = await w.vm(f"{SECRET}-borrower", media=[{"mid": self.lent, "mode": "BLOCK", "readonly": True}])
        self.user = int((await w.ok("PUT", "/u/user", name=f"{SECRET}-user", password="12345678", gid=self.gid))["uid"])
        await w.ok("PUT", "/u/user/permission", uid=self.user, gid=self.gid, permission="velocity.vm.view")
        return self

    async def in_trash(self, w: World) -> list[int]:
        """What lies there, with a namesake that has come since."""
        await w.ok("DELETE", "/m/media", mid=await w.medium(f"{SECRET}-old", gid=self.gid))
        await w.medium(f"{SECRET}-old", gid=self.gid)
        await w.ok("DELETE", "/v/vm", vmid=await w.vm(f"{SECRET}-old", self.gid))
        await w.vm(f"{SECRET}-old", self.gid)
        return [int(one["trid"]) for one in (await w.ok("POST", "/t/trash/list"))["items"]]


@pytest.mark.holds("TEAM-17")
async def test_refusals_and_warnings_name_nothing_that_the_caller_may_not_view(w: World) -> None:
    """All that is refused because of another object than the one that was named, to one who may view none."""
    b = await Blind().make(w)
    copy = {"gid": b.gid, "mpid": 1, "name": "copy"}
    vm = {"name": "new", "gid": b.gid, "cpus": 1, "memory_mib": 64}
    tried: list[tuple[str, str, dict[str, object], int]] = [
        ("DELETE", "/m/media", {"mid": b.disk}, 14320),
        ("PUT", "/m/media/clone", {"mid": b.disk, **copy}, 22223),
        ("PUT", "/m/media/import", {"mid": b.iso, **copy}, 21222),
        ("PUT", "/v/vm/efi", {**vm, "media": [{"mid": b.disk, "mode": "BLOCK"}]}, 12228),
        ("PUT", "/v/vm/efi", {**vm, "media": [{"mid": b.iso, "mode": "USB"}]}, 200),
        ("DELETE", "/u/group", {"gid": b.gid}, 5321),
        ("DELETE", "/u/group", {"gid": b.gid, "force": True}, 5322),
        ("PATCH", "/u/user", {"uid": b.user, "password": "long enough"}, 2400),
    ]
    for number, trid in enumerate(await b.in_trash(w)):  # the VM, then the medium
        tried.append(("PUT", "/t/trash", {"trid": trid}, 25220 + number))
    lent = w.server.services.library.get(UUID(b.lent))
    with w.server.services.sources.reading(lent, "cloned to", lent):
        tried.append(("PUT", "/v/vm/state", {"vmid": b.reads, "state": "RUNNING"}, 13224))
        answers = [(await w.call(method, path, b.key, **body), expected) for method, path, body, expected in tried]
        named = [
            str((await w.call(method, path, **body)).body) for method, path, body, _ in tried if path != "/v/vm/efi"
        ]
    for answer, expected in answers:
        assert answer.body.get("code", 200) == expected, answer
        assert SECRET not in str(answer.body), answer
    assert sum("a VM that you may not see" in str(answer.body) for answer, _ in answers) >= 4
    assert sum(SECRET in one for one in named) >= 5, "those who may view them are told their names"


@pytest.mark.holds("TEAM-17")
@pytest.mark.parametrize("sees", [True, False], ids=["viewed", "not viewed"])
async def test_the_vm_of_a_request_is_called_by_its_name_by_those_who_may_view_it_and_never_by_its_id(
    w: World, sees: bool
) -> None:
    gid = await w.group("team")
    await w.vm("other", gid)
    vmid = await w.vm(SECRET, gid)
    rights = (
        "vm.state",
        "vm.remove",
        "vm.alter",
        "vm.interact",
        "vm.guest",
        "vm.create",
        *(("vm.view",) if sees else ()),
    )
    key = await w.user("ann", *((gid, right) for right in rights))
    w.hypervisor.faults.deaf = True  # to the power button
    answers: list[Answer] = []

    async def refused(method: str, path: str, code: int, **body: object) -> None:
        answer = await w.call(method, path, key, vmid=vmid, **body)
        assert answer.body.get("code") == code, answer
        answers.append(answer)

    if sees:
        await refused("POST", "/v/vm/console", 19120, kind="serial")
    await refused("PUT", "/v/vm/restart", 38220)
    await w.ok("PUT", "/v/vm/state", vmid=vmid, state="RUNNING")
    await refused("DELETE", "/v/vm", 16320)
    await refused("DELETE", "/v/vm", 16311, disks=True, leave=["5f0c6f0e-6f0b-4c53-9f6e-0d6f2b1c7a10"])
    if sees:
        await refused("POST", "/v/vm/console", 19121, kind="display", display="left")
        await refused("PUT", "/v/vm/exec", 45220, command=["true"])
        await refused("PUT", "/v/vm/clone", 39227, gid=gid, name="copy")
    await w.ok("PUT", "/v/vm/state", vmid=vmid, state="STOPPED")
    await refused("PUT", "/v/vm/state", 13220, state="RUNNING")
    called = f"VM {SECRET!r}" if sees else "a VM that you may not see"
    for answer in answers:
        assert called in answer["message"] and f"VM {vmid}" not in answer["message"], answer
        assert sees or SECRET not in str(answer.body), answer


@pytest.mark.holds("TEAM-17")
@pytest.mark.parametrize("sees", [True, False], ids=["viewed", "not viewed"])
async def test_a_forced_stop_without_a_response_names_the_vm_only_to_those_who_may_view_it(
    w: World, sees: bool
) -> None:
    """Each of those who wait for the same end is told in words of their own."""
    gid = await w.group("team")
    vmid = await w.vm(SECRET, gid)
    blind = await w.user("ann", (gid, "vm.state"))
    viewer = await w.user("bob", (gid, "vm.state"), (gid, "vm.view"))
    first, second = (viewer, blind) if sees else (blind, viewer)
    await w.ok("PUT", "/v/vm/state", vmid=vmid, state="RUNNING")
    for path, code, body in (
        ("/v/vm/state", 13230, {"state": "STOPPED", "force": True}),
        ("/v/vm/restart", 38230, {"force": True}),
    ):
        w.hypervisor.faults.answers.append(Heard.LOST)
        answers = await asyncio.gather(*(w.call("PUT", path, key, vmid=vmid, **body) for key in (first, second)))
        for key, answer in zip((first, second), answers, strict=True):
            called = f"VM {SECRET!r}" if key == viewer else "a VM that you may not see"
            assert (answer.code, answer["message"].startswith(f"{called} has not responded in time")) == (code, True)
            assert key == viewer or SECRET not in str(answer.body), answer


@pytest.mark.holds("TEAM-17")
@pytest.mark.parametrize("sees", [True, False], ids=["viewed", "not viewed"])
async def test_a_request_that_a_forced_stop_of_another_user_refuses_is_refused_in_words_for_its_own_caller(
    w: World, sees: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    gid = await w.group("team")
    vmid = await w.vm(SECRET, gid)
    blind = await w.user("ann", (gid, "vm.state"))
    viewer = await w.user("bob", (gid, "vm.state"), (gid, "vm.view"))
    waits, forces = (viewer, blind) if sees else (blind, viewer)
    faults, hold = w.hypervisor.faults, asyncio.Event()
    faults.hold = hold
    start = asyncio.create_task(w.call("PUT", "/v/vm/state", vmid=vmid, state="RUNNING"))
    await eventually(lambda: faults.held, "the start")
    asked, request_state = list[Cause](), Keeper.request_state

    async def noted(keeper: Keeper, cause: Cause) -> State:
        asked.append(cause)
        return await request_state(keeper, cause)

    monkeypatch.setattr(Keeper, "request_state", noted)
    behind = asyncio.create_task(w.call("PUT", "/v/vm/state", waits, vmid=vmid, state="RUNNING"))
    await eventually(lambda: asked, "the request behind it")
    await w.ok("PUT", "/v/vm/state", forces, vmid=vmid, state="STOPPED", force=True)
    hold.set()
    answer, _ = await asyncio.gather(behind, start)
    called = f"VM {SECRET!r}" if sees else "a VM that you may not see"
    assert answer["message"] == f"{called} was forced off before this was done: repeat the request"
