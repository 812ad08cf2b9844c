"""The operations that are cut by a crash: each makes what it needs first, by requests that are acknowledged."""

from __future__ import annotations

import base64
import copy
import hashlib
import subprocess
import time
from collections.abc import Callable
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from tests.crash.model import ASSIGN, State, below, owned, pool
from tests.crash.server import PASSWORD, POOL, Answer, Server
from tests.crash.world import Applied, Request, World, Wrong, made

Operation = Callable[[World], Request]
UPLOADED = 1_500_000
TASK = 60.0
"""Seconds for an import or a clone of some MiB."""


# Users, rights, sessions


def user_create(world: World) -> Request:
    name = world.name("user")
    fields = {"name": name, "password": PASSWORD}
    return Request("user create", "PUT", "/u/user", fields, made("users", name, "uid", _password=PASSWORD))


def _user(world: World) -> str:
    if not world.state["users"]:
        world.do(user_create(world))
    return str(world.pick("users"))


def user_password(world: World) -> Request:
    user, new = _user(world), f"{PASSWORD} {world.name('word')}"
    world.passwords[user] = [new, world.state["users"][user].get("_password", PASSWORD)]

    def applied(state: State, _answer: dict[str, Any]) -> None:
        state["users"][user]["_password"] = new

    def send(server: Server) -> Answer:
        _drop_keys(world, user)
        answer = server.call("PATCH", "/u/user", uid=world.id("users", user), password=new)
        if answer[0] == 200:
            world.passwords[user] = [new]
        return answer

    return Request("user set password", applied=applied, send=send)


def _drop_keys(world: World, user: str) -> None:
    """Nothing is known of them until the end is acknowledged."""
    world.keys = {key: whose for key, whose in world.keys.items() if whose != user}


def user_delete(world: World) -> Request:
    world.do(user_create(world))
    user = list(world.state["users"])[-1]
    world.do(_give(world, user))

    def applied(state: State, _answer: dict[str, Any]) -> None:
        del state["users"][user]
        for group in state["groups"].values():
            group["members"].pop(user, None)

    return Request("user delete", "DELETE", "/u/user", {"uid": world.id("users", user)}, applied)


def _give(world: World, user: str) -> Request:
    permission = "velocity.vm.view"

    def applied(state: State, _answer: dict[str, Any]) -> None:
        state["groups"][world.top]["members"][user] = [permission]

    fields = {"uid": world.id("users", user), "gid": world.id("groups", world.top), "permission": permission}
    return Request("permission give", "PUT", "/u/user/permission", fields, applied)


def permission_give(world: World) -> Request:
    world.do(user_create(world))
    return _give(world, list(world.state["users"])[-1])


def permission_take(world: World) -> Request:
    world.do(permission_give(world))
    user = list(world.state["users"])[-1]

    def applied(state: State, _answer: dict[str, Any]) -> None:
        del state["groups"][world.top]["members"][user]

    fields = {"uid": world.id("users", user), "gid": world.id("groups", world.top)}
    return Request("permission take", "DELETE", "/u/user/permission", fields, applied)


def sign_in(world: World) -> Request:
    user = _user(world)

    def send(server: Server) -> Answer:
        password = world.state["users"][user].get("_password", PASSWORD)
        status, answer = server.call("POST", "/u/auth", name=user, password=password)
        if status == 200 and "warnings" not in answer:  # it ends with the server, and says so
            world.keys[answer["authkey"]] = user
        return status, answer

    return Request("sign in", send=send)


def _session(world: World) -> tuple[str, str]:
    world.do(sign_in(world))
    return list(world.keys.items())[-1]


def sign_out(world: World) -> Request:
    key, _ = _session(world)

    def send(server: Server) -> Answer:
        del world.keys[key]
        status, answer = server.call("DELETE", "/u/auth", key=key)
        world.ended += [key] if status == 200 else []
        return status, answer

    return Request("sign out", send=send)


