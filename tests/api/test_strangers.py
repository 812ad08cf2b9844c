"""Two teams on one host: whatever a user of one tries on what is the other's, is answered as the contract says.

What is not theirs looks like what does not exist: in status and body, and in the time that it takes.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from typing import Any
from uuid import uuid4

import pytest

from tests.api.world import World
from velocity.contract.permissions import Permission
from velocity.contract.registry import OPERATIONS

pytestmark = pytest.mark.anyio

NOWHERE = 10**6


class Team:
    """A group with a pool, a VM, a medium, and a user who holds every permission on it."""

    async def make(self, w: World, name: str) -> Team:
        self.gid = await w.group(name)
        await w.ok("PUT", "/m/pool/assign", gid=self.gid, mpid=1, quota=1 << 30, write=True, manage=True)
        everything = [(self.gid, permission.value.removeprefix("velocity.")) for permission in Permission]
        self.key = await w.user(name, *everything)
        self.uid = await w.uid(name)
        self.mid = await w.medium("disk", gid=self.gid)
        self.vmid = await w.vm("vm", self.gid, media=[{"mid": self.mid, "mode": "BLOCK"}])
        self.low = await w.group("low", self.gid)
        started = await w.ok("PUT", "/m/media/clone", mid=self.mid, gid=self.gid, mpid=1, name="clone")
        self.tid = int(started["tid"])
        gone = await w.vm("gone", self.gid)
        await w.ok("DELETE", "/v/vm", vmid=gone)
        self.trid = int((await w.ok("POST", "/t/trash/list"))["items"][0]["trid"])
        return self


EXPECTED = {
    ("POST", "/u/user"): (403, 2100), ("DELETE", "/u/user"): (403, 2300), ("PATCH", "/u/user"): (403, 2400),
    ("PUT", "/u/user/permission"): (403, 4200), ("DELETE", "/u/user/permission"): (403, 4300),
    ("POST", "/u/group"): (403, 5100), ("PUT", "/u/group"): (403, 5200), ("DELETE", "/u/group"): (403, 5300),
    ("POST", "/u/group/quota"): (403, 18100), ("PUT", "/u/group/quota"): (403, 18200),
    ("PUT", "/m/pool/assign"): (403, 6200), ("DELETE", "/m/pool/assign"): (403, 6300),
    ("POST", "/m/pool/list"): (403, 7100), ("PUT", "/m/media/create"): (403, 8200),
    ("POST", "/m/media/list"): (403, 10100), ("DELETE", "/m/media"): (403, 14300),
    ("POST", "/m/media"): (403, 14101), ("PATCH", "/m/media"): (403, 14400),
    ("PUT", "/m/media/move"): (403, 43200), ("PUT", "/m/media/convert"): (403, 42200),
    ("PUT", "/m/media/import"): (403, 21200), ("PUT", "/m/media/clone"): (403, 22200),
    ("PUT", "/m/media/fetch"): (403, 49200),
    ("POST", "/t/task"): (403, 23100), ("DELETE", "/t/task"): (403, 23300), ("POST", "/t/task/list"): (403, 24100),
    ("POST", "/t/history"): (403, 27100), ("PUT", "/t/trash"): (403, 25200), ("DELETE", "/t/trash"): (403, 25300),
    ("PUT", "/v/vm/efi"): (401, 12200), ("POST", "/v/vm/list"): (401, 17100),
    ("POST", "/v/vm/state"): (404, 13110), ("PUT", "/v/vm/state"): (404, 13210),
    ("POST", "/v/vm"): (404, 16110), ("DELETE", "/v/vm"): (403, 16300), ("PATCH", "/v/vm"): (403, 16400),
    ("POST", "/v/vm/console"): (404, 19110), ("POST", "/v/vm/metrics"): (404, 33110),
    ("POST", "/v/vm/command"): (404, 34110), ("POST", "/v/vm/log"): (404, 30110),
    ("POST", "/m/media/upload"): (403, 9100), ("DELETE", "/m/media/upload"): (403, 9300),
    ("POST", "/v/vm/screen"): (404, 31110), ("PUT", "/v/vm/restart"): (404, 38210),
    ("PUT", "/v/vm/reset"): (404, 53210), ("PUT", "/v/vm/boot"): (404, 54210),
    ("PUT", "/v/vm/move"): (403, 50200), ("POST", "/v/vm/host"): (403, 62100), ("PUT", "/v/vm/host"): (403, 62200),
    ("PUT", "/h/node/drain"): (403, 62209),
    ("PUT", "/v/vm/clone"): (403, 39200), ("POST", "/v/vm/guest"): (404, 44110), ("PUT", "/v/vm/exec"): (404, 45210),
    ("PUT", "/v/vm/guest/password"): (404, 46210), ("PUT", "/v/vm/guest/keys"): (404, 46211),
    ("PUT", "/v/vm/freeze"): (404, 41210), ("PUT", "/v/vm/thaw"): (404, 41211),
    ("POST", "/v/vm/guest/file"): (404, 47110), ("PUT", "/v/vm/guest/file"): (404, 47210),
    ("PATCH", "/h/node"): (403, 57400), ("DELETE", "/h/node"): (403, 57300), ("PUT", "/h/node/token"): (403, 58200),
    ("PUT", "/h/node/fence"): (403, 60200), ("POST", "/h/node/fence"): (403, 60100),
    ("DELETE", "/h/node/fence"): (403, 60300), ("PATCH", "/h/node/fence"): (403, 60400),
    ("PUT", "/h/node/dead"): (403, 61200), ("PUT", "/h/node/blocklist"): (403, 48200),
}  # fmt: skip
"""What a stranger gets of each operation that works on an object."""

OF_NO_OBJECT = {
    ("POST", "/u/auth"), ("DELETE", "/u/auth"), ("PATCH", "/u/auth"), ("PUT", "/u/user"), ("POST", "/u/user/list"),
    ("POST", "/u/group/list"), ("POST", "/v/nic/list"), ("PUT", "/m/media/upload"), ("POST", "/u/why"),
    ("POST", "/t/trash/list"), ("POST", "/h/host"), ("PUT", "/u/session"), ("POST", "/u/session"),
    ("PATCH", "/u/session"), ("DELETE", "/u/session"), ("POST", "/u/session/list"), ("POST", "/v/vm/screen/search"),
    ("DELETE", "/t/trash/all"), ("POST", "/v/vm/usage"), ("POST", "/m/catalogue"),
    ("POST", "/h/node/list"), ("POST", "/h/node"), ("PUT", "/h/node/join"),
}  # fmt: skip
"""Nothing of another's is named in them; uploads, `why`, sessions and emptying the trash have tests of their own."""


