"""Which media a VM writes to: its group's own, and of other groups what was attached with velocity.media.write."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
import sqlalchemy as sa

from tests.api.world import World, world
from velocity.cli.doctor import unasked_writers
from velocity.contract.hosts import UnaskedWriter
from velocity.hypervisor.fake import FakeHypervisor
from velocity.store.database import Database

pytestmark = pytest.mark.anyio

MAKES = ("vm.create", "vm.alter", "vm.view", "vm.state", "vm.remove")


class Teams:
    """Web, which owns a disk; lab, where vic makes VMs, with these permissions on web."""

    async def make(self, w: World, *on_web: str) -> Teams:
        self.web, self.lab = await w.group("web"), await w.group("lab")
        await w.ok("PUT", "/m/pool/assign", gid=self.web, mpid=1, write=True, manage=True)
        await w.ok("PUT", "/m/pool/assign", gid=self.lab, mpid=1, write=True, manage=True)
        self.disk = await w.medium("disk", gid=self.web)
        self.vic = await w.user("vic", *((self.lab, one) for one in MAKES), *((self.web, one) for one in on_web))
        self.uid = await w.uid("vic")
        return self

    async def grant(self, w: World, permission: str = "media.write") -> None:
        await w.ok("PUT", "/u/user/permission", uid=self.uid, gid=self.web, permission=f"velocity.{permission}")

    async def revoke(self, w: World, permission: str | None = "media.write") -> None:
        named = {} if permission is None else {"permission": f"velocity.{permission}"}
        await w.ok("DELETE", "/u/user/permission", uid=self.uid, gid=self.web, **named)

    async def attach(self, w: World, name: str = "vm", gid: int | None = None, key: str | None = None) -> Any:
        """The answer to a VM with the disk, as vic in lab makes it."""
        body = {"name": name, "gid": gid or self.lab, "cpus": 1, "memory_mib": 64, "media": on(self.disk)}
        return await w.ok("PUT", "/v/vm/efi", key or self.vic, **body)


def on(mid: str, **more: Any) -> list[dict[str, Any]]:
    return [{"mid": mid, "mode": "BLOCK", **more}]


async def show(w: World, vmid: int) -> Any:
    return (await w.ok("POST", "/v/vm", vmid=vmid)).body


async def start(w: World, vmid: int) -> Any:
    return await w.ok("PUT", "/v/vm/state", vmid=vmid, state="RUNNING")


async def stop(w: World, vmid: int) -> None:
    await w.ok("PUT", "/v/vm/state", vmid=vmid, state="STOPPED", force=True)


def writes(w: World, vmid: int) -> list[bool]:
    """Of each disk that it runs with, whether it writes to it."""
    run = w.hypervisor.runs[w.server.services.fleet.get(vmid).machine.uuid]
    return [not disk.readonly for disk in run.spec.disks]


@pytest.mark.holds("TEAM-13")
@pytest.mark.parametrize("knows", ["it may list it", "it is an ancestor's"])
async def test_to_list_a_medium_or_to_know_it_is_not_to_write_it(w: World, knows: str) -> None:
    teams = await Teams().make(w, *(["media.list"] if knows == "it may list it" else []))
    if knows == "it is an ancestor's":
        teams.disk = await w.medium("golden")
    made = await teams.attach(w)
    (warning,) = made["warnings"]
    assert "read-only" in warning and "velocity.media.write" in warning
    assert (await show(w, made["vmid"]))["media"] == on(teams.disk, readonly=True)
    other = int((await w.ok("PUT", "/v/vm/efi", teams.vic, name="b", gid=teams.lab, cpus=1, memory_mib=64))["vmid"])
    altered = await w.ok("PATCH", "/v/vm", teams.vic, vmid=other, media=on(teams.disk, readonly=False))
    assert altered["warnings"] == [warning]
    for vmid in (made["vmid"], other):
        assert "warnings" not in (await start(w, vmid)).body
        assert writes(w, vmid) == [False]
    owner = await w.vm("own", teams.web if knows == "it may list it" else 0, media=on(teams.disk))
    for vmid in (made["vmid"], other):  # while they read it, nobody writes
        await stop(w, vmid)
    await start(w, owner)
    assert writes(w, owner) == [True], "nobody locks the owner out"


@pytest.mark.holds("TEAM-13")
async def test_the_plan_of_an_attachment_says_that_it_is_read_only(w: World) -> None:
    teams = await Teams().make(w, "media.list")
    body = {"name": "vm", "gid": teams.lab, "cpus": 1, "memory_mib": 64, "media": on(teams.disk)}
    planned = await w.ok("PUT", "/v/vm/efi", teams.vic, **body, plan=True)
    assert planned["warnings"] == (await w.ok("PUT", "/v/vm/efi", teams.vic, **body))["warnings"]


@pytest.mark.holds("TEAM-14")
async def test_who_may_write_attaches_writable_until_the_right_is_lost(w: World) -> None:
    teams = await Teams().make(w, "media.list", "media.write")
    made = await teams.attach(w)
    assert "warnings" not in made.body
    vmid = int(made["vmid"])
    await start(w, vmid)
    assert writes(w, vmid) == [True]
    owners = {"name": "own", "gid": teams.web, "cpus": 1, "memory_mib": 64, "media": on(teams.disk)}
    assert await w.refused("PUT", "/v/vm/efi", **owners) == (409, 12228)

    await teams.revoke(w)
    assert await w.refused("PUT", "/v/vm/efi", **owners) == (409, 12228), "it still runs with it"
    await w.ok("PATCH", "/v/vm", teams.vic, vmid=vmid, cpus=2)
    assert await w.refused("PUT", "/v/vm/efi", **owners) == (409, 12228), "whatever else is altered"
    (used,) = (await w.ok("POST", "/m/media/list", gid=teams.web))["media"][0]["used_by"]
    assert used["writing"]
    (warning,) = (await show(w, vmid))["warnings"]
    assert "from the next start on" in warning
    await stop(w, vmid)
    assert (await start(w, vmid))["warnings"][0] == warning
    assert writes(w, vmid) == [False], "read-only, and it starts"
    (used,) = (await w.ok("POST", "/m/media/list", gid=teams.web))["media"][0]["used_by"]
    assert not used["writing"]
    owner = int((await w.ok("PUT", "/v/vm/efi", **owners))["vmid"])
    assert await w.refused("PUT", "/v/vm/state", vmid=owner, state="RUNNING") == (409, 13224), "it is read"
    await stop(w, vmid)
    await start(w, owner)
    assert writes(w, owner) == [True]

    await teams.grant(w)
    assert await w.refused("PUT", "/v/vm/state", vmid=vmid, state="RUNNING") == (409, 13224), "never two"
    for one in (vmid, owner):
        await stop(w, one)
    await w.ok("DELETE", "/v/vm", vmid=owner)
    await start(w, vmid)
    assert writes(w, vmid) == [True]
    assert await w.refused("PUT", "/v/vm/efi", **owners) == (409, 12228), "and is the one that does, until it ends"


@pytest.mark.holds("TEAM-14")
async def test_an_attachment_of_a_user_who_is_no_more_is_read_only_and_another_may_make_it_anew(w: World) -> None:
    teams = await Teams().make(w, "media.list", "media.write")
    vmid = int((await teams.attach(w))["vmid"])
    alf = await w.user(
        "alf", *((teams.lab, one) for one in MAKES), (teams.web, "media.write"), (teams.web, "media.list")
    )
    await w.ok("DELETE", "/u/user", uid=teams.uid)
    await w.ok("PATCH", "/v/vm", alf, vmid=vmid, cpus=2)
    await start(w, vmid)
    assert writes(w, vmid) == [False], "who changes something else attaches nothing"
    await stop(w, vmid)
    await w.ok("PATCH", "/v/vm", alf, vmid=vmid, media=on(teams.disk))
    await start(w, vmid)
    assert writes(w, vmid) == [True]


@pytest.mark.holds("TEAM-14")
async def test_a_restore_and_an_autostart_ask_for_the_right_too(tmp_path: Path) -> None:
    fake = FakeHypervisor()
    async with world(tmp_path / "data", fake) as w:
        teams = await Teams().make(w, "media.list", "media.write")
        back = int((await teams.attach(w))["vmid"])
        await w.ok("DELETE", "/v/vm", teams.vic, vmid=back)
        auto = int((await teams.attach(w, "auto"))["vmid"])
        await w.ok("PATCH", "/v/vm", teams.vic, vmid=auto, autostart=True)
        (item,) = (await w.ok("POST", "/t/trash/list"))["items"]
        assert await w.refused("PUT", "/t/trash", trid=item["trid"]) == (409, 25223)
        await teams.revoke(w)
        await w.ok("PUT", "/t/trash", teams.vic, trid=item["trid"])
        await start(w, back)
        assert writes(w, back) == [False]
        await stop(w, back)
    async with world(tmp_path / "data", fake) as w:
        await w.settle()
        assert writes(w, auto) == [False]
        await start(w, back)
        assert writes(w, back) == [False]


@pytest.mark.holds("TEAM-14")
async def test_a_run_writes_to_what_it_was_started_with_over_a_restart(tmp_path: Path) -> None:
    fake = FakeHypervisor()
    async with world(tmp_path / "data", fake) as w:
        teams = await Teams().make(w, "media.list", "media.write")
        vmid = int((await teams.attach(w))["vmid"])
        await start(w, vmid)
        await teams.revoke(w)
    async with world(tmp_path / "data", fake) as w:
        owners = {"name": "own", "gid": teams.web, "cpus": 1, "memory_mib": 64, "media": on(teams.disk)}
        assert await w.refused("PUT", "/v/vm/efi", **owners) == (409, 12228)
        await stop(w, vmid)
        await w.ok("PUT", "/v/vm/efi", **owners)


@pytest.mark.holds("TEAM-16")
async def test_isos_of_the_groups_above_are_seen_and_attached_without_a_right_there(w: World) -> None:
    above = await w.group("above")
    team = await w.group("team", above)
    await w.ok("PUT", "/m/pool/assign", gid=above, mpid=1, write=True, manage=True)
    iso, root = await w.medium("iso", gid=above, type="ISO"), await w.medium("root", type="iso")
    await w.medium("disk", gid=above)
    own = await w.medium("own", gid=team, type="ISO")
    sister = await w.group("sister", above)
    await w.medium("theirs", gid=sister, type="ISO")
    key = await w.user("ada", (team, "media.list"), (team, "vm.create"))
    assert (await w.call("POST", "/m/media/list", key, gid=above)).status == 403
    listed = await w.ok("POST", "/m/media/list", key, gid=team)
    assert [one["mid"] for one in listed["media"]] == [own]
    assert [(one["mid"], one["readonly"], one["used_by"]) for one in listed["shared"]] == [
        (iso, True, []), (root, True, []),
    ]  # fmt: skip
    for part in ({}, {"shared": True}, {"shared": False}):
        assert await w.refused("POST", "/m/media/list", gid=999, **part) == (404, 10110), "there is no such group"
    body = {"name": "vm", "gid": team, "cpus": 1, "memory_mib": 64, "media": [*on(iso), *on(root)]}
    made = await w.ok("PUT", "/v/vm/efi", key, **body)
    assert not [one for one in made["warnings"] if "read-only" in one], "as was meant"
    await start(w, made["vmid"])
    assert writes(w, made["vmid"]) == [False, False]


async def before_the_right(url: str) -> None:
    """As an older version kept VMs: nobody was asked."""
    database = Database(url)

    def work(connection: sa.Connection) -> None:
        for vmid, text in connection.exec_driver_sql("select vmid, spec from machines").all():
            spec = {name: value for name, value in json.loads(text).items() if name != "attached_by"}
            values = {"vmid": vmid, "spec": json.dumps(spec)}
            connection.execute(sa.text("update machines set spec = :spec where vmid = :vmid"), values)

    database.open()
    await database.write(lambda connection: work(connection))
    await database.close()


@pytest.mark.holds("TEAM-15")
async def test_attachments_of_older_versions_stay_and_are_named(tmp_path: Path) -> None:
    async with world(tmp_path / "data") as w:
        teams = await Teams().make(w, "media.list", "media.write")
        vmid = int((await teams.attach(w))["vmid"])
        own = await w.vm("own", teams.lab, media=on(await w.medium("own", gid=teams.lab)))
        await teams.revoke(w)
    await before_the_right(f"sqlite:///{tmp_path / 'data' / 'velocity.db'}")
    async with world(tmp_path / "data") as w:
        for vm in (vmid, own):
            await start(w, vm)
            assert writes(w, vm) == [True]
            await stop(w, vm)
        await w.ok("PATCH", "/v/vm", teams.vic, vmid=vmid, media=[*on(teams.disk)], cpus=2)
        await start(w, vmid)
        assert writes(w, vmid) == [True], "what it has already, stays"
        assert (await w.ok("POST", "/h/host"))["unasked_writers"] == [{"vmid": vmid, "mid": teams.disk}]
        stranger = await w.user("eve", (teams.web, "host.view"))
        assert (await w.ok("POST", "/h/host", stranger))["unasked_writers"] == []
        await stop(w, vmid)
        await w.ok("PATCH", "/v/vm", teams.vic, vmid=vmid, media=on(teams.disk, readonly=True))
        assert (await w.ok("POST", "/h/host"))["unasked_writers"] == []
        await w.ok("PATCH", "/v/vm", teams.vic, vmid=vmid, media=on(teams.disk))
        assert (await show(w, vmid))["media"] == on(teams.disk, readonly=True), "and what it has no more, does not"


@pytest.mark.holds("TEAM-15")
def test_doctor_names_what_no_right_was_asked_for() -> None:
    mid = UUID(int=1)
    (finding,) = unasked_writers([UnaskedWriter(vmid=7, mid=mid)])
    assert finding.verdict == "limited"
    assert "VM 7" in finding.text and str(mid) in finding.text
