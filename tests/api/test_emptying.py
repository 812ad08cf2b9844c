"""The trash is emptied by a task of the server's, item by item, by the rights of the moment."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from tests.api.images import wait
from tests.api.world import World, world
from tests.events.page import opened
from tests.store.lossy import Lossy
from velocity.events.limits import StreamLimits
from velocity.store.tasks import SqlTasks
from velocity.store.trash import SqlTrash
from velocity.tasks.rules import Task

pytestmark = pytest.mark.anyio


async def delete(w: World, *names: str, gid: int = 0) -> None:
    """A medium of 1 MiB each."""
    for name in names:
        await w.ok("DELETE", "/m/media", mid=await w.medium(name, gid=gid))


async def left(w: World) -> dict[str, int]:
    return {one["name"]: one["trid"] for one in (await w.ok("POST", "/t/trash/list"))["items"]}


class Steps:
    """Lets the emptying that is begun within go on by one item at a time: both wait for the same turn."""

    def __init__(self, w: World) -> None:
        self._lock = w.server.services.emptying.turn

    async def __aenter__(self) -> Steps:
        await self._lock.acquire()
        return self

    async def next(self) -> None:
        self._lock.release()
        await self._lock.acquire()

    async def __aexit__(self, *_: object) -> None:
        self._lock.release()


@pytest.mark.holds("DUR-67")
async def test_only_what_the_caller_could_remove_item_by_item_is_removed(w: World) -> None:
    a, b = await w.group("a"), await w.group("b")
    for gid in (a, b):
        await w.ok("PUT", "/m/pool/assign", gid=gid, mpid=1, manage=True)
        await delete(w, f"disk {gid}", gid=gid)
        await w.ok("DELETE", "/v/vm", vmid=await w.vm(f"vm {gid}", gid))
    bob = await w.user("bob", (a, "vm.remove"), (a, "media.remove"), (b, "media.remove"))
    eve = await w.user("eve", (a, "vm.remove"), (b, "vm.view"))
    items = await left(w)
    asked = {"trids": [items[f"disk {b}"], items[f"vm {b}"], 999]}
    steps = [(one["kind"], one["name"]) for one in (await w.ok("DELETE", "/t/trash/all", bob, plan=True))["steps"]]
    assert sorted(steps) == [("medium", f"disk {a}"), ("medium", f"disk {b}"), ("vm", f"vm {a}")]
    started = await w.ok("DELETE", "/t/trash/all", bob, **asked)
    task = await wait(w, started)
    assert (task["state"], task["done"], task["total"], task["unit"]) == ("DONE", 1, 1, "items")
    assert (task["kind"], task["name"], task["message"]) == ("empty", "trash", "removed 1 of 1 items (1.0 MiB)")
    assert set(await left(w)) == {f"disk {a}", f"vm {a}", f"vm {b}"}
    assert await w.refused("POST", "/t/task", eve, tid=task["tid"]) == (403, 23100)
    assert await w.refused("DELETE", "/t/task", eve, tid=task["tid"]) == (403, 23300)
    assert (await w.ok("POST", "/t/task", bob, tid=task["tid"])).body == task, "its own needs no permission"
    assert (await w.ok("DELETE", "/t/task", bob, tid=task["tid"]))["state"] == "DONE"
    told = (await w.ok("POST", "/u/why", bob, operation="show_task", tid=task["tid"])).body
    assert (told["allowed"], told["message"]) == (True, "users need no permission to do this to what they began")
    await wait(w, await w.ok("DELETE", "/t/trash/all", bob))
    assert set(await left(w)) == {f"vm {b}"}
    assert (await wait(w, await w.ok("DELETE", "/t/trash/all", eve)))["message"] == "removed 0 of 0 items"


@pytest.mark.holds("DUR-68")
async def test_what_cannot_be_removed_ends_nothing_else_and_is_named_with_the_reason(w: World) -> None:
    a, b = await w.group("a"), await w.group("b")
    vms = [(a, "lost"), (a, "sick"), (b, "kept"), (b, "gone"), (a, "well")]
    for gid, name in vms:
        await w.ok("DELETE", "/v/vm", vmid=await w.vm(name, gid))
    key = await w.user("bob", (a, "vm.remove"), (b, "vm.remove"))
    items, uid = await left(w), await w.uid("bob")
    spoilt = "update trash set rows = replace(rows, 'cpus', 'zpus') where name = 'sick'"
    await w.server.database.aside(lambda connection: connection.execute(sa.text(spoilt)) and None)
    async with Steps(w) as steps:
        started = await w.ok("DELETE", "/t/trash/all", key)
        await steps.next()  # the newest is removed: `well`
        await steps.next()  # and `gone`
        await w.ok("DELETE", "/u/user/permission", uid=uid, gid=b, permission="velocity.vm.remove")
    task = await wait(w, started)
    assert set(await left(w)) == {"sick", "kept"}
    assert (task["state"], task["done"], task["total"]) == ("FAILED", 3, 5)
    assert task["message"] == (
        f"removed 3 of 5 items; not removed: {items['kept']} (vm): you may no longer remove it; "
        f"not removed: {items['sick']} (vm): it cannot be read: see the server's log"
    )


@pytest.mark.holds("DUR-69", "CLI-24")
async def test_it_can_be_cancelled_and_what_others_removed_meanwhile_is_no_failure(w: World) -> None:
    await delete(w, "a", "b", "c", "d")
    items = await left(w)
    async with Steps(w) as steps:
        tid = (await w.ok("DELETE", "/t/trash/all"))["tid"]
        await steps.next()
        now = (await w.ok("POST", "/t/task", tid=tid)).body
        assert (now["state"], now["done"], now["total"]) == ("RUNNING", 1, 4)
        assert (now["done_bytes"], now["total_bytes"]) == (1 << 20, 4 << 20)
        planned = await w.ok("DELETE", "/t/task", tid=tid, plan=True)
        assert [(one["do"], one["kind"], one["name"]) for one in planned["steps"]] == [("cancel", "task", "trash")]
        ended = (await w.ok("DELETE", "/t/task", tid=tid)).body
    assert (ended["state"], ended["message"]) == ("CANCELLED", "removed 1 of 4 items (1.0 MiB)")
    assert set(await left(w)) == {"a", "b", "c"}
    async with Steps(w):
        started = await w.ok("DELETE", "/t/trash/all")
        await SqlTrash(w.server.database).purge(items["a"])
    task = await wait(w, started)
    assert (task["state"], task["message"]) == ("DONE", "removed 2 of 3 items (2.0 MiB), 1 had gone already")


@pytest.mark.holds("STATE-25")
async def test_an_emptying_that_the_database_ends_says_what_was_removed_before(w: World) -> None:
    await delete(w, "a", "b", "c")
    async with Steps(w) as steps:
        started = await w.ok("DELETE", "/t/trash/all")
        await steps.next()
        database = Lossy(w.server.database)
        database.silent = True
        await steps.next()
    database.silent = False
    task = await wait(w, started)
    words = "the database does not respond: empty the trash again for what is left"
    assert (task["state"], task["message"]) == ("FAILED", f"removed 1 of 3 items (1.0 MiB); {words}")


@pytest.mark.holds("DUR-70")
async def test_a_restart_ends_it_with_what_was_removed_and_the_rest_stays(tmp_path: Path) -> None:
    async with world(tmp_path / "data") as w:
        await delete(w, "a", "b", "c")
        async with Steps(w) as steps:
            tid = (await w.ok("DELETE", "/t/trash/all"))["tid"]
            await steps.next()
            await w.server.services.tasks.close()
        crashed = Task(0, "empty", 0, 0, "trash", "items", 0)
        await SqlTasks(w.server.database).add(crashed, 0)
    async with world(tmp_path / "data") as w:
        assert set(await left(w)) == {"a", "b"}
        found: list[Any] = (await w.ok("POST", "/t/task/list", gid=0))["tasks"]
        why = "interrupted by a restart of the server: start it again for what is left"
        assert [(one["state"], one["message"]) for one in found] == [
            ("FAILED", why),
            ("FAILED", f"removed 1 of 3 items (1.0 MiB); {why}"),
        ]
        assert found[1]["tid"] == tid


@pytest.mark.holds("DUR-67")
async def test_it_costs_two_writes_more_than_the_items_one_by_one(w: World, monkeypatch: pytest.MonkeyPatch) -> None:
    writes, write = 0, type(w.server.database).write

    async def counted(self: Any, work: Any, *more: Any, **named: Any) -> Any:
        nonlocal writes
        writes += 1
        return await write(self, work, *more, **named)

    await delete(w, *map(str, range(6)))
    await w.written()
    monkeypatch.setattr(type(w.server.database), "write", counted)
    for trid in list((await left(w)).values())[:3]:
        await w.ok("DELETE", "/t/trash", trid=trid)
    await w.written()
    alone, writes = writes, 0
    await wait(w, await w.ok("DELETE", "/t/trash/all"))
    await w.written()
    assert writes <= alone + 2


@pytest.mark.holds("DUR-71")
async def test_whoever_began_it_sees_it_in_the_stream_without_a_permission(tmp_path: Path) -> None:
    async with world(tmp_path / "data", limits=StreamLimits(wake=0.0, pace={})) as w:
        await w.ok("DELETE", "/v/vm", vmid=await w.vm("vm"))
        bob, eve = await w.user("bob", (0, "vm.remove")), await w.user("eve", (0, "vm.remove"))
        streams = [(await opened(w, key))[0] for key in (bob, eve)]
        tid = (await w.ok("DELETE", "/t/trash/all", bob))["tid"]
        await w.settle()
        told: list[list[tuple[int, str]]] = [[], []]
        for stream, seen in zip(streams, told, strict=True):
            while (event := await stream.at_hand()) is not None:
                if event[0] == "set" and event[2]["kind"] == "task":
                    seen.append((event[2]["object"]["tid"], event[2]["object"]["state"]))
            await stream.leave()
        assert (told[0][-1], told[1]) == ((tid, "DONE"), [])
        for key, tasks in ((bob, [tid]), (eve, [])):
            stream, page = await opened(w, key)
            assert list(page.objects["task"]) == tasks
            await stream.leave()
