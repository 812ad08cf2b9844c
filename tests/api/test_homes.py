"""The home of a user: who has authority over an account, whatever it holds."""

from __future__ import annotations

import asyncio
from collections.abc import Hashable
from pathlib import Path
from typing import Any

import pytest

from tests.api.world import PASSWORD, Answer, World, world
from tests.patience import PATIENCE
from velocity.access.passwords import Passwords
from velocity.contract.permissions import Permission

pytestmark = pytest.mark.anyio

STOLEN = "another's password"


async def team(w: World, name: str) -> tuple[int, str]:
    """A group, and one who holds every permission on it."""
    gid = await w.group(name)
    return gid, await w.user(name, *((gid, one.value.removeprefix("velocity.")) for one in Permission))


async def made(w: World, name: str, _key: str | None = None, **more: Any) -> int:
    return int((await w.ok("PUT", "/u/user", _key, name=name, password=PASSWORD, **more))["uid"])


async def grant(w: World, uid: int, gid: int, permission: str = "vm.view", key: str | None = None) -> None:
    await w.ok("PUT", "/u/user/permission", key, uid=uid, gid=gid, permission=f"velocity.{permission}")


async def set_password(w: World, uid: int, key: str | None = None) -> Answer:
    return await w.call("PATCH", "/u/user", key, uid=uid, password=STOLEN)


async def home(w: World, uid: int, key: str | None = None) -> Any:
    return (await w.ok("POST", "/u/user", key, uid=uid)).body.get("home")


async def no_authority(w: World, uid: int, key: str) -> None:
    assert await w.refused("PATCH", "/u/user", key, uid=uid, password=STOLEN) == (403, 2400)
    assert await w.refused("DELETE", "/u/user", key, uid=uid) == (403, 2300)


@pytest.mark.holds("TEAM-2")
async def test_an_account_is_not_captured_by_giving_it_a_right(w: World) -> None:
    """Whoever may assign and remove on any group gave a right there to an account that held none, and had it."""
    lab, ben = await team(w, "lab")
    dora = await made(w, "dora")
    await no_authority(w, dora, ben)
    await grant(w, dora, lab, key=ben)
    await no_authority(w, dora, ben)
    _, anna = await team(w, "web")
    emil = await made(w, "emil", anna)
    await grant(w, emil, lab, key=ben)
    await no_authority(w, emil, ben)
    assert (await w.ok("POST", "/u/auth", "", name="emil", password=PASSWORD)).status == 200
    await w.ok("DELETE", "/u/user/permission", ben, uid=emil, gid=lab)
    assert (await set_password(w, emil, anna)).status == 200, "it is of the team that made it"


@pytest.mark.holds("TEAM-3")
async def test_a_team_that_is_deleted_and_restored_captures_nobody(w: World) -> None:
    """Who held something in a deleted team held nothing, and what was done to the account came back with the team."""
    lab, ben = await team(w, "lab")
    gone = await w.group("gone")
    tom = await made(w, "tom", gid=lab)
    await grant(w, tom, gone)
    await no_authority(w, tom, ben)
    await w.ok("DELETE", "/u/group", gid=gone)
    await no_authority(w, tom, ben)
    await grant(w, tom, lab, key=ben)
    await no_authority(w, tom, ben)
    (item,) = (await w.ok("POST", "/t/trash/list"))["items"]
    await w.ok("PUT", "/t/trash", trid=item["trid"])
    await no_authority(w, tom, ben)
    await w.ok("DELETE", "/u/group", gid=gone, purge=True)
    assert (await set_password(w, tom, ben)).status == 200, "nothing is left of it"


async def test_rights_that_lie_in_the_trash_count_where_their_group_was(w: World) -> None:
    """Also when what was above it follows it; what is removed for good counts no more."""
    top, ben = await team(w, "top")
    middle = await w.group("middle", top)
    low = await w.group("low", middle)
    tom = await made(w, "tom", gid=top)
    await grant(w, tom, low, "vm.create")
    await w.ok("DELETE", "/u/user/permission", uid=await w.uid("top"), gid=top, permission="velocity.vm.create")
    await w.ok("DELETE", "/u/group", gid=low)
    await w.ok("DELETE", "/u/group", gid=middle)
    assert await w.refused("PATCH", "/u/user", ben, uid=tom, password=STOLEN) == (403, 2400), "what he lacks lies there"
    assert (await w.call("DELETE", "/u/user", ben, uid=tom, plan=True)).status == 200, "and it was below his group"
    for item in (await w.ok("POST", "/t/trash/list"))["items"]:
        await w.ok("DELETE", "/t/trash", trid=item["trid"])
    assert (await set_password(w, tom, ben)).status == 200


async def test_rights_in_the_trash_count_after_a_restart(tmp_path: Path) -> None:
    async with world(tmp_path / "data") as w:
        lab, ben = await team(w, "lab")
        gone = await w.group("gone")
        tom = await made(w, "tom", gid=lab)
        await grant(w, tom, gone)
        await w.ok("DELETE", "/u/group", gid=gone)
    async with world(tmp_path / "data") as w:
        assert await home(w, tom) == lab
        await no_authority(w, tom, ben)


