"""A user with rights on a group, and what ends them."""

from __future__ import annotations

import pytest

from tests.api.world import PASSWORD, World


class Team:
    """Bob may make and list media in the group `a`, in which pool 1 is managed, and lists those of `b`."""

    def __init__(self, w: World, gid: int, other: int, uid: int, key: str) -> None:
        self.w = w
        self.gid = gid
        self.other = other
        self.uid = uid
        self.key = key

    async def grant(self, permission: str, gid: int | None = None) -> None:
        where = self.gid if gid is None else gid
        await self.w.ok("PUT", "/u/user/permission", uid=self.uid, gid=where, permission=f"velocity.{permission}")

    async def revoke(self, permission: str, gid: int | None = None) -> None:
        where = self.gid if gid is None else gid
        await self.w.ok("DELETE", "/u/user/permission", uid=self.uid, gid=where, permission=f"velocity.{permission}")

    async def sign_in(self) -> str:
        return str((await self.w.ok("POST", "/u/auth", "", name="bob", password=PASSWORD))["authkey"])

    # What ends a right

    async def sign_out(self) -> None:
        await self.w.ok("DELETE", "/u/auth", self.key)

    async def new_password(self) -> None:
        await self.w.ok("PATCH", "/u/user", uid=self.uid, password="battery staple")

    async def remove_user(self) -> None:
        await self.w.ok("DELETE", "/u/user", uid=self.uid)

    async def may_list_no_more(self) -> None:
        await self.revoke("media.list")

    async def may_make_no_more(self) -> None:
        await self.revoke("media.create")

    async def may_list_the_source_no_more(self) -> None:
        await self.revoke("media.list", self.other)

    async def pool_is_not_managed(self) -> None:
        await self.w.ok("PUT", "/m/pool/assign", gid=self.gid, mpid=1, write=True)

    async def delete_group(self) -> None:
        await self.w.ok("DELETE", "/u/group", gid=self.gid)

    async def nothing_left(self) -> None:
        """Of what was to come: no file, no name, no byte of the quota."""
        assert self.w.files() == []
        assert (await self.w.ok("POST", "/m/pool/list", gid=0))["pools"][0]["used"] == 0


@pytest.fixture
async def team(w: World) -> Team:
    gid, other = await w.group("a"), await w.group("b")
    for one in (gid, other):
        await w.ok("PUT", "/m/pool/assign", gid=one, mpid=1, write=True, manage=True)
    key = await w.user("bob", (gid, "media.create"), (gid, "media.list"), (other, "media.list"))
    return Team(w, gid, other, await w.uid("bob"), key)
