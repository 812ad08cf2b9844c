"""A medium moves, and is converted and compacted, while a VM runs with it."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from tests.api.images import wait
from tests.api.test_moving import CONVERT, MIB, MOVE, files, opened, shown, two, used
from tests.api.test_sick_pools import full
from tests.api.world import Answer as Reply
from tests.api.world import World
from tests.patience import PATIENCE, asked_until, eventually
from velocity.hypervisor.fake import Answer, FakeHypervisor
from velocity.hypervisor.port import Fact, FactCause
from velocity.machines.changes import mirroring

__all__ = ["two"]
pytestmark = pytest.mark.anyio


async def running(w: World, mid: str, **more: Any) -> int:
    vmid = await w.vm("web", media=[{"mid": mid, "mode": "BLOCK", **more}])
    await w.ok("PUT", "/v/vm/state", vmid=vmid, state="RUNNING")
    return vmid


def place(w: World) -> tuple[int, str]:
    """Where the disk of the run is, by the hypervisor."""
    media = next(iter(w.hypervisor.runs.values())).spec.disks[0].media
    return media.pool, media.format


async def task_of(w: World, path: str, **body: Any) -> dict[str, Any]:
    return await wait(w, await w.ok("PUT", path, **body))


@pytest.mark.holds("IMAGE-48")
async def test_a_disk_moves_and_is_converted_while_its_vm_runs(two: World, tmp_path: Path) -> None:
    w = two
    mid = await w.medium()
    vmid = await running(w, mid)
    planned = (await w.ok("PUT", MOVE, mid=mid, mpid=2, plan=True)).body
    assert planned["steps"][0]["live"] == ["mpid"], "it waits for no start"
    task = await task_of(w, MOVE, mid=mid, mpid=2)
    assert (task["state"], task["kind"], task["mid"]) == ("DONE", "move", mid), task
    assert (place(w), files(tmp_path)) == ((2, "raw"), [f"fast/{mid}.raw"])
    planned = (await w.ok("PUT", CONVERT, mid=mid, format="qcow2", plan=True)).body
    assert planned["steps"][0]["live"] == ["format"]
    task = await task_of(w, CONVERT, mid=mid, format="qcow2")
    assert (task["state"], task["kind"]) == ("DONE", "convert"), task
    assert (place(w), files(tmp_path)) == ((2, "qcow2"), [f"fast/{mid}.qcow2"])
    task = await task_of(w, CONVERT, mid=mid, format="qcow2")
    assert (task["state"], task["kind"]) == ("DONE", "compact"), task
    assert (place(w), files(tmp_path)) == ((2, "qcow2"), [f"fast/{mid}.qcow2"])
    assert (await shown(w, mid))["used_by"][0]["vmid"] == vmid and await used(w, 0) == [0, MIB]
    assert (await w.ok("POST", "/v/vm", vmid=vmid))["state"] == "RUNNING"
    await w.ok("PATCH", "/v/vm", vmid=vmid, media=[{"mid": mid, "mode": "BLOCK", "limits": {"iops": 9}}])
    assert place(w) == (2, "qcow2"), "a later change finds the disk where it is"


@pytest.mark.holds("IMAGE-49")
async def test_what_is_copied_is_kept_from_changes_and_a_cancellation_leaves_it_as_it_was(
    two: World, tmp_path: Path
) -> None:
    w = two
    mid = await w.medium()
    vmid = await running(w, mid)
    w.hypervisor.mirrors.slow = True
    tid = (await w.ok("PUT", MOVE, mid=mid, mpid=2))["tid"]
    assert (await shown(w, mid))["busy"] == "being moved" and await used(w, 0) == [MIB, MIB]
    for method, path, body, code in (
        ("PATCH", "/m/media", {"size": 2 * MIB}, 14423), ("PUT", MOVE, {"mpid": 2}, 43223),
        ("PUT", CONVERT, {"format": "qcow2"}, 42223), ("DELETE", "/m/media", {}, 14320),
    ):  # fmt: skip
        assert await w.refused(method, path, mid=mid, **body, _plan=method != "DELETE") == (409, code)
    await w.ok("DELETE", "/t/task", tid=tid)
    assert (place(w), files(tmp_path), await used(w, 0)) == ((1, "raw"), [f"media/{mid}.raw"], [MIB, 0])
    assert not next(iter(w.hypervisor.runs.values())).mirrors
    assert (await w.ok("POST", "/v/vm", vmid=vmid))["state"] == "RUNNING"


@pytest.mark.holds("IMAGE-49")
async def test_a_disk_that_is_detached_meanwhile_is_taken_out_when_it_has_moved(two: World) -> None:
    w = two
    mid = await w.medium()
    vmid = await w.vm("web", media=[{"mid": mid, "mode": "VIRTIO"}])
    await w.ok("PUT", "/v/vm/state", vmid=vmid, state="RUNNING")
    w.hypervisor.mirrors.slow = True
    body = (await w.ok("PUT", MOVE, mid=mid, mpid=2)).body
    run = next(iter(w.hypervisor.runs.values()))
    await eventually(lambda: bool(run.mirrors))
    altered = (await w.ok("PATCH", "/v/vm", vmid=vmid, media=[])).body
    assert altered["waiting"] == ["media"] and "being moved" in altered["waits"]["media"]
    w.hypervisor.mirrors.slow = False
    assert (await wait(w, body))["state"] == "DONE"
    await w.settle()
    assert run.spec.disks == () and (await w.ok("POST", "/v/vm", vmid=vmid))["waiting"] == []


@pytest.mark.holds("IMAGE-49")
@pytest.mark.parametrize("fault", ["it breaks", "it ends"])
async def test_what_fails_leaves_the_disk_where_it_was(two: World, tmp_path: Path, fault: str) -> None:
    w = two
    mid = await w.medium()
    vmid = await running(w, mid)
    w.hypervisor.mirrors.slow = True
    body = await w.ok("PUT", MOVE, mid=mid, mpid=2)
    run = next(iter(w.hypervisor.runs.values()))
    await eventually(lambda: bool(run.mirrors))
    match fault:
        case "it breaks":
            w.hypervisor.mirrors.breaks = "No space left on device"
        case _:
            w.hypervisor.play(run.who.machine, Fact.ENDED, FactCause.GUEST_SHUTDOWN)
    w.hypervisor.mirrors.slow = False
    task = await wait(w, body.body)
    assert task["state"] == "FAILED", task
    await w.settle()
    assert (files(tmp_path), await used(w, 0)) == ([f"media/{mid}.raw"], [MIB, 0])
    assert not run.mirrors or fault == "it ends"
    w.hypervisor.mirrors.breaks = None
    if fault == "it ends":
        await w.ok("PUT", "/v/vm/state", vmid=vmid, state="RUNNING")
    assert (await task_of(w, MOVE, mid=mid, mpid=2))["state"] == "DONE" and place(w) == (2, "raw")


@pytest.mark.holds("MANY-285")
@pytest.mark.parametrize("answer", [Answer.LOST, Answer.LATE])
async def test_a_complete_copy_is_not_given_up_as_its_host_does_not_respond_for_a_moment(
    two: World, tmp_path: Path, answer: Answer
) -> None:
    w = two
    mid = await w.medium()
    await running(w, mid)
    w.hypervisor.mirrors.slow = True
    body = await w.ok("PUT", MOVE, mid=mid, mpid=2)
    run = next(iter(w.hypervisor.runs.values()))
    await eventually(lambda: bool(run.mirrors))
    w.hypervisor.faults.answers += [answer]
    w.hypervisor.mirrors.slow = False
    task = await wait(w, body.body)
    assert task["state"] == "DONE", task
    await w.settle()
    assert not run.mirrors and place(w) == (2, "raw")


@pytest.mark.holds("MANY-287")
@pytest.mark.parametrize(("path", "body"), [(MOVE, {"mpid": 2}), (CONVERT, {"format": "raw"})], ids=["move", "compact"])
async def test_a_complete_copy_that_waits_for_its_host_can_be_cancelled(
    two: World, tmp_path: Path, path: str, body: dict[str, Any]
) -> None:
    w = two
    mid = await w.medium()
    await running(w, mid)
    w.hypervisor.mirrors.slow = True
    tid = (await w.ok("PUT", path, mid=mid, **body))["tid"]
    run = next(iter(w.hypervisor.runs.values()))
    await eventually(lambda: bool(run.mirrors))
    w.hypervisor.faults.answers += [Answer.LOST] * 999
    w.hypervisor.mirrors.slow = False

    async def shown_task() -> Reply:
        return await w.ok("POST", "/t/task", tid=tid)

    await asked_until(shown_task, lambda now: "waiting for host" in now.body.get("phase", ""))
    async with asyncio.timeout(PATIENCE):
        await w.ok("DELETE", "/t/task", tid=tid)
    assert (await shown_task())["state"] == "CANCELLED"
    w.hypervisor.faults.answers.clear()
    await w.settle()
    await eventually(lambda: not run.mirrors)
    assert (place(w), files(tmp_path)) == ((1, "raw"), [f"media/{mid}.raw"])


@pytest.mark.holds("MANY-220")
async def test_a_copy_that_stands_still_in_a_full_pool_fails_and_says_so(
    two: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On RBD, what is written to a full pool waits, without an error."""
    w = two
    mid = await w.medium()
    await running(w, mid)
    monkeypatch.setattr(mirroring, "STILL", 0.0)
    w.hypervisor.mirrors.slow = True
    body = await w.ok("PUT", MOVE, mid=mid, mpid=2)
    with full(tmp_path / "fast"):
        task = await wait(w, body.body)
    assert task["state"] == "FAILED" and "pool 'fast' is full" in task["message"], task
    await w.settle()
    assert (place(w), files(tmp_path), await used(w, 0)) == ((1, "raw"), [f"media/{mid}.raw"], [MIB, 0])


