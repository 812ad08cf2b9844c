"""`plan: true` on every change: what it would do and take is told, and nothing is done; then it is, as was told.

That what refuses a change refuses its plan alike is asked wherever a test has a refusal (`World.refused`).
"""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from tests.api.all_changes import CASES
from tests.api.changes import CHANGES, Case, Prepare
from tests.api.images import wait
from tests.api.media_changes import hang
from tests.api.people_changes import of_team, team
from tests.api.test_history import entries
from tests.api.test_idempotency import VM, send
from tests.api.test_transfers import TUS, begin, metadata
from tests.api.test_transfers import send as send_tus
from tests.api.world import Answer, World
from tests.patience import asked_until
from velocity.contract.media import UPLOAD
from velocity.contract.operation import Operation

pytestmark = pytest.mark.anyio


@pytest.fixture
async def w(w: World) -> World:
    """What VMs take is not measured: on a busy host, that fell between two looks."""
    await w.server.services.metrics.close()
    return w


# What there is


async def rows(w: World) -> dict[str, list[str]]:
    """All that is in the database, but the history, and the number of the last transaction, which that counts up."""

    def read(connection: Connection) -> dict[str, list[str]]:
        tables = set(sa.inspect(connection).get_table_names()) - {"history", "leadership"}
        return {
            name: sorted(map(repr, connection.execute(sa.text(f"select * from {name}")).all()))  # noqa: S608
            for name in tables
        }

    return await w.server.database.aside(read)


async def objects(w: World) -> dict[tuple[str, str], dict[str, Any]]:
    """All that the API shows to root: (kind, id) -> its fields."""
    found: dict[tuple[str, str], dict[str, Any]] = {}
    for user in (await w.ok("POST", "/u/user/list"))["users"]:
        found["user", str(user["uid"])] = (await w.ok("POST", "/u/user", uid=user["uid"])).body
    for group in (await w.ok("POST", "/u/group/list"))["groups"]:
        gid = group["gid"]
        quota = (await w.ok("POST", "/u/group/quota", gid=gid)).body
        found["group", str(gid)] = (await w.ok("POST", "/u/group", gid=gid)).body | quota["limits"]
        for vm in (await w.ok("POST", "/v/vm/list", gid=gid))["vms"]:
            found["vm", str(vm["vmid"])] = (await w.ok("POST", "/v/vm", vmid=vm["vmid"])).body
        for medium in (await w.ok("POST", "/m/media/list", gid=gid))["media"]:
            found["medium", medium["mid"]] = medium | {"gid": gid}
        for pool in (await w.ok("POST", "/m/pool/list", gid=gid))["pools"]:
            del pool["free"]  # what else is on the disk of the test
            found["pool", f"{pool['mpid']} of {gid}"] = pool
        for task in (await w.ok("POST", "/t/task/list", gid=gid))["tasks"]:
            found["task", str(task["tid"])] = task
    for item in (await w.ok("POST", "/t/trash/list"))["items"]:
        found["trash", str(item["trid"])] = item
    for node in (await w.ok("POST", "/h/node/list"))["nodes"]:
        found["host", str(node["host"])] = {name: node[name] for name in ("name", "state", "duty", "labels")}
    for session in w.server.services.access.sessions.all():
        found["session", session.hash.hex()] = {"name": "", "uid": session.uid}
    return found


def counts(w: World) -> dict[tuple[str, int], int]:
    """What is counted in memory for each group with all below it."""
    services = w.server.services
    taken = {
        (name, gid): count
        for gid, used in services.access.directory.quotas.used.items()
        for name, count in vars(used).items()
    }
    declared: Counter[tuple[str, int]] = Counter()
    for (gid, _), count in services.quotas.all_used().items():
        declared["bytes", gid] += count
    return taken | dict(declared)


async def state(w: World) -> list[Any]:
    services = w.server.services
    kept = (services.reservations.taken(), set(services.library.returning), set(services.directory.leaving))
    taken = {key: count for key, count in counts(w).items() if count}
    return [await rows(w), w.files(), await objects(w), taken, w.server.services.fleet.claims.names(), kept]


# Planned, and then done


