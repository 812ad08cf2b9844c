"""The cases of changes of hosts."""

from __future__ import annotations

from typing import Any

import msgspec

from tests.api.changes import Case, of
from tests.api.world import World
from tests.hosts import agent
from tests.hosts.on_rbd import RBD, OnRbd, known
from tests.hosts.test_lost import lost
from tests.hosts.together import Other, note
from velocity.contract.joining import NodeToken
from velocity.node import joining
from velocity.storage.fake.pools import FakeShared


async def joining_node(w: World, name: str, **other: Any) -> dict[str, Any]:
    """What a machine sends by a token that was made for it. `other`: fields of its draft."""
    word = (await w.ok("PUT", "/h/node/token"))["token"]
    token = NodeToken.read(word)
    draft = msgspec.structs.replace(joining.begin(w.data / name, token), **other)
    sent: dict[str, Any] = msgspec.to_builtins(joining.asked(draft, token, name, "127.0.0.1:1"))
    return sent


async def joined_node(w: World, name: str) -> int:
    """A host that does not answer."""
    return int((await w.ok("PUT", "/h/node/join", "", **await joining_node(w, name)))["host"])


@of("make_node_token")
async def make_node_token(_: World) -> Case:
    return Case({}, [("create", "token", "")])


@of("make_node_token")
async def make_node_token_again(w: World) -> Case:
    return Case({"host": await joined_node(w, "b")}, [("create", "token", "b")])


@of("join_node")
async def join_node(w: World) -> Case:
    return Case(await joining_node(w, "b"), [("create", "host", "b")], key="")


@of("set_node")
async def set_node(w: World) -> Case:
    body = {"host": await joined_node(w, "b"), "duty": "maintenance", "labels": {"rack": "a"}, "name": "c"}
    return Case(body, [("change", "host", "b")])


async def fenced_node(w: World) -> dict[str, Any]:
    """A host that its fence agent can power off."""
    host = await joined_node(w, "b")
    agent.install(w.data / "agents")
    w.server.services.membership.lost.agents.directories.append(w.data / "agents")
    await w.ok("PUT", "/h/node/fence", host=host, agent=agent.NAME, options={"plug": "works"})
    return {"host": host}


@of("set_fence")
async def set_fence(w: World) -> Case:
    body = await fenced_node(w)
    body |= {"agent": agent.NAME, "options": {"plug": "slow"}}
    return Case(body, [("change", "host", "b")])


@of("remove_fence")
async def remove_fence(w: World) -> Case:
    return Case(await fenced_node(w), [("change", "host", "b")])


@of("fence_node")
async def fence_node(w: World) -> Case:
    return Case({**await fenced_node(w), "name": "b"}, [("change", "host", "b")])


@of("confirm_dead")
async def confirm_dead(w: World) -> Case:
    return Case({"host": await joined_node(w, "b"), "name": "b"}, [("change", "host", "b")])


@of("blocklist_node")
async def blocklist_node(w: World) -> Case:
    rados = FakeShared()
    b, c = [OnRbd(await joined_node(w, name), name, rados) for name in ("b", "c")]
    for one in (b, c):
        await w.server.hosts.attach(one.attached())
    mid = await w.medium("disk", mpid=RBD)
    await known(w, c)
    vmid = await w.vm("vm", host=b.host, media=[{"mid": mid, "mode": "BLOCK"}])
    await w.ok("PUT", "/v/vm/state", vmid=vmid, state="RUNNING")
    await lost(w, b)
    return Case({"host": b.host, "name": "b"}, [("change", "host", "b"), ("kill", "vm", "vm")])


async def with_host(w: World) -> None:
    """Another host that answers."""
    other = Other(2, "b", (20, "fast"))
    note(w.server.database, other.host, other.name)
    await w.server.hosts.attach(other.attached())


@of("move_vm_to_host")
async def move_vm_to_host(w: World) -> Case:
    vmid = await w.vm("vm", media=[{"mid": await w.medium(), "mode": "BLOCK"}])
    await with_host(w)
    moved = [{"gid": 0, "mpid": 20, "bytes": 1 << 20}, {"gid": 0, "mpid": 1, "bytes": -(1 << 20)}]
    return Case({"vmid": vmid, "host": 2}, [("change", "vm", "vm"), ("change", "medium", "disk")], moved)


@of("drain_node")
async def drain_node(w: World) -> Case:
    await w.vm("vm")
    await with_host(w)
    own = (await w.ok("POST", "/h/node", host=1))["name"]
    return Case({"host": 1}, [("change", "host", own), ("change", "vm", "vm")])


@of("remove_node")
async def remove_node(w: World) -> Case:
    return Case({"host": await joined_node(w, "b")}, [("delete", "host", "b")])