async def test_rights_that_come_while_a_password_is_hashed_count(w: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who had authority over an account when the request came does not have it any more at the change."""
    lab, ben = await team(w, "lab")
    web = await w.group("web")
    await grant(w, await w.uid("lab"), web)
    tom = await made(w, "tom", gid=lab)
    await grant(w, tom, lab)
    hashing, go_on = asyncio.Event(), asyncio.Event()
    hashed = Passwords.hash

    async def wait(passwords: Passwords, password: str, who: Hashable) -> str:
        hashing.set()
        await asyncio.wait_for(go_on.wait(), PATIENCE)
        return await hashed(passwords, password, who)

    monkeypatch.setattr(Passwords, "hash", wait)
    changing = asyncio.create_task(set_password(w, tom, ben))
    await asyncio.wait_for(hashing.wait(), PATIENCE)
    await grant(w, tom, web)
    go_on.set()
    assert ((answer := await changing).status, answer.code) == (403, 2400)
    assert (await w.ok("POST", "/u/auth", "", name="tom", password=PASSWORD)).status == 200


async def test_where_a_new_user_is_at_home(w: World) -> None:
    """Where the request says; else in the one group where the caller holds velocity.user.create directly, else in 0."""
    lab, web = await w.group("lab"), await w.group("web")
    low = await w.group("low", lab)
    one = await w.user("one", (lab, "user.create"), (low, "user.view"))
    two = await w.user("two", (lab, "user.create"), (web, "user.create"))
    assert await home(w, await made(w, "a", one)) == lab
    assert await home(w, await made(w, "b", one, gid=low)) == low, "inherited"
    assert await home(w, await made(w, "c", two)) == 0
    assert await home(w, await made(w, "d", two, gid=web)) == web
    assert await home(w, await made(w, "e")) == 0
    new = {"name": "new", "password": PASSWORD}
    assert await w.refused("PUT", "/u/user", one, **new, gid=web) == (403, 2200)
    assert await w.refused("PUT", "/u/user", one, **new, gid=99) == (403, 2200)
    there, nowhere = [await w.call("PUT", "/u/user", one, **new, gid=gid) for gid in (web, 99)]
    assert there["message"].replace(str(web), "ID") == nowhere["message"].replace("99", "ID"), "nobody learns of groups"
    assert await w.refused("PUT", "/u/user", **new, gid=99) == (404, 2210)
    assert await w.refused("PUT", "/u/user", **new, gid="web") == (400, 400)
    planned = await w.ok("PUT", "/u/user", one, **new, plan=True)
    assert planned["steps"] == [{"do": "create", "kind": "user", "name": "new", "gid": lab}]


async def test_a_home_is_moved_by_whoever_removes_users_on_both(w: World) -> None:
    lab, web = await w.group("lab"), await w.group("web")
    both = await w.user("both", (lab, "user.remove"), (web, "user.remove"))
    one = await w.user("one", (lab, "user.remove"))
    tom = await made(w, "tom", gid=lab)
    await grant(w, tom, await w.group("elsewhere"))
    session = (await w.ok("POST", "/u/auth", "", name="tom", password=PASSWORD))["authkey"]
    revision = (await w.ok("POST", "/u/user", uid=tom))["revision"]
    patch = ("PATCH", "/u/user")
    assert await w.refused(*patch, one, uid=tom, gid=web) == (403, 2400), "not on the new one"
    assert await w.refused(*patch, one, uid=tom, gid=99) == (403, 2400)
    assert await w.refused(*patch, session, gid=web) == (403, 2400), "oneself neither"
    assert await w.refused(*patch, uid=tom, gid=99) == (404, 2411)
    assert await w.refused(*patch, uid=99, gid=web) == (404, 2410)
    assert await w.refused(*patch, uid=tom) == (400, 400), "neither a password nor a home"
    assert await w.refused(*patch, both, uid=tom, gid=web, password=STOLEN) == (403, 2400), "he is a member elsewhere"
    (step,) = (await w.ok(*patch, both, uid=tom, gid=web, plan=True))["steps"]
    assert step["changes"] == [{"field": "home", "old": lab, "new": web}]
    assert await home(w, tom) == lab
    await w.ok(*patch, both, uid=tom, gid=web, revision=revision)
    assert await home(w, tom) == web
    assert await w.refused(*patch, both, uid=tom, gid=lab, revision=revision) == (409, 2420)
    assert await w.refused(*patch, one, uid=tom, gid=lab) == (403, 2400), "not on the old one"
    assert (await w.call("POST", "/u/user", session)).status == 200, "who signs in has not changed"
    there, nowhere = [await w.call(*patch, one, uid=uid, gid=lab) for uid in (tom, 99)]
    assert (there.status, there.body) == (nowhere.status, nowhere.body), "nobody learns of users"
    entries = (await w.ok("POST", "/t/history", gid=lab, match="change_user"))["entries"]
    moved = [one["target"] for one in entries if (one["operation"], one["status"]) == ("change_user", 200)]
    assert moved == [f"uid={tom} gid={web} name=tom"]


@pytest.mark.holds("TEAM-4")
@pytest.mark.parametrize("purge", [False, True])
async def test_a_home_goes_to_the_parent_with_its_group(purge: bool, tmp_path: Path) -> None:
    async with world(tmp_path / "data") as w:
        top, ben = await team(w, "top")
        gone = await w.group("gone", top)
        low = await w.group("low", gone)
        tom, tim = await made(w, "tom", gid=low), await made(w, "tim", gid=gone)
        within = await w.user("within", (gone, "user.remove"), (gone, "user.view"))
        await w.ok("DELETE", "/u/group", gid=gone, purge=purge)
        assert [await home(w, uid) for uid in (tom, tim)] == [top, top]
    async with world(tmp_path / "data") as w:
        assert [await home(w, uid) for uid in (tom, tim)] == [top, top]
        for item in (await w.ok("POST", "/t/trash/list"))["items"]:
            await w.ok("PUT", "/t/trash", trid=item["trid"])
        assert await home(w, tom) == top, "it does not move back"
        await no_authority(w, tom, within)
        await w.ok("DELETE", "/u/user", ben, uid=tom)


@pytest.mark.holds("TEAM-4")
async def test_who_sees_a_home(w: World) -> None:
    """Who sees the members of that group; oneself, if one sees that group. Nobody else learns that there is one."""
    lab, web = await w.group("lab"), await w.group("web")
    tom = await made(w, "tom", gid=lab)
    await grant(w, tom, web)
    own = (await w.ok("POST", "/u/auth", "", name="tom", password=PASSWORD))["authkey"]
    seers = {
        "of lab": await w.user("of-lab", (lab, "user.view"), (web, "user.view"), (lab, "user.list")),
        "of web": await w.user("of-web", (web, "user.view"), (web, "user.list")),
        "of all": w.key,
    }
    shown = {name: await home(w, tom, key) for name, key in seers.items()}
    assert shown == {"of lab": lab, "of web": None, "of all": lab}
    for name, key in seers.items():
        listed = (await w.ok("POST", "/u/user/list", key))["users"]
        assert all(set(one) == {"uid", "name"} for one in listed), name
    assert await home(w, tom, own) is None, "a group that he does not see"
    await grant(w, tom, lab)
    assert await home(w, tom, own) == lab


async def test_why_tells_of_a_home_to_whoever_sees_it(w: World) -> None:
    lab, web = await w.group("lab"), await w.group("web")
    tom = await made(w, "tom", gid=lab)
    await grant(w, tom, web)
    ask = {"operation": "remove_user", "member": tom}
    of_web = await w.user("of-web", (web, "user.view"), (web, "user.remove"), (web, "group.view"))
    of_both = await w.user("of-both", *((gid, f"user.{verb}") for gid in (lab, web) for verb in ("view", "remove")))
    answer = await w.ok("POST", "/u/why", of_web, **ask)
    assert (answer["allowed"], {place["gid"] for place in answer["line"]}) == (False, {0, web})
    assert "lab" not in str(answer.body)
    answer = await w.ok("POST", "/u/why", of_both, **ask)
    assert (answer["allowed"], {place["gid"] for place in answer["line"]}) == (True, {0, lab, web})
    own = (await w.ok("POST", "/u/auth", "", name="tom", password=PASSWORD))["authkey"]
    answer = await w.ok("POST", "/u/why", own, **ask)
    assert (answer["allowed"], {place["gid"] for place in answer["line"]}) == (False, {0, web}), "not even to himself"
    assert (await w.ok("POST", "/u/why", operation="create_user", uid=tom, gid=lab))["allowed"] is False
    assert (await w.ok("POST", "/u/why", operation="create_user", gid=lab))["allowed"] is True


async def test_an_old_password_that_is_sent_is_looked_at_whatever_it_changes(w: World) -> None:
    lab, web = await w.group("lab"), await w.group("web")
    key = await w.user("tom", (lab, "user.remove"), (web, "user.remove"), home=lab)
    tom = await w.uid("tom")
    patch = ("PATCH", "/u/user")
    assert await w.refused(*patch, key, gid=web, old_password="wrong") == (403, 2400)
    assert await home(w, tom) == lab
    await w.ok(*patch, key, gid=web, old_password=PASSWORD)
    assert await home(w, tom) == web
    await w.ok(*patch, key, gid=lab)
    assert await home(w, tom) == lab
    neither = await w.call(*patch, key)
    assert (neither.status, neither.code, neither["field"]) == (400, 400, "password")
    assert "`gid`" in neither["message"], "either would do"
