"""A VM's setting for cloud-init, as clients and guests see it: what is secret goes to the guest alone."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.api.images import wait
from tests.api.test_events import snapshot
from tests.api.world import World, world
from velocity.hypervisor.port import SeedSpec

pytestmark = pytest.mark.anyio

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ7kZ0qS me@here"
HASH = "$6$saltsalt$SECRETSECRETSECRETSECRET"
TEXT = "#cloud-config\nwrite_files: [{path: /a, content: SECRET}]\n"


async def seed(w: World, vmid: int) -> SeedSpec | None:
    """What its guest reads of a run that begins and ends here."""
    await w.ok("PUT", "/v/vm/state", vmid=vmid, state="RUNNING")
    found = w.hypervisor.runs[w.server.services.fleet.get(vmid).machine.uuid].spec.seed
    await w.ok("PUT", "/v/vm/state", vmid=vmid, state="STOPPED", force=True)
    return found


async def instance(w: World, vmid: int) -> str:
    made = await seed(w, vmid)
    assert made is not None
    return str(yaml.safe_load(made.meta_data)["instance-id"])


async def shown(w: World, vmid: int) -> Any:
    return (await w.ok("POST", "/v/vm", vmid=vmid))["cloud_init"]


@pytest.mark.holds("MORE-10")
async def test_what_is_set_goes_to_the_guest_and_its_secrets_to_nobody_else(
    w: World, caplog: pytest.LogCaptureFixture
) -> None:
    short = {"user": "ann", "ssh_keys": [KEY], "hostname": "db", "packages": ["git"], "timezone": "UTC"}
    create = {"name": "web", "gid": 0, "cpus": 1, "memory_mib": 64, "cloud_init": {**short, "password_hash": HASH}}
    answers = [await w.ok("PUT", "/v/vm/efi", **create, plan=True), await w.ok("PUT", "/v/vm/efi", **create)]
    vmid = answers[1]["vmid"]
    assert await shown(w, vmid) == {**short, "secrets": ["password_hash"]}
    made = await seed(w, vmid)
    assert made is not None and HASH in made.user_data and KEY in made.user_data
    gone: dict[str, Any] = {**dict.fromkeys(("user", "password_hash", "timezone"), ""), "ssh_keys": [], "packages": []}
    change = {"vmid": vmid, "cloud_init": {**gone, "user_data": TEXT, "network_config": "version: 2 # SECRET"}}
    planned = await w.ok("PATCH", "/v/vm", **change, plan=True)
    assert planned["steps"][0]["changes"] == [{"field": "cloud_init"}]
    answers += [planned, await w.ok("PATCH", "/v/vm", **change)]
    assert (await w.ok("PATCH", "/v/vm", **change, plan=True))["steps"] == [], "the same is no change"
    wrong = await w.call("PATCH", "/v/vm", vmid=vmid, cloud_init={"password_hash": "SECRET"})
    assert (wrong.status, wrong["field"]) == (400, "cloud_init.password_hash")
    made = await seed(w, vmid)
    assert made == SeedSpec(TEXT, made.meta_data if made else "", "version: 2 # SECRET")
    await w.written()
    answers += [wrong, await w.ok("POST", "/v/vm", vmid=vmid), await w.ok("POST", "/v/vm/list", gid=0)]
    answers += [await w.ok("POST", "/t/history", gid=0), await w.ok("DELETE", "/v/vm", vmid=vmid)]
    answers += [await w.ok("POST", "/t/trash/list", gid=0)]
    said = [json.dumps(one.body) for one in answers] + [json.dumps(await snapshot(w, w.key)), caplog.text]
    assert not [one for one in said if "SECRET" in one]


@pytest.mark.holds("MORE-13")
async def test_a_change_waits_for_the_next_start_and_a_new_instance_is_one_when_it_is_asked_for(w: World) -> None:
    vmid = await w.vm(cloud_init={"user": "ann"})
    first = await instance(w, vmid)
    await w.ok("PUT", "/v/vm/state", vmid=vmid, state="RUNNING")
    assert (await w.ok("PATCH", "/v/vm", vmid=vmid, cloud_init={"user": "ann"}))["waiting"] == []
    assert (await w.ok("PATCH", "/v/vm", vmid=vmid, cloud_init={"user": "bob"}))["waiting"] == ["cloud_init"]
    await w.ok("PUT", "/v/vm/state", vmid=vmid, state="STOPPED", force=True)
    assert await instance(w, vmid) == first, "cloud-init takes it for the same"
    assert (await w.ok("PATCH", "/v/vm", vmid=vmid, new_instance=True))["waiting"] == []
    assert await instance(w, vmid) not in ("", first)
    assert await seed(w, await w.vm("plain")) is None


@pytest.mark.holds("MORE-10")
async def test_no_revision_tells_whether_a_guessed_secret_is_right(w: World) -> None:
    async def revisions(**more: Any) -> set[str]:
        """Of two VMs that are alike in all that can be seen."""
        name = f"{len(more)}"
        made = [await w.vm(name, gid, **more) for gid in (0, await w.group(name))]
        return {(await w.ok("POST", "/v/vm", vmid=one))["revision"] for one in made}

    assert len(await revisions()) == 1
    assert len(await revisions(cloud_init={"password_hash": HASH})) == 2


@pytest.mark.holds("MORE-14")
async def test_a_clone_is_another_instance_and_has_the_secrets_for_who_may_change_the_vm(w: World) -> None:
    vmid = await w.vm("web", cloud_init={"user": "ann", "password_hash": HASH, "hostname": "web"})
    own = await w.group("own")
    eve = await w.user("eve", (0, "vm.view"), (own, "vm.create"), (own, "vm.view"))
    request = {"vmid": vmid, "name": "db", "gid": 0}
    clone = (await wait(w, await w.ok("PUT", "/v/vm/clone", **request)))["vmid"]
    assert await shown(w, clone) == {"user": "ann", "secrets": ["password_hash"]}
    assert await instance(w, clone) != await instance(w, vmid)
    planned = await w.ok("PUT", "/v/vm/clone", eve, **{**request, "gid": own}, plan=True)
    assert any("password_hash" in one and "velocity.vm.alter" in one for one in planned["warnings"])
    less = (await wait(w, await w.ok("PUT", "/v/vm/clone", eve, **{**request, "gid": own})))["vmid"]
    assert await shown(w, less) == {"user": "ann", "secrets": []}


@pytest.mark.holds("MORE-12")
@pytest.mark.parametrize(
    ("given", "field", "word"),
    [
        ({"user": "Root User"}, "user", "small letters"),
        ({"user": "root:x"}, "user", "small letters"),
        ({"ssh_keys": ["-----BEGIN OPENSSH PRIVATE KEY-----"]}, "ssh_keys[0]", ".pub"),
        ({"ssh_keys": [f"{KEY}\nssh-rsa x"]}, "ssh_keys[0]", ".pub"),
        ({"password_hash": "correct horse"}, "password_hash", "openssl passwd -6"),
        ({"hostname": "a b"}, "hostname", "web.example.org"),
        ({"packages": ["git; rm"]}, "packages[0]", "package"),
        ({"timezone": "../etc"}, "timezone", "Europe/Berlin"),
        ({"user_data": "a: b"}, "user_data", "#cloud-config"),
        ({"user_data": TEXT, "user": "ann"}, "user_data", "takes the place of user"),
    ],
)
async def test_what_is_wrong_is_named_with_the_cure_and_changes_nothing(
    w: World, given: dict[str, Any], field: str, word: str
) -> None:
    vmid = await w.vm("has", cloud_init={"hostname": "has"})
    before = await w.ok("POST", "/v/vm", vmid=vmid)
    for verb, path, more in (
        ("PUT", "/v/vm/efi", {"name": "a", "gid": 0, "cpus": 1, "memory_mib": 64}),
        ("PATCH", "/v/vm", {"vmid": vmid}),
    ):
        assert await w.refused(verb, path, **more, cloud_init=given) == (400, 400)
        answer = await w.call(verb, path, **more, cloud_init=given)
        assert answer["field"] == f"cloud_init.{field}" and word in answer["message"]
    assert await w.ok("POST", "/v/vm", vmid=vmid) == before
    assert len((await w.ok("POST", "/v/vm/list", gid=0))["vms"]) == 1


async def test_it_outlives_the_server(tmp_path: Path, anyio_backend: str) -> None:
    async with world(tmp_path / "data") as w:
        vmid = await w.vm(cloud_init={"user": "ann", "user_data": "", "password_hash": HASH})
        before, key = await instance(w, vmid), w.key
    async with world(tmp_path / "data") as w:
        w.key = key
        assert await shown(w, vmid) == {"user": "ann", "secrets": ["password_hash"]}
        assert await instance(w, vmid) == before