def body(
    operation: tuple[str, str], mid: str, uid: int, gid: int, low: int, vmid: int, tid: int, trid: int
) -> dict[str, Any]:
    ids: dict[str, Any] = {"uid": uid, "gid": gid, "vmid": vmid, "mid": mid, "mpid": 1, "parent_gid": gid}
    ids |= {"tid": tid, "trid": trid}
    if operation in (("DELETE", "/u/group"), ("PUT", "/u/group/quota")):
        ids["gid"] = low  # decided by what is held on the parent
    return ids | {
        "permission": "velocity.vm.view", "name": "x", "size": 1, "cpus": 1, "memory_mib": 64,
        "state": "RUNNING", "kind": "serial", "span": "hour", "password": "long enough",
        "url": "https://cloud.example/disk", "format": "raw",
        "command": ["x"], "user": "x", "keys": ["x"], "path": "x", "content": "", "host": 1, "agent": "fence_x",
    }  # fmt: skip


@pytest.mark.holds("TEAM-7")
async def test_every_operation_on_every_object_of_the_other(w: World) -> None:
    ours, theirs = await Team().make(w, "ours"), await Team().make(w, "theirs")
    every = {(one.method.name, one.path) for one in OPERATIONS}
    assert every == set(EXPECTED) | OF_NO_OBJECT, "a new operation has to be decided here"
    for operation, refusal in EXPECTED.items():
        ids_of = (theirs.uid, theirs.gid, theirs.low, theirs.vmid, theirs.tid, theirs.trid)
        sent = body(operation, theirs.mid, *ids_of)
        unknown = body(operation, str(uuid4()), *[NOWHERE] * 6)
        there = await w.call(*operation, ours.key, **sent)
        nowhere = await w.call(*operation, ours.key, **unknown)
        assert (there.status, there.code) == refusal, operation
        for ids in (sent, unknown):
            for answer in (there, nowhere):
                for value in (ids["uid"], ids["gid"], ids["vmid"], ids["tid"], ids["trid"], ids["mid"]):
                    for key in ("message", "reason"):
                        answer.body[key] = answer.body[key].replace(str(value), "ID")
        assert there == nowhere, f"{operation} tells what exists"
    for gid in (theirs.gid, NOWHERE):
        assert (await w.upload(b"x", ours.key, x_velocity_gid=str(gid))).code == 9200
    media = [{"mid": theirs.mid, "mode": "BLOCK"}]
    taken = await w.refused("PUT", "/v/vm/efi", ours.key, name="x", gid=ours.gid, cpus=1, memory_mib=64, media=media)
    assert taken == (404, 12211), "a medium of the other cannot be attached"
    assert await w.refused("PATCH", "/v/vm", ours.key, vmid=ours.vmid, media=media) == (404, 16411)
    groups = (await w.ok("POST", "/u/group/list", ours.key))["groups"]
    assert {one["gid"] for one in groups} == {0, ours.gid, ours.low}
    assert (await w.ok("POST", "/v/vm", theirs.key, vmid=theirs.vmid))["state"] == "STOPPED", "nothing was changed"