def session_renew(world: World) -> Request:
    key, user = _session(world)

    def send(server: Server) -> Answer:
        del world.keys[key]
        status, answer = server.call("PATCH", "/u/auth", key=key)
        if status == 200:
            world.ended.append(key)
            world.keys |= {} if "warnings" in answer else {answer["authkey"]: user}
        return status, answer

    return Request("session renew", send=send)


# Groups, quotas, pools


def group_create(world: World) -> Request:
    name = world.name("group")
    fields = {"name": name, "parent_gid": world.id("groups", world.top)}
    applied = made("groups", name, "gid", parent=world.top, limits={}, members={}, pool=None)
    return Request("group create", "PUT", "/u/group", fields, applied)


def _group(world: World) -> str:
    """A new one, which has the pool of its parent."""
    world.do(group_create(world))
    return list(world.state["groups"])[-1]


def quota_set(world: World) -> Request:
    group = _group(world)
    limits = {"cpus": world.rng.randint(20, 40), "vms": world.rng.randint(20, 40)}

    def applied(state: State, _answer: dict[str, Any]) -> None:
        state["groups"][group]["limits"] = limits

    return Request("quota set", "PUT", "/u/group/quota", {"gid": world.id("groups", group), **limits}, applied)


def _assign(world: World, group: str) -> Request:
    one = pool(world.rng.randint(1 << 30, 1 << 40))

    def applied(state: State, _answer: dict[str, Any]) -> None:
        state["groups"][group]["pool"] = one

    fields = {"gid": world.id("groups", group), **ASSIGN, "quota": one["quota"]}
    return Request("pool assign", "PUT", "/m/pool/assign", fields, applied)


def pool_assign(world: World) -> Request:
    return _assign(world, _group(world))


def pool_revoke(world: World) -> Request:
    group = _group(world)
    world.do(_assign(world, group))

    def applied(state: State, _answer: dict[str, Any]) -> None:
        state["groups"][group]["pool"] = None

    return Request("pool revoke", "DELETE", "/m/pool/assign", {"gid": world.id("groups", group), "mpid": POOL}, applied)


def _group_delete(world: World, kind: str, *, purge: bool, running: bool) -> Request:
    group = _group(world)
    world.do(_assign(world, group))
    world.do(_medium_create(world, group))
    world.do(_vm_create(world, group, [list(world.state["media"])[-1]]))
    if running:
        world.do(_to(world, "vm start", list(world.state["vms"])[-1], "RUNNING"))

    def applied(state: State, _answer: dict[str, Any]) -> None:
        groups = below(state, group)
        gone = {**owned(state, "media", groups), **owned(state, "vms", groups)}
        gone["groups"] = {name: state["groups"][name] for name in groups}
        for of, things in gone.items():
            for name in things:
                del state[of][name]
        if not purge:
            state["trash"][f"group {group}"] = {"_contents": gone}

    def stopped(state: State, _answer: dict[str, Any]) -> None:
        for vm in owned(state, "vms", below(state, group))["vms"].values():
            vm["state"] = {"RUNNING", "STOPPING", "STOPPED"}

    fields = {"gid": world.id("groups", group), "purge": purge, "force": running}
    return Request(kind, "DELETE", "/u/group", fields, applied, partly=[stopped] if running else [])


def group_delete(world: World) -> Request:
    return _group_delete(world, "group delete", purge=False, running=False)


def group_purge(world: World) -> Request:
    return _group_delete(world, "group purge", purge=True, running=False)


def group_delete_by_force(world: World) -> Request:
    return _group_delete(world, "group delete by force", purge=world.rng.random() < 0.5, running=True)


# Media


def _medium(world: World, group: str, name: str, *, size: int | None, sum_: str | None, **more: Any) -> Applied:
    fields = {"group": group, "type": "DISK", "size": size, "format": "raw", "sum": sum_, **more}
    return made("media", name, "mid", **fields)


