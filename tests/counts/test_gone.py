"""What is gone takes no memory: no collection of the server grows with VMs, groups, users and media now gone."""

from __future__ import annotations

import asyncio
import inspect
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Set
from typing import Any

import pytest

from tests.api.world import World
from velocity.hypervisor.fake import FakeHypervisor

pytestmark = pytest.mark.anyio

FEW, MANY = 10, 30
PLAIN = (str, bytes, int, float, type, asyncio.AbstractEventLoop, asyncio.Future, FakeHypervisor)
"""What holds nothing else, or is not the server's own."""


def inside(one: Any) -> Iterator[tuple[str, Any]]:
    """What an object holds: a sample of a collection, as all in it are alike."""
    if isinstance(one, Mapping):
        yield from (("[]", value) for value in list(one.values())[:FEW])
    elif isinstance(one, list | tuple | Set | deque):
        yield from (("[]", value) for value in list(one)[:FEW])
    elif inspect.ismethod(one):
        yield "", one.__self__
    elif inspect.isfunction(one):
        yield from (("", value) for value in inspect.getclosurevars(one).nonlocals.values())
    elif type(one).__module__.startswith("velocity."):
        slots = (name for kind in type(one).__mro__ for name in vars(kind).get("__slots__", ()))
        names = dict.fromkeys((*getattr(one, "__dict__", ()), *slots))
        yield from ((f".{name}", getattr(one, name)) for name in names if hasattr(one, name))


def collections_of(server: object) -> dict[int, tuple[str, int]]:
    """Every collection that can be reached: id -> where it is, and its length."""
    found: dict[int, tuple[str, int]] = {}
    seen, left = {id(server)}, deque([("server", server)])
    while left:
        where, one = left.popleft()
        if isinstance(one, Mapping | list | Set | deque):
            found[id(one)] = where, len(one)
        for name, value in inside(one):
            if id(value) not in seen and not isinstance(value, PLAIN) and not inspect.ismodule(value):
                seen.add(id(value))
                left.append((where + name, value))
    return found


async def come_and_go(w: World, number: int) -> None:
    gid = await w.group(f"g{number}")
    user = await w.ok("PUT", "/u/user", name=f"u{number}", password="correct horse", gid=gid)
    await w.ok("PUT", "/u/user/permission", uid=user["uid"], gid=gid, permission="velocity.vm.view")
    await w.ok("PUT", "/u/group/quota", gid=gid, cpus=8)
    await w.ok("PUT", "/m/pool/assign", gid=gid, mpid=1, manage=True, write=True)
    mid = await w.medium(gid=gid)
    vmid = await w.vm(
        gid=gid,
        media=[{"mid": mid, "mode": "VIRTIO"}],
        nics=[{"type": "NAT"}],
        forwards=[{"host_port": 20_000, "guest_port": 80}],
        spread="apart",
    )
    for state in ("RUNNING", "PAUSED", "STOPPED"):
        await w.ok("PUT", "/v/vm/state", vmid=vmid, state=state, force=True)
    await w.ok("DELETE", "/u/user", uid=user["uid"])
    await w.ok("DELETE", "/u/group", gid=gid, purge=True)


@pytest.mark.holds("BOUND-44")
async def test_no_collection_grows_with_what_came_and_went(w: World, say: Callable[[str], None]) -> None:
    for number in range(FEW):
        await come_and_go(w, number)
    await w.settle()
    await w.written()
    before = collections_of(w.server)
    for number in range(FEW, FEW + MANY):
        await come_and_go(w, number)
    await w.settle()
    await w.written()
    after = collections_of(w.server)
    grown = [where for one, (where, size) in after.items() if size - before.get(one, ("", 0))[1] >= MANY]
    assert grown == []
    say(f"{len(after)} collections of the server, and none has grown by {MANY} VMs, groups, users and media")