async def carry_out(w: World, operation: Operation[Any, Any], case: Case, *, plan: bool) -> Answer:
    if operation is UPLOAD:
        sent = {**case.body, "x_velocity_plan": "true"} if plan else case.body
        return await w.upload(b"" if plan else case.content, **sent)
    body = case.body | ({"plan": True} if plan else {})
    return await w.call(operation.method.name, operation.path, case.key, **body)


def test_every_change_has_a_case() -> None:
    assert {name for name, _ in CASES} == set(CHANGES)


@pytest.mark.holds("DUR-18")
@pytest.mark.parametrize(
    ("name", "prepare"), CASES, ids=[f"{number}-{prepare.__name__}" for number, (_, prepare) in enumerate(CASES)]
)
async def test_a_plan_changes_nothing_and_tells_what_is_done(w: World, name: str, prepare: Prepare) -> None:
    operation = CHANGES[name]
    case = await prepare(w)
    before = await state(w)
    started = list(w.hypervisor.machines.started)
    planned = await carry_out(w, operation, case, plan=True)
    assert (planned.status, planned["plan"]) == (200, True), planned
    assert [(one["do"], one["kind"], one["name"]) for one in planned["steps"]] == case.steps
    assert planned["consumes"] == case.consumes
    assert await state(w) == before
    assert w.hypervisor.machines.started == started
    had, held = counts(w), await objects(w)
    done = await carry_out(w, operation, case, plan=False)
    assert done.status == 200, done
    if "tid" in done.body and name != "cancel_task":
        assert (await wait(w, done))["state"] == "DONE"
    if ("stop", "vm", "vm") in case.steps or name == "restart_vm":  # the guest hears the button, and ends
        last = STATES[case.steps[-1][0]]
        await asked_until(lambda: w.ok("POST", "/v/vm/state", vmid=case.body["vmid"]), lambda vm: vm["state"] == last)
    agrees(planned.body, held, await objects(w))
    if case.size_unknown:
        assert "not known" in planned["warnings"][0]
    else:
        counted(planned["consumes"], had, counts(w), held | await objects(w))
    if not planned["steps"]:
        assert await state(w) == before, "what would change nothing did not"


Objects = dict[tuple[str, str], dict[str, Any]]
GONE, COME = {"delete", "purge"}, {"create", "restore"}
STATES = {"start": "RUNNING", "resume": "RUNNING", "pause": "PAUSED", "stop": "STOPPED", "kill": "STOPPED"}


def agrees(plan: dict[str, Any], before: Objects, after: Objects) -> None:
    """What has come, gone and changed is what the steps told."""
    kinds = {"vm", "medium", "group", "user", "host"}
    come = sorted((kind, after[kind, id]["name"]) for kind, id in after.keys() - before.keys() if kind in kinds)
    gone = sorted((kind, before[kind, id]["name"]) for kind, id in before.keys() - after.keys() if kind in kinds)
    steps = plan["steps"]
    assert come == sorted((one["kind"], one["name"]) for one in steps if one["do"] in COME and one["kind"] in kinds)
    there = [one for one in steps if one["do"] in GONE and (one["kind"], str(one.get("id"))) in before]
    assert gone == sorted((one["kind"], one["name"]) for one in there)
    trashed = {before.get(key, after.get(key))["name"] for key in after.keys() ^ before.keys() if key[0] == "trash"}  # type: ignore[index]
    for number, step in enumerate(steps):
        key = (step["kind"], str(step.get("id")))
        match step["do"]:
            case "delete" if step["kind"] in ("vm", "medium", "group"):
                assert trashed, "it can be had back"
            case "purge":
                assert bool(trashed) is (step not in there), "nothing of it is in the trash"
            case "create" if step["kind"] == "session":
                assert len(keys(after, "session")) == len(keys(before, "session")) + 1
            case "restore":
                assert key in after, "it has its id again"
            case "change" | "assign" | "grant" | "revoke":
                changed(step, before, after)
            case "cancel" if step["kind"] == "task":
                assert after[key]["state"] == "CANCELLED"
            case do if do in STATES and key in after and number == len(steps) - 1:
                assert after[key]["state"] == STATES[do]


def keys(objects: Objects, kind: str) -> set[tuple[str, str]]:
    return {key for key in objects if key[0] == kind}