def _medium_create(world: World, group: str, format_: str = "raw") -> Request:
    name, size = world.name("disk"), 1 << 20
    sum_ = hashlib.sha256(bytes(size)).hexdigest() if format_ == "raw" else None
    fields = {"mpid": POOL, "gid": world.id("groups", group), "name": name, "size": size, "format": format_}
    applied = _medium(world, group, name, size=size, sum_=sum_, format=format_)
    return Request("medium create", "PUT", "/m/media/create", fields, applied)


def medium_create(world: World) -> Request:
    return _medium_create(world, world.top)


def medium_create_qcow2(world: World) -> Request:
    request = _medium_create(world, world.top, "qcow2")
    request.kind = "qcow2 medium create"
    return request


def _upload(world: World, data: bytes, type_: str = "DISK") -> Request:
    name = world.name("upload")
    sum_ = hashlib.sha256(data).hexdigest()
    headers = {
        "x-velocity-mpid": str(POOL), "x-velocity-gid": str(world.id("groups", world.top)), "x-velocity-name": name,
        "x-velocity-type": type_, "x-velocity-readonly": "false", "x-velocity-sha256": sum_,
    }  # fmt: skip

    def send(server: Server) -> Answer:
        answer = server.send("PUT", "/m/media/upload", headers=headers, content=data)
        return answer.status_code, answer.json()

    applied = _medium(world, world.top, name, size=len(data), sum_=sum_, type=type_)
    return Request("upload", applied=applied, send=send)


def upload(world: World) -> Request:
    return _upload(world, world.rng.randbytes(UPLOADED))


def resumable_upload(world: World) -> Request:
    name, data = world.name("upload"), world.rng.randbytes(UPLOADED)
    about = {"mpid": POOL, "gid": world.id("groups", world.top), "name": name, "type": "DISK", "readonly": "false"}
    metadata = ",".join(f"{key} {base64.b64encode(str(value).encode()).decode()}" for key, value in about.items())
    tus = {"tus-resumable": "1.0.0", "content-type": "application/offset+octet-stream"}

    def send(server: Server) -> Answer:
        begun = {**tus, "upload-length": str(len(data)), "upload-metadata": metadata}
        answer = server.send("POST", "/m/media/tus", headers=begun)
        where, step = answer.headers.get("location", ""), len(data) // 3 + 1
        for at in range(0, len(data), step):
            if answer.is_error:
                return answer.status_code, answer.json()
            headers = {**tus, "upload-offset": str(at)}
            answer = server.send("PATCH", where, headers=headers, content=data[at : at + step])
        return (200 if answer.status_code == 204 else answer.status_code), {"mid": answer.headers.get("x-velocity-mid")}

    sum_ = hashlib.sha256(data).hexdigest()
    return Request("resumable upload", applied=_medium(world, world.top, name, size=len(data), sum_=sum_), send=send)


def _task(kind: str, path: str, fields: dict[str, Any], applied: Applied) -> Request:
    """Begun, and waited for."""

    def send(server: Server) -> Answer:
        status, answer = server.call("PUT", path, **fields)
        end = time.monotonic() + TASK
        while status == 200:
            status, task = server.call("POST", "/t/task", tid=answer["tid"])
            if status == 200 and task["state"] == "DONE":
                return 200, task
            if status == 200 and task["state"] != "RUNNING":
                raise Wrong(f"{kind}: the task is {task}")
            if time.monotonic() > end:
                raise Wrong(f"{kind}: the task does not end: {task}")
            time.sleep(0.02)
        return status, answer

    return Request(kind, applied=applied, send=send)


def clone(world: World) -> Request:
    world.do(_upload(world, world.rng.randbytes(1 << 20)))
    source = world.state["media"][list(world.state["media"])[-1]]
    name = world.name("clone")
    fields = {"mid": source["id"], "gid": world.id("groups", world.top), "mpid": POOL, "name": name}
    return _task("clone", "/m/media/clone", fields, _medium(world, world.top, name, size=1 << 20, sum_=source["sum"]))


