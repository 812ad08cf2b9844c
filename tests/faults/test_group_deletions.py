"""A deletion of a group by force that a crash of the server cuts at any point."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Any, ClassVar

import pytest

from tests.faults.clock import passed
from tests.faults.test_books import MIB, Books

FIRST, STEP, MOST = 2, 5, 400
"""Turns of the loop after which the server is killed: from the first on, until the deletion has ended before it is."""


class Cut(Books):
    counted: ClassVar[Counter[str]] = Counter()


async def made(books: Books, name: str) -> dict[str, Any]:
    """A group with a subgroup; in each a VM that runs, with a disk, and one that is stopped."""
    w = books.w
    gid = await w.group(name)
    gids, vmids, mids = [gid, await w.group("below", gid)], [], []
    await w.ok("PUT", "/m/pool/assign", gid=gid, mpid=2, write=True, manage=True, quota=40 * MIB)
    for one in gids:
        mids.append(await w.medium(gid=one, mpid=2))
        vmids.append(await w.vm("running", one, media=[{"mid": mids[-1], "mode": "VIRTIO"}]))
        await w.ok("PUT", "/v/vm/state", vmid=vmids[-1], state="RUNNING")
        vmids.append(await w.vm("stopped", one))
    return {"gid": gid, "gids": gids, "vmids": vmids, "mids": mids}


async def there(books: Books, team: dict[str, Any]) -> tuple[bool, int]:
    """Whether all of it is there, or nothing of it; and how many of its VMs run."""
    w, found, run = books.w, [], 0
    gids = {one["gid"] for one in (await w.ok("POST", "/u/group/list"))["groups"]}
    found += [gid in gids for gid in team["gids"]]
    for vmid in team["vmids"]:
        shown = await w.call("POST", "/v/vm", vmid=vmid)
        found.append(shown.status == 200)
        run += shown.status == 200 and shown["state"] == "RUNNING"
    found += [(await w.call("POST", "/m/media", mid=mid)).status == 200 for mid in team["mids"]]
    assert len(set(found)) == 1, "half of a group is left"
    return found[0], run


async def cut(books: Books, number: int, turns: int, *, purge: bool) -> str:
    """How it was found after the kill. Its repeat completes it, and leaves nothing of it but what is in the trash."""
    team = await made(books, f"{purge} {number}")
    ask = {"gid": team["gid"], "force": True, "purge": purge}
    deleting = asyncio.ensure_future(books.w.call("DELETE", "/u/group", **ask))
    await passed(turns)
    answered = deleting.done()
    await books.kill()
    deleting.cancel()
    await asyncio.gather(deleting, return_exceptions=True)
    await books.start()
    await books.calm_down()
    await books.balance()
    await books.holds()
    is_there, run = await there(books, team)
    assert not (answered and is_there), "what was acknowledged is undone"
    assert (await books.w.call("DELETE", "/u/group", **ask)).status == (200 if is_there else 404)
    await books.calm_down()
    await books.holds()
    assert await there(books, team) == (False, 0)
    if answered:
        return "answered"
    return f"there, {run} run" if is_there else "gone"


@pytest.mark.holds("TEAM-28")
@pytest.mark.parametrize("purge", [False, True], ids=["into the trash", "permanently"])
def test_a_deletion_by_force_that_a_crash_cuts_is_done_or_is_not_and_its_repeat_completes_it(purge: bool) -> None:
    books = Cut()
    books.begin()
    found = Counter[str]()
    try:
        for number, turns in enumerate(range(FIRST, MOST, STEP)):
            end = books.run(cut(books, number, turns, purge=purge))
            found[end] += 1
            if end == "answered":
                break
    finally:
        books.teardown()
    assert found["answered"] == 1 and sum(found.values()) >= 5, found
    assert any(end.startswith("there") and end != "there, 2 run" for end in found), "none was cut half-way"