def changed(step: dict[str, Any], before: Objects, after: Objects) -> None:
    """Each field that is told was that before, and is this after."""
    sessions = [keys(before, "session"), keys(after, "session")]
    key = (step["kind"], str(step.get("id")))
    match step["kind"]:
        case "session":
            assert sessions[0] != sessions[1]
            return
        case "pool":
            key = ("pool", f"{step['id']} of {step['gid']}")
        case "user" if step["do"] == "change":
            assert "old" not in step["changes"][0] and "new" not in step["changes"][0], "no password is told"
            assert before[key]["revision"] != after[key]["revision"]
            return
    for field_ in step.get("changes", []):
        for side, objects in (("old", before), ("new", after)):
            shown = objects.get(key, {}).get(field_["field"])
            if step["kind"] == "user":
                held = [one for one in objects[key]["memberships"] if one["gid"] == step["gid"]]
                shown = [one["name"] for membership in held for one in membership["permissions"]] or None
            assert shown == field_.get(side), (step, side)
    if step["do"] == "revoke" and step["kind"] == "pool":
        assert key in before and key not in after


def counted(
    consumes: list[dict[str, int]], before: dict[tuple[str, int], int], after: dict[tuple[str, int], int], all_: Objects
) -> None:
    """What each group that is left has more, or less, is what it and those below it were told to take."""
    parents = {int(id): one["parent_gid"] for (kind, id), one in all_.items() if kind == "group"}
    expected: dict[tuple[str, int], int] = {}
    for one in consumes:
        for name in one.keys() - {"gid", "mpid"}:
            gid = one["gid"]
            while True:
                expected[name, gid] = expected.get((name, gid), 0) + one[name]
                if gid == parents[gid]:
                    break
                gid = parents[gid]
    assert {key: count for key, count in expected.items() if count and key in after} == {
        key: after[key] - before.get(key, 0) for key in after if after[key] != before.get(key, 0)
    }


# What else holds of plans


async def test_a_forced_deletion_stops_no_vm_while_it_is_planned(w: World) -> None:
    top, low = await team(w)
    (run,) = w.hypervisor.runs.values()
    plan = await w.ok("DELETE", "/u/group", gid=top, force=True, plan=True)
    assert plan["steps"][0]["do"] == "kill"
    assert list(w.hypervisor.runs.values()) == [run]
    (vm,) = (await w.ok("POST", "/v/vm/list", gid=low))["vms"]
    assert vm["state"] == "RUNNING"
    assert await w.refused("DELETE", "/u/group", gid=top) == (409, 5321)


async def test_what_is_under_way_in_a_group_ends_with_it(w: World) -> None:
    """An upload and a task: their bytes are free again."""
    top, low = await team(w, "STOPPED")
    (medium,) = (await w.ok("POST", "/m/media/list", gid=low))["media"]

    hangs = hang(w)
    await w.ok("PUT", "/m/media/clone", mid=medium["mid"], gid=low, mpid=1, name="made")
    await hangs.wait()
    await begin(w, 1000, gid=low, name="half")
    before, had = await state(w), counts(w)
    plan = await w.ok("DELETE", "/u/group", gid=top, plan=True)
    steps = [(one["do"], one["kind"], one["name"]) for one in plan["steps"]]
    assert sorted(steps) == sorted([("cancel", "medium", "half"), ("cancel", "task", "made"), *of_team("delete")])
    assert await state(w) == before
    groups = await objects(w)
    await w.ok("DELETE", "/u/group", gid=top)
    counted(plan["consumes"], had, counts(w), groups)


async def test_a_plan_is_not_in_the_history_and_what_it_is_refused_is(w: World) -> None:
    key = await w.user("bob")
    before = await entries(w)
    assert (await w.ok("PUT", "/u/group", name="a", parent_gid=0, plan=True))["steps"]
    assert (await w.call("PUT", "/u/group", name="a", parent_gid=99, plan=True)).code == 5210
    assert (await w.upload(b"", x_velocity_plan="true", x_velocity_length="9")).status == 200
    assert await entries(w) == before
    assert (await w.call("PUT", "/u/group", key, name="a", parent_gid=0, plan=True)).code == 5200
    assert len(await entries(w)) == len(before) + 1, "whoever feels his way is seen"


