"""What a tree of groups costs: each listing, snapshot and deletion looks at a group a few times, however deep it is."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from tests.api.world import PASSWORD, World, world
from velocity.access.rules import Group
from velocity.contract.permissions import Permission
from velocity.store.database import Database

pytestmark = pytest.mark.anyio

GROUPS = 1536
EACH = 16
"""So often a group is looked at in one request, at most."""
TOP = 1


class Counting(dict[int, Group]):
    """Groups by their ids, and how often one was looked up."""

    count = 0

    def __getitem__(self, gid: int) -> Group:
        self.count += 1
        return super().__getitem__(gid)


@contextmanager
def lookups(w: World) -> Iterator[Counting]:
    directory = w.server.services.access.directory
    groups = directory.groups
    directory.groups = counting = Counting(groups)
    try:
        yield counting
    finally:
        directory.groups = groups


@pytest.fixture(params=[31, GROUPS])
async def deep(tmp_path: Path, request: pytest.FixtureRequest, anyio_backend: str) -> AsyncIterator[World]:
    """Under the group `top`, chains of so many groups one in the other. Older versions made them as deep as one liked.

    `ben` holds everything on `top`; `kim` holds `vm.view`, and is at home, in the lowest one, and `vm.create` on each.
    """
    depth: int = request.param
    async with world(tmp_path / "data") as w:
        await w.group("top")
        await w.user("ben", *((TOP, one.value.removeprefix("velocity.")) for one in Permission), home=TOP)
        await w.user("kim")
        await w.ok("PUT", "/m/pool/assign", gid=TOP, mpid=1, write=True, manage=True)
    database = Database(f"sqlite:///{tmp_path}/data/velocity.db")

    def work(connection: sa.Connection) -> None:
        for gid in range(TOP + 1, GROUPS + 1):
            parent = TOP if (gid - TOP) % depth == 1 else gid - 1
            row = {"gid": gid, "up": parent, "name": f"n{gid}"}
            connection.execute(sa.text("insert into groups (gid, parent_gid, name) values (:gid, :up, :name)"), row)
        made = [{"gid": gid, "pid": one.pid} for gid in range(TOP + 1, GROUPS + 1) for one in (VIEW, CREATE)]
        connection.execute(sa.text("insert into grants values (2, :gid, :pid)"), made)
        connection.execute(sa.text("update users set home = :gid where uid = 2"), {"gid": GROUPS})

    VIEW, CREATE = Permission.VM_VIEW, Permission.USER_CREATE
    database.read(work)
    await database.close()
    async with world(tmp_path / "data", signs_in=False) as w:
        yield w


async def key(w: World, uid: int) -> str:
    return (await w.server.services.access.sessions.begin(uid)).authkey


BEN: list[tuple[str, str, dict[str, Any]]] = [
    ("POST", "/u/group/list", {}),
    ("POST", "/u/user/list", {}),
    ("POST", "/u/user", {"uid": 2}),
    ("POST", "/u/why", {"operation": "remove_user", "member": 2}),
    ("POST", "/u/why", {"operation": "show_group", "gid": GROUPS, "uid": 2}),
    ("POST", "/v/vm/list", {"gid": GROUPS}),
    ("POST", "/v/vm/screen/search", {"text": "login"}),
    ("POST", "/t/trash/list", {}),
    ("POST", "/t/history", {"gid": TOP}),
    ("DELETE", "/u/user", {"uid": 2, "plan": True}),
    ("PATCH", "/u/user", {"uid": 2, "password": PASSWORD, "plan": True}),
    ("PUT", "/u/group/quota", {"gid": GROUPS, "cpus": 1, "plan": True}),
]
KIM: list[tuple[str, str, dict[str, Any]]] = [
    ("POST", "/u/group/list", {}),
    ("POST", "/u/user", {}),
    ("PUT", "/u/user", {"name": "new", "password": PASSWORD, "gid": 0}),  # refused, and told where it is held
    ("PUT", "/u/group", {"name": "new", "parent_gid": 0}),
    ("POST", "/u/why", {"operation": "remove_user", "member": 2}),
    ("POST", "/u/why", {"operation": "create_user", "gid": TOP}),
]


@pytest.mark.holds("BOUND-6")
async def test_what_is_listed_costs_a_few_looks_a_group(deep: World, say: Callable[[str], None]) -> None:
    w = deep
    keys = {1: await key(w, 1), 2: await key(w, 2), 0: await key(w, 0)}
    for number in range(20):
        made = await w.ok("PUT", "/v/vm/efi", keys[0], name=f"vm{number}", gid=GROUPS, cpus=1, memory_mib=64)
        if number % 2:
            await w.ok("DELETE", "/v/vm", keys[0], vmid=made["vmid"])
    most = 0
    for uid, requests in ((1, BEN), (2, KIM)):
        for method, path, body in requests:
            with lookups(w) as groups:
                answer = await w.call(method, path, keys[uid], **body)
            assert answer.status in (200, 403, 406), answer
            assert groups.count <= EACH * GROUPS, (uid, method, path, groups.count / GROUPS)
            assert len(json.dumps(answer.body)) < 400 * GROUPS, (uid, method, path)
            most = max(most, groups.count)
    with lookups(w) as groups:
        answer_ = await w.http.get("http://velocity/metrics", headers={"authorization": f"Bearer {keys[1]}"})
    assert answer_.status_code == 200
    assert groups.count <= EACH * GROUPS
    say(f"{GROUPS} groups: at most {most / GROUPS:.1f} looks at a group in one request")


@pytest.mark.holds("BOUND-6")
async def test_a_snapshot_costs_a_few_looks_a_group(deep: World) -> None:
    w = deep
    events = w.server.services.events
    for uid in (0, 1, 2):
        with lookups(w) as groups:
            await events.initial_states.ready(uid)
            data, _ = events.initial_states.take(uid)
        assert data.count(b'"parent_gid"') == GROUPS + 1
        assert groups.count <= EACH * GROUPS, (uid, groups.count / GROUPS)


class Held(dict[int, int]):
    """What a user holds, by group, and how often any was looked through or up."""

    count = 0

    def __iter__(self) -> Iterator[int]:
        Held.count += 1
        return super().__iter__()

    def pop(self, gid: int, default: int = 0) -> int:  # type: ignore[override]
        Held.count += 1
        return super().pop(gid, default)


@pytest.mark.holds("BOUND-43")
async def test_a_deletion_looks_through_what_a_user_holds_once_and_not_once_a_group(deep: World) -> None:
    w, access = deep, deep.server.services.access
    ben, users = access.directory.users[1], range(1000, 1064)
    for uid in users:
        access.updates.put_user(replace(ben, uid=uid, name=f"u{uid}"))
        access.directory.grants[uid] = Held({TOP: Permission.VM_VIEW.bit})
    Held.count = 0
    await w.ok("DELETE", "/u/group", await key(w, 0), gid=TOP)
    assert set(access.directory.groups) == {0} and not any(access.directory.grants[uid] for uid in users)
    assert Held.count <= 4 * len(users)