@cache
def _image() -> bytes:
    with TemporaryDirectory() as scratch:
        file = Path(scratch) / "image.qcow2"
        subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", str(file), "4M"], check=True)
        return file.read_bytes()


def import_(world: World) -> Request:
    image = world.pick("media", lambda _, one: one["type"] == "IMAGE")
    if image is None:
        world.do(_upload(world, _image(), "IMAGE"))
        image = list(world.state["media"])[-1]
    name, size = world.name("import"), 4 << 20
    fields = {"mid": world.id("media", image), "gid": world.id("groups", world.top), "mpid": POOL, "name": name}
    sum_ = hashlib.sha256(bytes(size)).hexdigest()
    return _task("import", "/m/media/import", fields, _medium(world, world.top, name, size=size, sum_=sum_))


def _medium_delete(world: World, kind: str, *, purge: bool) -> Request:
    world.do(_upload(world, world.rng.randbytes(4096)))
    name = list(world.state["media"])[-1]

    def applied(state: State, _answer: dict[str, Any]) -> None:
        medium = state["media"].pop(name)
        if not purge:
            state["trash"][f"medium {name}"] = {"_contents": {"media": {name: medium}}}

    return Request(kind, "DELETE", "/m/media", {"mid": world.id("media", name), "purge": purge}, applied)


def medium_delete(world: World) -> Request:
    return _medium_delete(world, "medium delete", purge=False)


def medium_purge(world: World) -> Request:
    return _medium_delete(world, "medium purge", purge=True)


# The trash


def _from_trash(world: World, kind: str, first: Operation, *, purge: bool) -> Request:
    world.do(first(world))
    name = list(world.state["trash"])[-1]
    items = world.server.ok("POST", "/t/trash/list")["items"]
    (trid,) = (item["trid"] for item in items if f"{item['kind']} {item['name']}" == name)

    def applied(state: State, _answer: dict[str, Any]) -> None:
        contents = copy.deepcopy(state["trash"].pop(name)["_contents"])
        for of, things in contents.items() if not purge else ():
            state[of].update(things)

    return Request(kind, "DELETE" if purge else "PUT", "/t/trash", {"trid": trid}, applied)


def restore_medium(world: World) -> Request:
    return _from_trash(world, "medium restore", medium_delete, purge=False)


def restore_vm(world: World) -> Request:
    return _from_trash(world, "vm restore", vm_delete, purge=False)


def restore_group(world: World) -> Request:
    return _from_trash(world, "group restore", group_delete, purge=False)


def purge_trash(world: World) -> Request:
    return _from_trash(world, "trash purge", group_delete, purge=True)


# Machines


def _vm_create(world: World, group: str, media: list[str]) -> Request:
    name, cpus, memory = world.name("vm"), 1, 96
    nic = {"type": "BRIDGE", "host": 1} if world.server.bridge else {"type": "NAT"}
    mids = [world.id("media", one) for one in media]
    fields = {
        "name": name, "gid": world.id("groups", group), "cpus": cpus, "memory_mib": memory, "nics": [nic],
        "displays": [{"name": "d", "width": 640, "height": 480}],
        "media": [{"mid": mid, "mode": "BLOCK"} for mid in mids],
    }  # fmt: skip
    applied = made("vms", name, "vmid", group=group, cpus=cpus, memory=memory, media=mids, state="STOPPED")
    return Request("vm create", "PUT", "/v/vm/efi", fields, applied)


def vm_create(world: World) -> Request:
    return _vm_create(world, world.top, [])


def _end_others(world: World, state: str) -> None:
    """Where guests are real no other one runs than one in that state."""
    for name, vm in world.state["vms"].items() if world.server.qemu else ():
        if vm["state"] not in ("STOPPED", state):
            world.do(_to(world, "vm kill", name, "STOPPED", force=True))


