"""When nothing is under way any more: `App.settle`."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.api.world import world
from tests.events.page import opened
from velocity.events.limits import StreamLimits
from velocity.hypervisor.port import Fact, FactCause

pytestmark = pytest.mark.anyio

VMS = 12


async def test_nothing_is_left_to_serve_or_to_tell_when_it_has_settled(tmp_path: Path) -> None:
    """Of more than is told in one step of the loop: what guests did, and a task with what it made."""
    async with world(tmp_path / "data", limits=StreamLimits(wake=0.0, pace={}, rendered=2)) as w:
        for number in range(VMS):
            await w.ok("PUT", "/v/vm/state", vmid=await w.vm(f"vm{number}"), state="RUNNING")
        mid = await w.medium()
        stream, page = await opened(w, w.key)
        for machine in list(w.hypervisor.runs):
            w.hypervisor.play(machine, Fact.ENDED, FactCause.KILLED)
        await w.ok("PUT", "/m/media/clone", mid=mid, mpid=1, gid=0, name="clone")
        await w.settle()
        events = w.server.services.events
        assert not events.writer.is_due
        head = events.ring.head
        while int(page.last.split("-")[1]) < head:
            event = await stream.next()
            assert event is not None
            page.apply(event)
        assert [vm["state"] for vm in page.objects["vm"].values()] == ["STOPPED"] * VMS
        assert [task["state"] for task in page.objects["task"].values()] == ["DONE"]
        assert {medium["name"] for medium in page.objects["medium"].values()} == {"disk", "clone"}
        assert events.ring.head == head, "and nothing comes after it"
        await stream.leave()
