"""What is kept of a failure, and shown to all who may view the VM, names nothing that they may not view."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.api.world import World, world
from tests.hosts.test_lost import lost
from tests.hosts.together import Other, together
from tests.patience import eventually
from velocity.access import naming
from velocity.hypervisor.fake import FakeHypervisor
from velocity.hypervisor.port import Fact, FactCause

pytestmark = pytest.mark.anyio

SECRET = "plans of the board"
LOGGED = "vm {vmid}: {what}: VM 'plans of the board' is writing to medium 'plans of the board.raw': stop it first"
"""The server's own log names everything."""


async def unable(w: World, *, runs: bool = True, **settings: Any) -> tuple[int, str, str]:
    """A VM that cannot start any more, as one of another group writes to its medium; the medium, and who sees the VM.

    `runs`: it still runs, without that medium.
    """
    other, team = await w.group("board"), await w.group("team")
    for gid in (other, team):
        await w.ok("PUT", "/m/pool/assign", gid=gid, mpid=1, write=True, manage=True)
    mid = await w.medium(f"{SECRET}.raw", gid=other)
    writer = await w.vm(SECRET, other, media=[{"mid": mid, "mode": "VIRTIO"}])
    vmid = await w.vm("web", team, **settings)
    if runs:
        await start(w, vmid)
    await start(w, writer)
    await w.ok("PATCH", "/v/vm", vmid=vmid, media=[{"mid": mid, "mode": "BLOCK", "readonly": True}])
    return vmid, mid, await w.user("bob", (team, "vm.view"))


async def start(w: World, vmid: int) -> None:
    assert (await w.ok("PUT", "/v/vm/state", vmid=vmid, state="RUNNING"))["state"] == "RUNNING"


async def check(w: World, vmid: int, mid: str, viewer: str, cause: str) -> None:
    """What is shown of it says what is wrong, by what its viewers see."""
    shown = [(await w.ok("POST", "/v/vm", key, vmid=vmid)).body for key in (viewer, w.key)]
    assert shown[0]["reason"] == shown[1]["reason"]
    assert shown[0]["reason"]["cause"] == cause, shown[0]
    assert f"another VM is writing to medium {mid}: stop it first" in shown[0]["reason"]["message"]
    assert SECRET not in str(shown[0])


@pytest.mark.holds("TEAM-30")
async def test_the_reason_why_a_vm_was_not_started_with_the_server_names_nothing_else(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    fake = FakeHypervisor()
    async with world(tmp_path / "data", fake) as w:
        vmid, mid, viewer = await unable(w, runs=False, autostart=True)
    async with world(tmp_path / "data", fake) as w:
        await w.settle()
        await check(w, vmid, mid, viewer, "autostart-failed")
        assert LOGGED.format(vmid=vmid, what="automatic start failed") in caplog.text
        refused = await w.call("PUT", "/v/vm/state", vmid=vmid, state="RUNNING")
        assert f"VM {SECRET!r} is writing to medium" in refused["message"], "who may view it is told all"


@pytest.mark.holds("TEAM-30")
async def test_the_reason_why_a_vm_was_not_started_again_names_nothing_else(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with world(tmp_path / "data") as w:
        vmid, mid, viewer = await unable(w, ha="restart")
        keeper = w.server.services.fleet.get(vmid)
        w.hypervisor.play(keeper.machine.uuid, Fact.ENDED, FactCause.KILLED)
        await eventually(lambda: "is writing to" in getattr(keeper.progress.reason, "message", ""), "a reason")
        await check(w, vmid, mid, viewer, "killed")
        assert LOGGED.format(vmid=vmid, what="it could not be started again") in caplog.text


@pytest.mark.holds("TEAM-30")
async def test_the_reason_why_a_restart_did_not_start_it_names_nothing_else(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with world(tmp_path / "data") as w:
        vmid, mid, viewer = await unable(w)
        keeper = w.server.services.fleet.get(vmid)
        await w.ok("PUT", "/v/vm/restart", vmid=vmid, force=True)
        await eventually(lambda: "is writing to" in getattr(keeper.progress.reason, "message", ""), "a reason")
        await check(w, vmid, mid, viewer, "restart-failed")
        assert LOGGED.format(vmid=vmid, what="it is not started again") in caplog.text


@pytest.mark.holds("TEAM-30")
async def test_why_a_change_waits_names_nothing_else(tmp_path: Path) -> None:
    async with world(tmp_path / "data") as w:
        vmid, mid, viewer = await unable(w)
        for key in (viewer, w.key):
            shown = (await w.ok("POST", "/v/vm", key, vmid=vmid)).body
            assert f"another VM is writing to medium {mid}: stop it first" in shown["waits"]["media"]
            assert SECRET not in str(shown)


@pytest.mark.holds("TEAM-30")
async def test_why_a_change_waits_names_nothing_else_after_a_live_move_has_looked_at_it(tmp_path: Path) -> None:
    async with world(tmp_path / "data") as w:
        vmid, mid, viewer = await unable(w)
        keeper, uid = w.server.services.fleet.get(vmid), await w.uid("root")

        async def look() -> None:
            naming.caller.set(uid)  # of whoever moves it
            await w.server.services.fleet.live.made_of(keeper)

        await keeper.alone(look)
        shown = (await w.ok("POST", "/v/vm", viewer, vmid=vmid)).body
        assert f"another VM is writing to medium {mid}: stop it first" in shown["waits"]["media"]
        assert SECRET not in str(shown)


@pytest.mark.holds("TEAM-30")
async def test_the_reason_why_a_vm_of_a_lost_host_cannot_be_started_elsewhere_names_nothing_else(
    tmp_path: Path,
) -> None:
    b = Other(2, "b", (20, "fast"))
    async with together(tmp_path / "data", b) as w:
        other, team = await w.group("board"), await w.group("team")
        for gid in (other, team):
            await w.ok("PUT", "/m/pool/assign", gid=gid, mpid=20, write=True, manage=True)
        mid = await w.medium(SECRET, gid=other, mpid=20)
        vmid = await w.vm("web", team, host=2, media=[{"mid": mid, "mode": "VIRTIO", "readonly": True}])
        await start(w, vmid)
        await lost(w, b)
        await w.ok("PUT", "/h/node/dead", host=2, name="b")
        viewer = await w.user("bob", (team, "vm.view"))
        for key in (w.key, viewer):
            reason = (await w.ok("POST", "/v/vm", key, vmid=vmid)).body["reason"]
            assert f"it cannot be started elsewhere: medium {mid} is on no other host" in reason["message"]
            assert SECRET not in str(reason)
