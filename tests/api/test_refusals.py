"""What refusals name: the group, as far as the caller may see it, and where else the permission is held."""

from __future__ import annotations

import pytest

from tests.api.world import World

pytestmark = pytest.mark.anyio


async def said(w: World, method: str, path: str, key: str, **body: object) -> str:
    answer = await w.call(method, path, key, **body)
    assert answer.status in (401, 403), answer
    return str(answer["message"])


async def test_the_group_is_named_by_its_path(w: World) -> None:
    red = await w.group("red")
    attic = await w.group("attic", red)
    key = await w.user("rosa", (attic, "vm.view"), (red, "group.view"))
    assert (await said(w, "POST", "/m/media/list", key, gid=attic)).startswith(
        "you need velocity.media.list on red/attic: ask someone who can assign it there"
    )
    assert "velocity.group.create on red:" in await said(w, "PUT", "/u/group", key, name="x", parent_gid=red)
    assert "velocity.group.remove on red, above red/attic" in await said(w, "DELETE", "/u/group", key, gid=attic)
    assert "velocity.media.list on /:" in await said(w, "POST", "/m/media/list", key, gid=0)
    assert "you do not have velocity.vm.view on red," in await said(
        w, "PUT", "/u/user/permission", await w.user("ivan", (red, "user.assign")), uid=0, gid=red,
        permission="velocity.vm.view",
    )  # fmt: skip


async def test_where_the_permission_is_held_is_said(w: World) -> None:
    red, blue = await w.group("red"), await w.group("blue")
    key = await w.user("rosa", (red, "vm.view"), (blue, "media.list"))
    assert (await said(w, "POST", "/v/vm/list", key, gid=blue)).startswith(
        "you need velocity.vm.view on blue, and hold it on red: name that group, or ask someone who can assign it there"
    )
    assert "name one of these groups" in await said(
        w, "POST", "/v/vm/list", await w.user("otto", (red, "vm.view"), (blue, "vm.view")), gid=0
    )
    await w.ok("PUT", "/m/pool/assign", gid=blue, mpid=1, manage=True)
    medium = await w.medium("disk", gid=blue)
    assert "name that group" not in await said(
        w, "DELETE", "/m/media", await w.user("ivan", (red, "media.remove"), (blue, "media.list")), mid=medium
    ), "the medium is where it is"


async def test_the_group_of_an_object_is_named_to_those_who_see_it(w: World) -> None:
    red = await w.group("red")
    attic = await w.group("attic", red)
    await w.ok("PUT", "/m/pool/assign", gid=red, mpid=1, manage=True)
    above, inside = await w.medium("disk", gid=red), await w.medium("disk", gid=attic)
    key = await w.user("rosa", (attic, "media.list"))
    assert "velocity.media.remove on the medium's group (red/attic):" in await said(
        w, "DELETE", "/m/media", key, mid=inside
    )
    hidden = await w.call("DELETE", "/m/media", key, mid=above)
    nowhere = await w.call("DELETE", "/m/media", key, mid="00000000-0000-0000-0000-000000000000")
    assert hidden == nowhere, "she sees the group above, but not what it owns"
    assert "on the medium's group:" in hidden["message"]


async def test_a_group_that_is_not_seen_has_no_name_and_none_differs_from_it(w: World) -> None:
    red, blue = await w.group("red"), await w.group("blue")
    key = await w.user("rosa", (red, "vm.view"))
    for method, path, field in (
        ("POST", "/m/media/list", "gid"), ("PUT", "/u/group", "parent_gid"), ("DELETE", "/u/group", "gid")
    ):  # fmt: skip
        there = (await said(w, method, path, key, name="x", **{field: blue})).replace(str(blue), "ID")
        nowhere = (await said(w, method, path, key, name="x", **{field: 99})).replace("99", "ID")
        assert there == nowhere
        assert "group ID" in there
        assert "blue" not in there
