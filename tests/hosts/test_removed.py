"""A host that is removed while something is asked of it: that is done and keeps the host, or is refused."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from tests.api.world import Answer, World
from tests.hosts.together import Other, together
from velocity.hypervisor.fake import FakeHypervisor

pytestmark = pytest.mark.anyio

STEPS = (0, 2, 6, 12)
"""Turns of the loop by which the second comes later."""
NEW = {"name": "new", "gid": 0, "cpus": 1, "memory_mib": 64, "host": 2}
ASKS: dict[str, Callable[[World, int, int], Awaitable[Answer]]] = {
    "create a VM": lambda w, vmid, trid: w.call("PUT", "/v/vm/efi", **NEW),
    "clone a VM": lambda w, vmid, trid: w.call("PUT", "/v/vm/clone", vmid=vmid, gid=0, name="copy", host=2),
    "restore a VM": lambda w, vmid, trid: w.call("PUT", "/t/trash", trid=trid),
    "move a VM": lambda w, vmid, trid: w.call("PUT", "/v/vm/host", vmid=vmid, host=2),
    "create a medium": lambda w, vmid, trid: w.call("PUT", "/m/media/create", mpid=20, gid=0, name="new", size=4096),
    "upload a medium": lambda w, vmid, trid: w.upload(b"x" * 4096, x_velocity_mpid="20"),
}


async def there(w: World) -> tuple[set[tuple[str, int]], set[tuple[str, int]]]:
    """The VMs with their hosts, and the media with their pools."""
    vms = [
        (await w.ok("POST", "/v/vm", vmid=one["vmid"])).body for one in (await w.ok("POST", "/v/vm/list", gid=0))["vms"]
    ]
    media = (await w.ok("POST", "/m/media/list", gid=0))["media"]
    return {(one["name"], one.get("host", {"id": 1})["id"]) for one in vms}, {
        (one["name"], one["mpid"]) for one in media
    }


@pytest.mark.holds("MANY-241")
@pytest.mark.parametrize("first", [True, False])
@pytest.mark.parametrize("asked", ASKS)
async def test_what_is_asked_of_a_host_that_is_being_removed_keeps_it_or_is_refused(
    asked: str, first: bool, tmp_path: Path
) -> None:
    for steps in STEPS:
        b, fake, data = Other(2, "b", (20, "fast")), FakeHypervisor(), tmp_path / f"data{steps}"
        async with together(data, b, hypervisor=fake) as w:
            vmid, gone = await w.vm("vm", host=1), await w.vm("gone", host=2)
            await w.ok("DELETE", "/v/vm", vmid=gone)
            trid = (await w.ok("POST", "/t/trash/list"))["items"][0]["trid"]
            both = [ASKS[asked](w, vmid, trid), w.call("DELETE", "/h/node", host=2)]
            begun = asyncio.ensure_future(both[0 if first else 1])
            for _ in range(steps):
                await asyncio.sleep(0)
            answers = [await both[1 if first else 0], await begun]
            assert all(one.status < 500 for one in answers), answers
            await w.settle()
            removed = 2 not in [one["host"] for one in (await w.ok("POST", "/h/node/list"))["nodes"]]
            before = await there(w)
            assert not removed or {at for one in before for _, at in one} <= {1}, "what is there is on a host"
        async with together(data, *([] if removed else [b]), hypervisor=fake) as w:
            await w.settle()
            assert await there(w) == before