@pytest.mark.holds("TEAM-8")
@pytest.mark.long
@pytest.mark.parametrize(("path", "name"), [("/v/vm", "vmid"), ("/v/vm/state", "vmid"), ("/u/group", "gid")])
async def test_it_takes_the_same_time(w: World, path: str, name: str, say: Callable[[str], None]) -> None:
    """Interleaved; were one of the two looked up longer, its distribution would lie beside the other's."""
    ours, theirs = await Team().make(w, "ours"), await Team().make(w, "theirs")
    existing = {"vmid": theirs.vmid, "gid": theirs.gid}[name]
    times: dict[int, list[float]] = {existing: [], NOWHERE: []}
    for turn in range(1200):
        for target in (existing, NOWHERE) if turn % 2 else (NOWHERE, existing):
            begun = time.perf_counter()
            await w.call("POST", path, ours.key, **{name: target})
            times[target].append(time.perf_counter() - begun)
    there, nowhere = (sorted(one[200:]) for one in (times[existing], times[NOWHERE]))
    overlap = chance_of_less(there, nowhere)
    median = statistics.median
    say(f"POST {path}: {median(there) * 1e6:.0f} us of another's, {median(nowhere) * 1e6:.0f} us of nobody's, "
        f"P(less) {overlap:.2f}")  # fmt: skip
    assert 0.35 < overlap < 0.65, "one can be told from the other by its time"


def chance_of_less(left: list[float], right: list[float]) -> float:
    """How probably a value of the left is less than one of the right: 0.5 when they cannot be told apart.

    The Mann-Whitney statistic, over its largest value.
    """
    both = sorted([(value, 0) for value in left] + [(value, 1) for value in right])
    ranks = sum(rank for rank, (_, side) in enumerate(both, start=1) if side == 1)
    return (ranks - len(right) * (len(right) + 1) / 2) / (len(left) * len(right))