@pytest.mark.holds("IMAGE-50")
async def test_what_cannot_be_while_it_runs_is_said(two: World) -> None:
    w = two
    mid = await w.medium()
    await running(w, mid, readonly=True)
    answer = await w.call("PUT", MOVE, mid=mid, mpid=2)
    assert (answer.status, answer.code) == (409, 43223) and "only reads it: stop it first" in answer["message"]
    assert await w.refused("PUT", CONVERT, mid=mid, format="qcow2") == (409, 42223)
    iso = (await w.upload(bytes(4096)))["mid"]
    other = await w.vm("cd", media=[{"mid": iso, "mode": "USB"}])
    await w.ok("PUT", "/v/vm/state", vmid=other, state="RUNNING")
    assert await w.refused("PUT", MOVE, mid=iso, mpid=2) == (409, 43223)


@pytest.mark.holds("IMAGE-50")
async def test_of_a_vm_that_does_not_respond_nothing_is_begun(two: World) -> None:
    w = two
    mid = await w.medium()
    vmid = await running(w, mid)
    machine = next(iter(w.hypervisor.runs))
    w.hypervisor.faults.hang(machine)
    await w.refused("PUT", "/v/vm/state", vmid=vmid, state="PAUSED", _plan=False)
    answer = await w.call("PUT", MOVE, mid=mid, mpid=2)
    assert (answer.status, answer.code) == (409, 43223) and "does not respond" in answer["message"], answer
    w.hypervisor.faults.wake(machine)
    await w.settle()
    assert (await task_of(w, MOVE, mid=mid, mpid=2))["state"] == "DONE"