def _new_vm(world: World) -> str:
    """One that never ran."""
    _end_others(world, "STOPPED")
    world.do(vm_create(world))
    return list(world.state["vms"])[-1]


def _vm(world: World, state: str) -> str:
    _end_others(world, state)
    found = world.pick("vms", lambda _, vm: vm["state"] == state and vm["group"] == world.top)
    if found is None:
        found = world.pick("vms", lambda _, vm: vm["state"] == "STOPPED" and vm["group"] == world.top)
        found = found or _new_vm(world)
        if state != "STOPPED":
            world.do(_to(world, "vm start", found, state))
    return found


def _to(world: World, kind: str, name: str, state: str, *, force: bool = False) -> Request:
    def applied(model: State, _answer: dict[str, Any]) -> None:
        graceful = state == "STOPPED" and not force
        model["vms"][name]["state"] = {"STOPPING", "STOPPED"} if graceful else state

    def asked(model: State, _answer: dict[str, Any]) -> None:
        model["vms"][name]["state"] = {"STOPPING", "STOPPED"}

    fields = {"vmid": world.id("vms", name), "state": state, "force": force}
    return Request(kind, "PUT", "/v/vm/state", fields, applied, partly=[asked] if force else [])


def vm_alter(world: World) -> Request:
    name, cpus = _vm(world, "STOPPED"), world.rng.randint(1, 4)

    def applied(state: State, _answer: dict[str, Any]) -> None:
        state["vms"][name]["cpus"] = cpus

    return Request("vm alter", "PATCH", "/v/vm", {"vmid": world.id("vms", name), "cpus": cpus}, applied)


def vm_start(world: World) -> Request:
    return _to(world, "vm start", _new_vm(world), "RUNNING")


def vm_start_held(world: World) -> Request:
    return _to(world, "vm start paused", _new_vm(world), "PAUSED")


def vm_pause(world: World) -> Request:
    return _to(world, "vm pause", _vm(world, "RUNNING"), "PAUSED")


def vm_resume(world: World) -> Request:
    return _to(world, "vm resume", _vm(world, "PAUSED"), "RUNNING")


def vm_stop(world: World) -> Request:
    return _to(world, "vm stop", _vm(world, "RUNNING"), "STOPPED")


def vm_kill(world: World) -> Request:
    return _to(world, "vm kill", _vm(world, "RUNNING"), "STOPPED", force=True)


def _vm_delete(world: World, kind: str, *, purge: bool) -> Request:
    world.do(vm_create(world))
    name = list(world.state["vms"])[-1]

    def applied(state: State, _answer: dict[str, Any]) -> None:
        vm = state["vms"].pop(name)
        if not purge:
            state["trash"][f"vm {name}"] = {"_contents": {"vms": {name: vm}}}

    return Request(kind, "DELETE", "/v/vm", {"vmid": world.id("vms", name), "purge": purge}, applied)


def vm_delete(world: World) -> Request:
    return _vm_delete(world, "vm delete", purge=False)


def vm_purge(world: World) -> Request:
    return _vm_delete(world, "vm purge", purge=True)


OPERATIONS: tuple[Operation, ...] = (
    user_create, user_password, user_delete, permission_give, permission_take, sign_in, session_renew, sign_out,
    group_create, quota_set, pool_assign, pool_revoke, group_delete, group_purge, group_delete_by_force,
    medium_create, medium_create_qcow2, upload, resumable_upload, clone, import_, medium_delete, medium_purge,
    restore_medium, restore_vm, restore_group, purge_trash,
    vm_create, vm_alter, vm_start, vm_start_held, vm_pause, vm_resume, vm_stop, vm_kill, vm_delete, vm_purge,
)  # fmt: skip
OF_GUESTS: tuple[Operation, ...] = (
    vm_start, vm_start_held, vm_pause, vm_resume, vm_stop, vm_kill, vm_purge, group_delete_by_force,
)  # fmt: skip
"""Those that differ where guests are processes."""
