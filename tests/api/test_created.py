"""What can be created has a bound, of a group or of a user. Each refusal names it, and nobody else feels it."""

from __future__ import annotations

import asyncio
import time
from base64 import b64encode
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from tests.api.world import PASSWORD, Answer, World, world
from velocity.access.bounds import Bounds
from velocity.access.sessions import Caller
from velocity.config import Settings
from velocity.contract.problems import Refused
from velocity.steady_clock import SteadyClock

pytestmark = pytest.mark.anyio

SMALL: dict[str, Any] = {"group_subgroups": 2, "group_vms": 2, "group_media": 2, "group_users": 2}
ONE: dict[str, Any] = dict.fromkeys(SMALL, 1)


def test_the_bounds_are_settings_with_the_same_names_and_numbers() -> None:
    settings = Settings()
    assert all(getattr(settings, name) == most for name, most in vars(Bounds()).items())


def vm(name: str, gid: int) -> dict[str, Any]:
    return {"name": name, "gid": gid, "cpus": 1, "memory_mib": 64}


def medium(name: str, gid: int) -> dict[str, Any]:
    return {"name": name, "gid": gid, "mpid": 1, "size": 1}


def group(name: str, gid: int) -> dict[str, Any]:
    return {"name": name, "parent_gid": gid}


def user(name: str, gid: int) -> dict[str, Any]:
    return {"name": f"{name}-{gid}".replace(" ", "-"), "password": "long enough", "gid": gid}


LASTING: list[tuple[str, Callable[[str, int], dict[str, Any]], int, str]] = [
    ("/v/vm/efi", vm, 12222, "group_vms"),
    ("/m/media/create", medium, 8221, "group_media"),
    ("/u/group", group, 5222, "group_subgroups"),
    ("/u/user", user, 2221, "group_users"),
]


@pytest.mark.holds("BOUND-22")
async def test_a_group_has_so_many_vms_media_and_subgroups(tmp_path: Path) -> None:
    async with world(tmp_path / "data", **SMALL) as w:
        one, other = await w.group("one"), await w.group("other")
        for gid in (one, other):
            await w.ok("PUT", "/m/pool/assign", gid=gid, mpid=1, write=True, manage=True)
        for path, fields, code, setting in LASTING:
            made = await asyncio.gather(*(w.call("PUT", path, **fields(f"n{n}", one)) for n in range(4)))
            assert sorted(answer.status for answer in made) == [200, 200, 406, 406], path
            refused = next(answer for answer in made if answer.status == 406)
            assert refused.code == code and setting in refused["message"]
            assert await w.refused("PUT", path, **fields("more", one)) == (406, code)
            await w.ok("PUT", path, **fields("its own", other))
        vmid = (await w.ok("POST", "/v/vm/list", gid=one))["vms"][0]["vmid"]
        await w.ok("PATCH", "/v/vm", vmid=vmid, cpus=2)
        await w.ok("DELETE", "/v/vm", vmid=vmid)
        await w.ok("PUT", "/v/vm/efi", **vm("again", one))
        (item,) = (await w.ok("POST", "/t/trash/list"))["items"]
        assert await w.refused("PUT", "/t/trash", trid=item["trid"]) == (406, 25226), "a restore is held to it, too"


@pytest.mark.holds("BOUND-22")
async def test_a_group_becomes_home_to_no_more_users_than_it_may_have(tmp_path: Path) -> None:
    async with world(tmp_path / "data", **SMALL) as w:
        one, other = await w.group("one"), await w.group("other")
        full = [await w.ok("PUT", "/u/user", **user(name, one)) for name in "ab"]
        moved = [(await w.ok("PUT", "/u/user", **user(name, other)))["uid"] for name in "cd"]
        answer = await w.call("PATCH", "/u/user", uid=moved[0], gid=one)
        assert (answer.status, answer.code, answer["field"]) == (406, 2421, "gid")
        assert "group_users" in answer["message"]
        assert await w.refused("PATCH", "/u/user", uid=moved[0], gid=one) == (406, 2421)
        await w.ok("PATCH", "/u/user", uid=full[0]["uid"], gid=one, password="another one")
        await w.ok("DELETE", "/u/user", uid=full[1]["uid"])
        made = await asyncio.gather(*(w.call("PATCH", "/u/user", uid=uid, gid=one) for uid in moved))
        assert sorted(answer.status for answer in made) == [200, 406]