@pytest.mark.holds("IMAGE-51")
@pytest.mark.parametrize("committed", [False, True])
async def test_a_run_goes_on_with_the_file_that_the_database_says(tmp_path: Path, committed: bool) -> None:
    """The server ends while nobody knows which of the two files the run has."""
    fake = FakeHypervisor()
    async with opened(tmp_path, fake) as w:
        mid = await w.medium()
        vmid = await running(w, mid)
        run = next(iter(fake.runs.values()))
        fake.mirrors.slow = not committed
        if committed:
            fake.faults.answers += [None, None, *[Answer.LOST] * 9]
            assert (await task_of(w, MOVE, mid=mid, mpid=2))["state"] == "DONE", "what is committed is done"
        else:
            await w.ok("PUT", MOVE, mid=mid, mpid=2)
            await eventually(lambda: bool(run.mirrors))
            fake.faults.answers += [Answer.LOST] * 9
    assert run.mirrors, "it was not told"
    fake.faults.answers.clear()
    async with opened(tmp_path, fake) as w:
        await w.settle()
        assert place(w) == ((2, "raw") if committed else (1, "raw")) and not run.mirrors
        assert files(tmp_path) == [f"{'fast' if committed else 'media'}/{mid}.raw"]
        assert (await shown(w, mid))["mpid"] == (2 if committed else 1)
        assert (await w.ok("POST", "/v/vm", vmid=vmid))["state"] == "RUNNING"
