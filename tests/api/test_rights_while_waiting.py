"""What waits for its turn is done only if the right that it stands on is still there when its turn has come."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

import pytest

from tests.api.held import held_start
from tests.api.teams import Team
from tests.api.teams import team as team
from tests.api.world import PASSWORD, Answer, World
from tests.patience import PATIENCE, eventually

pytestmark = pytest.mark.anyio


@pytest.mark.holds("TEAM-21")
@pytest.mark.parametrize(
    ("method", "path", "fields", "refusal"),
    [
        ("PUT", "/v/vm/state", {"state": "PAUSED"}, (403, 13200)),
        ("PATCH", "/v/vm", {"name": "other"}, (403, 16400)),
        ("DELETE", "/v/vm", {}, (403, 16300)),
    ],
)
async def test_what_waits_for_its_turn_at_a_vm_is_done_only_with_the_right(
    w: World, team: Team, monkeypatch: pytest.MonkeyPatch, method: str, path: str, fields: Any, refusal: tuple[int, int]
) -> None:
    """Requests for one VM are served one at a time: rights may end meanwhile."""
    vmid = await w.vm(gid=team.gid)
    for permission in ("vm.view", "vm.state", "vm.alter", "vm.remove"):
        await team.grant(permission)
    async with held_start(w, monkeypatch, vmid) as starting:
        waiting = asyncio.create_task(w.call(method, path, team.key, vmid=vmid, **fields))
        await asyncio.sleep(0.1)
        for permission in ("vm.state", "vm.alter", "vm.remove"):
            await team.revoke(permission)
        assert not waiting.done()
    await starting
    answer = await waiting
    assert (answer.status, answer.code) == refusal
    shown = await w.ok("POST", "/v/vm", vmid=vmid)
    assert (shown["name"], shown["state"]) == ("vm", "RUNNING")


@pytest.mark.holds("TEAM-21")
async def test_what_waits_for_a_disk_is_done_only_with_the_right(
    w: World, team: Team, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A medium that is created, and one that is deleted."""
    mid = await w.medium(gid=team.gid)
    await team.grant("media.remove")
    before = w.files()
    storage = w.server.storage
    create, state, on, waiting = storage.blobs.create, storage.pools.state, asyncio.Event(), 0

    async def slow(work: Any, *what: Any, **more: Any) -> Any:
        nonlocal waiting
        waiting += 1
        await on.wait()
        return await work(*what, **more)

    monkeypatch.setattr(storage.blobs, "create", partial(slow, create))
    fields = {"mpid": 1, "gid": team.gid, "name": "late", "size": 1 << 20}
    creating = asyncio.create_task(w.call("PUT", "/m/media/create", team.key, **fields))
    await eventually(lambda: waiting == 1)
    monkeypatch.setattr(storage.pools, "state", partial(slow, state))
    deleting = asyncio.create_task(w.call("DELETE", "/m/media", team.key, mid=mid))
    await eventually(lambda: waiting == 2)
    await team.may_make_no_more()
    await team.revoke("media.remove")
    on.set()
    answers = await asyncio.gather(creating, deleting)
    assert [(one.status, one.code) for one in answers] == [(403, 8200), (403, 14300)]
    assert w.files() == before
    assert (await w.ok("POST", "/m/pool/list", gid=team.gid))["pools"][0]["used"] == 1 << 20


EVERYTHING = [
    "user.create", "user.remove", "user.assign", "user.revoke", "group.create", "group.remove", "group.view",
]  # fmt: skip
OF_PEOPLE: dict[str, Callable[[World, int, int, str], Awaitable[Answer]]] = {
    "create a user": lambda w, gid, uid, key: w.call("PUT", "/u/user", key, name="eve", password=PASSWORD, gid=gid),
    "remove a user": lambda w, gid, uid, key: w.call("DELETE", "/u/user", key, uid=uid),
    "create a group": lambda w, gid, uid, key: w.call("PUT", "/u/group", key, name="new", parent_gid=gid),
    "delete a group": lambda w, gid, uid, key: w.call("DELETE", "/u/group", key, gid=gid + 1),
    "set a quota": lambda w, gid, uid, key: w.call("PUT", "/u/group/quota", key, gid=gid + 1, cpus=1),
}


@pytest.mark.holds("TEAM-25")
@pytest.mark.parametrize("asked", OF_PEOPLE)
async def test_what_waits_for_its_turn_among_changes_of_people_is_done_only_with_the_right(
    w: World, asked: str
) -> None:
    gid = await w.group("team")
    assert await w.group("below", gid) == gid + 1
    key = await w.user("bob", *((gid, one) for one in EVERYTHING), home=gid)
    await w.user("ann", home=gid)
    bob, ann, database = await w.uid("bob"), await w.uid("ann"), threading.Event()
    held = asyncio.ensure_future(w.server.database.aside(lambda connection: database.wait(PATIENCE)))
    revoking = asyncio.ensure_future(w.call("DELETE", "/u/user/permission", uid=bob, gid=gid))
    await passed(50)
    asking = asyncio.ensure_future(OF_PEOPLE[asked](w, gid, ann, key))
    await passed(50)
    assert not revoking.done() and not asking.done()
    database.set()
    assert (await revoking).status == 200
    assert (await asking).status == 403
    await held
    assert {one["name"] for one in (await w.ok("POST", "/u/user/list"))["users"]} == {"root", "bob", "ann"}
    assert (await w.ok("POST", "/u/group/quota", gid=gid + 1))["limits"] == {}


async def passed(turns: int) -> None:
    for _ in range(turns):
        await asyncio.sleep(0)