async def test_a_plan_does_not_use_up_an_idempotency_key(w: World) -> None:
    planned = await send(w, "k", "PUT", "/v/vm/efi", **VM, plan=True)
    assert planned.json()["plan"] is True
    made = await send(w, "k", "PUT", "/v/vm/efi", **VM)
    assert (made.status_code, "idempotent-replayed" in made.headers) == (200, False)
    again = await send(w, "k", "PUT", "/v/vm/efi", **VM)
    assert (again.json(), again.headers["idempotent-replayed"]) == (made.json(), "true")
    assert (await send(w, "k", "PUT", "/v/vm/efi", **VM, plan=True)).json()["code"] == 12223, "a plan is of now"


async def test_plan_false_is_a_change(w: World) -> None:
    assert "gid" in (await w.ok("PUT", "/u/group", name="a", parent_gid=0, plan=False)).body
    assert await w.refused("PUT", "/u/group", _plan=False, name="b", parent_gid=0, plan="yes") == (400, 400)


@pytest.mark.holds("DUR-19")
async def test_fifty_plans_at_once_beside_changes(w: World) -> None:
    """Plans take nothing, not even for a moment: what fits, fits while others plan."""
    gid = await w.group("a")
    await w.ok("PUT", "/u/group/quota", gid=gid, vms=5)
    body = {**VM, "gid": gid}
    plans = [w.call("PUT", "/v/vm/efi", **{**body, "name": f"plan{n}"}, plan=True) for n in range(50)]
    changes = [w.call("PUT", "/v/vm/efi", **{**body, "name": f"vm{n}"}) for n in range(5)]
    answers = await asyncio.gather(*[one for n in range(5) for one in (*plans[n * 10 : n * 10 + 10], changes[n])])
    assert [answer.status for answer in answers if "vmid" in answer.body] == [200] * 5
    assert (await w.ok("POST", "/u/group/quota", gid=gid))["usage"]["vms"] == 5
    assert len((await w.ok("POST", "/v/vm/list", gid=gid))["vms"]) == 5


async def test_plans_of_uploads(w: World) -> None:
    plan = await w.upload(b"", x_velocity_plan="true", x_velocity_length="1000000")
    assert (plan.status, plan["consumes"]) == (200, [{"gid": 0, "mpid": 1, "bytes": 1_000_000}])
    assert w.files() == []
    no_length = await w.upload(b"", x_velocity_plan="true")
    assert (no_length.status, no_length.code) == (400, 9210)
    wrong = await w.upload(b"x", x_velocity_plan="perhaps")
    assert (wrong.status, wrong.code) == (400, 400)
    refused = await w.upload(b"", x_velocity_plan="true", x_velocity_length="1", x_velocity_mpid="99")
    assert (refused.status, refused.code) == (404, 9218)
    await w.upload(b"x")
    taken_ = await w.upload(b"", x_velocity_plan="true", x_velocity_length="1")
    assert (taken_.status, taken_.code) == (409, 9220)
    assert (await w.upload(b"x", x_velocity_plan="false", x_velocity_name="other")).status == 200


async def test_an_upload_over_several_requests_is_not_planned_and_not_begun(w: World) -> None:
    wanted = metadata(plan="true", length=1000)
    answer = await send_tus(w, "POST", TUS, upload_length=1000, upload_metadata=wanted)
    assert (answer.status_code, answer.json()["code"]) == (400, 400)
    assert UPLOAD.path in answer.json()["message"]
    assert w.files() == []


async def test_an_upload_for_which_the_trash_would_make_room(w: World) -> None:
    for name in ("old", "new"):
        made = await w.upload(b"x" * 10_000, x_velocity_name=name)
        await w.ok("DELETE", "/m/media", mid=made["mid"])
    files = w.directory(1)
    files.free = lambda: 0 if len(w.files()) == 2 else 10_000  # type: ignore[method-assign]
    before = await state(w)
    plan = await w.upload(b"", x_velocity_plan="true", x_velocity_length="5000")
    assert (plan.status, len(plan["warnings"])) == (200, 1)
    assert "trash" in plan["warnings"][0]
    assert (await w.upload(b"", x_velocity_plan="true", x_velocity_length="50000")).code == 9221
    assert await state(w) == before
    assert (await w.upload(b"x" * 5000)).status == 200