@pytest.mark.holds("BOUND-22")
async def test_what_is_beyond_a_bound_already_loads_and_goes_on(tmp_path: Path) -> None:
    async with world(tmp_path / "data") as w:
        gid = await w.group("group")
        await w.ok("PUT", "/m/pool/assign", gid=gid, mpid=1, write=True, manage=True)
        for path, fields, _, _ in LASTING:
            for number in range(3):
                await w.ok("PUT", path, **fields(f"n{number}", gid))
    async with world(tmp_path / "data", **ONE, group_depth=1) as w:
        vms = (await w.ok("POST", "/v/vm/list", gid=gid))["vms"]
        media = (await w.ok("POST", "/m/media/list", gid=gid))["media"]
        assert (len(vms), len(media)) == (3, 3)
        await w.ok(
            "PATCH", "/v/vm", vmid=vms[0]["vmid"], name="renamed", media=[{"mid": media[0]["mid"], "mode": "USB"}]
        )
        await w.ok("PUT", "/v/vm/state", vmid=vms[0]["vmid"], state="RUNNING")
        await w.ok("DELETE", "/m/media", mid=media[1]["mid"])
        for path, fields, code, _ in (LASTING[0], LASTING[1], LASTING[3]):
            assert await w.refused("PUT", path, **fields("new", gid)) == (406, code)
        assert (await w.call("PUT", "/u/group", **group("new", gid))).status == 406


async def beyond(w: World, setting: str, most: int, ask: Callable[[str], Awaitable[Answer]]) -> None:
    """One user has so many, and no more; another one has his own."""
    gid = 0
    rights = [(gid, f"{one}") for one in ("vm.view", "vm.interact", "media.create", "media.list", "group.create")]
    greedy, other = await w.user("greedy", *rights), await w.user("other", *rights)
    for _ in range(most):
        answer = await ask(greedy)
        assert answer.status == 200, answer
    refused = await ask(greedy)
    assert (refused.status, refused.code) == (429, 429)
    assert setting in refused["message"] and str(most) in refused["message"]
    assert (await ask(other)).status == 200, "nobody else feels it"


@pytest.mark.holds("BOUND-23")
async def test_who_signs_in_once_more_than_allowed_ends_their_oldest_session(tmp_path: Path) -> None:
    async with world(tmp_path / "data", user_sessions=2) as w:
        first, other = await w.user("first"), await w.user("other")
        signed_in = [await w.ok("POST", "/u/auth", "", name="first", password=PASSWORD) for _ in range(2)]
        keys = [first, *(str(one["authkey"]) for one in signed_in)]
        answers = [(await w.call("POST", "/u/user", key)).status for key in (*keys, other)]
        assert answers == [401, 200, 200, 200]


@pytest.mark.holds("BOUND-41")
async def test_sessions_of_a_time_in_which_the_clock_was_ahead_end_first(tmp_path: Path) -> None:
    async with world(tmp_path / "data", user_sessions=2) as w:
        await w.user("first")

        async def signed_in() -> str:
            return str((await w.ok("POST", "/u/auth", "", name="first", password=PASSWORD))["authkey"])

        sessions = w.server.services.access.sessions
        now = sessions.clock()
        sessions.clock = lambda: now + 4e8
        ahead = [await signed_in() for _ in range(2)]
        sessions.clock = lambda: now
        keys = [*ahead, await signed_in(), await signed_in()]
        assert [(await w.call("POST", "/u/user", key)).status for key in keys] == [401, 401, 200, 200]


@pytest.mark.holds("DUR-80")
async def test_a_clock_that_is_set_to_another_year_for_a_moment_signs_nobody_out(tmp_path: Path) -> None:
    async with world(tmp_path / "data") as w:
        sessions, began, passed = w.server.services.access.sessions, time.time() - 7200, 0.0
        sessions.steady = SteadyClock(lambda: began + passed, lambda: passed)
        sessions.clock = lambda: began + passed
        passed += 7200
        key = await w.user("first")
        began += 365 * 86_400
        await w.ok("POST", "/u/auth", "", name="first", password=PASSWORD)
        began -= 365 * 86_400
        assert (await w.call("POST", "/u/user", key)).status == 200
    async with world(tmp_path / "data", signs_in=False) as w:
        assert (await w.call("POST", "/u/user", key)).status == 200


@pytest.mark.holds("BOUND-23")
async def test_a_user_has_so_many_console_tickets(tmp_path: Path) -> None:
    async with world(tmp_path / "data", user_tickets=3) as w:
        vmid = await w.vm()
        await w.ok("PUT", "/v/vm/state", vmid=vmid, state="RUNNING")
        consoles = w.server.services.consoles
        now = consoles.clock()
        consoles.clock = lambda: now
        await beyond(w, "user_tickets", 3, lambda key: w.call("POST", "/v/vm/console", key, vmid=vmid, kind="serial"))
        now += 31
        key = (await w.ok("POST", "/u/auth", "", name="greedy", password="correct horse"))["authkey"]
        opened = await w.ok("POST", "/v/vm/console", key, vmid=vmid, kind="serial")
        assert consoles.redeem(opened["ticket"]) is not None, "those that have expired count no more"


