"""Routes 1, 2, 4 and 5."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.api.world import PASSWORD, World, world
from velocity.steady_clock import SteadyClock

pytestmark = pytest.mark.anyio


async def test_signing_in_and_out(w: World) -> None:
    assert await w.refused("POST", "/u/auth", "", name="root", password="wrong") == (403, 1100)
    assert await w.refused("POST", "/u/auth", "", name="nobody", password="wrong") == (403, 1100)
    key = (await w.ok("POST", "/u/auth", "", name="root", password=PASSWORD))["authkey"]
    assert (await w.call("POST", "/u/user", key)).status == 200
    assert (await w.ok("DELETE", "/u/auth", key)).body == {}
    assert await w.refused("POST", "/u/user", key) == (401, 100)
    assert (await w.ok("DELETE", "/u/auth", key)).body == {}, "an unknown authkey is no failure"
    assert (await w.ok("DELETE", "/u/auth", "")).body == {}


async def test_renewal(w: World) -> None:
    first = await w.ok("POST", "/u/auth", "", name="root", password=PASSWORD)
    second = await w.ok("PATCH", "/u/auth", first["authkey"])
    assert second["authkey"] != first["authkey"]
    assert second["expires"] >= first["expires"]
    assert await w.refused("POST", "/u/user", first["authkey"]) == (401, 100)
    assert (await w.call("POST", "/u/user", second["authkey"])).status == 200
    assert await w.refused("PATCH", "/u/auth", first["authkey"]) == (403, 1400)
    assert await w.refused("PATCH", "/u/auth", "") == (401, 100)


async def test_an_expired_authkey_is_known_as_such(w: World) -> None:
    key = (await w.ok("POST", "/u/auth", "", name="root", password=PASSWORD))["authkey"]
    sessions = w.server.services.access.sessions
    sessions.clock, passed = lambda: 4_000_000_000.0, 0.0
    sessions.steady = SteadyClock(lambda: 4_000_000_000.0 + passed, lambda: passed)
    passed += 7200
    later = (await w.ok("POST", "/u/auth", "", name="root", password=PASSWORD))["authkey"]
    assert await w.refused("PATCH", "/u/auth", key) == (403, 1400), "after a day it is unknown"
    sessions.clock = lambda: 4_000_003_601.0
    assert await w.refused("POST", "/u/user", later) == (401, 100)
    assert await w.refused("PATCH", "/u/auth", later) == (403, 1401)


@pytest.mark.holds("API-8")
async def test_how_long_a_text_may_be_is_said_in_words(w: World) -> None:
    cases: list[tuple[str, str, dict[str, object], str]] = [
        ("PUT", "/u/user", {"name": "eve", "password": "1234567"}, "password: a password has at least 8 characters"),
        ("PATCH", "/u/user", {"password": "x" * 1025}, "password: a password has at most 1024 characters"),
        ("PUT", "/u/group", {"parent_gid": 0, "name": ""}, "name: expected at least 1 character"),
        ("PUT", "/u/group", {"parent_gid": 0, "name": "x" * 129}, "name: expected at most 128 characters"),
    ]
    for method, path, body, words in cases:
        answer = await w.call(method, path, **body)
        assert (answer.status, answer["message"]) == (400, words)


async def test_users(w: World) -> None:
    bob = await w.ok("PUT", "/u/user", name="bob", password="12345678")
    assert bob.body == {"uid": 1, "name": "bob"}
    assert await w.refused("PUT", "/u/user", name="bob", password="12345678") == (409, 2220)
    assert await w.refused("PUT", "/u/user", name="eve", password="1234567") == (400, 400)
    key = (await w.ok("POST", "/u/auth", "", name="bob", password="12345678"))["authkey"]
    shown = (await w.ok("POST", "/u/user", key)).body
    assert len(shown.pop("revision")) > 5
    assert shown == {"uid": 1, "name": "bob", "memberships": [], "home": 0}
    assert await w.refused("PUT", "/u/user", key, name="eve", password="12345678") == (403, 2200)
    assert await w.refused("POST", "/u/user", key, uid=0) == (403, 2100)
    assert await w.refused("POST", "/u/user", key, uid=99) == (403, 2100), "nobody learns who exists"
    assert await w.refused("POST", "/u/user", uid=99) == (404, 2110)


async def test_memberships_show_what_the_viewer_may_see(w: World) -> None:
    left, right = await w.group("left"), await w.group("right")
    await w.user("bob", (left, "vm.view"), (right, "vm.view"))
    viewer = await w.user("viewer", (left, "user.view"))
    seen = await w.ok("POST", "/u/user", viewer, uid=1)
    assert [one["gid"] for one in seen["memberships"]] == [left]
    assert seen["memberships"][0]["permissions"] == [
        {"pid": 19, "name": "velocity.vm.view", "description": "View virtual machines and their states"}
    ]
    assert [one["gid"] for one in (await w.ok("POST", "/u/user", uid=1))["memberships"]] == [left, right]


async def test_groups(w: World) -> None:
    assert (await w.ok("PUT", "/u/group", name="a", parent_gid=0)).body == {"gid": 1, "name": "a", "parent_gid": 0}
    assert (await w.ok("PUT", "/u/group", name="a", parent_gid=1))["gid"] == 2
    assert await w.refused("PUT", "/u/group", name="a", parent_gid=0) == (409, 5220)
    assert await w.refused("PUT", "/u/group", name="b", parent_gid=9) == (404, 5210)
    key = await w.user("bob", (1, "group.create"))
    assert (await w.call("PUT", "/u/group", key, name="b", parent_gid=2)).status == 200, "inherited"
    assert await w.refused("PUT", "/u/group", key, name="b", parent_gid=0) == (403, 5200)
    assert await w.refused("PUT", "/u/group", key, name="b", parent_gid=9) == (403, 5200)


async def test_nobody_gives_what_they_do_not_hold(w: World) -> None:
    gid = await w.group("a")
    key = await w.user("bob", (gid, "user.assign"), (gid, "vm.view"))
    await w.user("eve")
    give = {"uid": 2, "gid": gid, "permission": "velocity.vm.view"}
    assert (await w.ok("PUT", "/u/user/permission", key, **give)).body == {}
    assert (await w.ok("PUT", "/u/user/permission", key, **give)).body == {}, "held already"
    assert await w.refused("PUT", "/u/user/permission", key, **{**give, "permission": "velocity.vm.state"}) == (
        403,
        4220,
    )
    assert await w.refused("PUT", "/u/user/permission", key, **{**give, "gid": 0}) == (403, 4200)
    assert await w.refused("PUT", "/u/user/permission", key, **{**give, "uid": 99}) == (404, 4210)
    assert await w.refused("PUT", "/u/user/permission", **{**give, "gid": 99}) == (404, 4211)
    assert await w.refused("PUT", "/u/user/permission", **{**give, "permission": "velocity.x"}) == (404, 4212)


@pytest.mark.holds("DUR-1")
async def test_everything_is_there_after_a_restart(tmp_path: Path) -> None:
    async with world(tmp_path / "data") as w:
        gid = await w.group("a")
        key = await w.user("bob", (gid, "vm.view"))
    async with world(tmp_path / "data") as w:
        assert (await w.call("POST", "/v/vm/list", key, gid=gid)).status == 200
        assert await w.refused("POST", "/v/vm/list", key, gid=0) == (401, 17100)
        assert await w.group("b") == gid + 1
        assert (tmp_path / "data" / "velocity.db").stat().st_mode & 0o777 == 0o600
        assert key.encode() not in (tmp_path / "data" / "velocity.db").read_bytes(), "authkeys are kept as hashes"


async def test_guesses_are_limited_and_lock_nobody_out(w: World) -> None:
    """The tests' client has one address, from which root has signed in before."""
    await w.user("bob")
    for _ in range(10):
        assert await w.refused("POST", "/u/auth", "", name="bob", password="a wrong one") == (403, 1100)
    assert await w.refused("POST", "/u/auth", "", name="bob", password=PASSWORD) == (429, 429)
    await w.ok("POST", "/u/auth", "", name="root", password=PASSWORD)