@pytest.mark.holds("BOUND-23")
async def test_a_user_has_so_many_idempotency_keys_over_a_restart(tmp_path: Path) -> None:
    numbers = iter(range(100))

    async def ask(key: str) -> Answer:
        number = next(numbers)
        sent = {"authorization": f"Bearer {key}", "idempotency_key": f"k{number}"}
        return await w.raw("PUT", "/u/group", f'{{"name": "g{number}", "parent_gid": 0}}'.encode(), **sent)

    async with world(tmp_path / "data", user_keys=3) as w:
        await beyond(w, "user_keys", 3, ask)
        key = (await w.ok("POST", "/u/auth", "", name="greedy", password="correct horse"))["authkey"]
        await w.ok("PUT", "/u/group", key, name="without a key", parent_gid=0)
    async with world(tmp_path / "data", user_keys=3) as w:
        assert (await ask(key)).status == 429
        w.server.services.idempotency.clock = lambda: 4e9
        assert (await ask(key)).status == 200, "a day later"


@pytest.mark.holds("BOUND-23")
async def test_a_user_has_so_many_uploads_under_way(tmp_path: Path) -> None:
    numbers = iter(range(100))

    async def ask(key: str) -> Answer:
        metadata = {"mpid": "1", "gid": "0", "name": f"u{next(numbers)}", "type": "DISK", "readonly": "false"}
        coded = ",".join(f"{name} {b64encode(value.encode()).decode()}" for name, value in metadata.items())
        headers = {"authorization": f"Bearer {key}", "tus-resumable": "1.0.0", "upload-length": "9"}
        answer = await w.http.post("http://velocity/m/media/tus", headers={**headers, "upload-metadata": coded})
        return Answer(200 if answer.status_code == 201 else answer.status_code, answer.json() if answer.content else {})

    async with world(tmp_path / "data", user_uploads=3) as w:
        await beyond(w, "user_uploads", 3, ask)


@pytest.mark.holds("BOUND-23")
async def test_a_user_waits_for_so_many_pictures(tmp_path: Path) -> None:
    async with world(tmp_path / "data", user_pictures=2) as w:
        vmid = await w.vm(displays=[{"name": "a", "width": 64, "height": 64}])
        await w.ok("PUT", "/v/vm/state", vmid=vmid, state="RUNNING")
        key = await w.user("greedy", (0, "vm.interact"), (0, "vm.view"))
        other = await w.user("other", (0, "vm.interact"), (0, "vm.view"))
        uid = await w.uid("greedy")
        waiting = w.server.services.screens.waiting
        with waiting.of(uid), waiting.of(uid):
            refused = await w.call("POST", "/v/vm/screen", key, vmid=vmid)
            assert refused.status == 429 and "user_pictures" in refused["message"]
            await w.ok("POST", "/v/vm/screen", other, vmid=vmid)
        await w.ok("POST", "/v/vm/screen", key, vmid=vmid)


@pytest.mark.holds("BOUND-23")
async def test_a_user_has_so_many_tasks_running(tmp_path: Path) -> None:
    async with world(tmp_path / "data", user_tasks=2) as w:
        going = asyncio.Event()
        tasks = w.server.services.tasks
        await w.user("greedy")
        await w.user("other")
        callers = {name: await w.uid(name) for name in ("greedy", "other")}

        async def work(progress: object) -> UUID:
            await going.wait()
            return UUID(int=1)

        async def begin(name: str) -> int:
            return await tasks.begin(
                Caller(uid=callers[name], sid="s"), "clone", 0, "x", UUID(int=1), work, lambda: None
            )

        for _ in range(2):
            await begin("greedy")
        with pytest.raises(Refused, match="user_tasks"):
            await begin("greedy")
        await begin("other")
        going.set()
        await tasks.settle()
        await begin("greedy")
        await tasks.settle()


@pytest.mark.holds("BOUND-41")
async def test_keys_of_a_time_in_which_the_clock_was_ahead_do_not_count(tmp_path: Path) -> None:
    numbers = iter(range(100))

    async def ask(w: World, key: str) -> int:
        number = next(numbers)
        sent = {"authorization": f"Bearer {key}", "idempotency_key": f"k{number}"}
        made = f'{{"name": "g{number}", "parent_gid": 0}}'.encode()
        return (await w.raw("PUT", "/u/group", made, **sent)).status

    async with world(tmp_path / "data", user_keys=3) as w:
        key = await w.user("first", (0, "group.create"))
        idempotency = w.server.services.idempotency
        now = idempotency.clock()
        idempotency.clock = lambda: now + 4e8
        assert [await ask(w, key) for _ in range(4)] == [200, 200, 200, 429]
        idempotency.clock = lambda: now
        assert [await ask(w, key) for _ in range(4)] == [200, 200, 200, 429]
