"""Operations on users, rights, sessions, groups, quotas and pools, each with what it needs first."""

from __future__ import annotations

from typing import Any

from tests.crash.model import ASSIGN, State, pool
from tests.crash.server import PASSWORD, POOL, Answer, Server
from tests.crash.world import Request, World, made

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


def a_group(world: World) -> str:
    """A new one, which has the pool of its parent."""
    world.do(group_create(world))
    return list(world.state["groups"])[-1]


def quota_set(world: World) -> Request:
    group = a_group(world)
    limits = {"cpus": world.rng.randint(20, 40), "vms": world.rng.randint(20, 40)}

    def applied(state: State, _answer: dict[str, Any]) -> None:
        state["groups"][group]["limits"] = limits

    return Request("quota set", "PUT", "/u/group/quota", {"gid": world.id("groups", group), **limits}, applied)


def assign(world: World, group: str) -> Request:
    one = pool(world.rng.randint(1 << 30, 1 << 40))

    def applied(state: State, _answer: dict[str, Any]) -> None:
        state["groups"][group]["pool"] = one

    fields = {"gid": world.id("groups", group), **ASSIGN, "quota": one["quota"]}
    return Request("pool assign", "PUT", "/m/pool/assign", fields, applied)


def pool_assign(world: World) -> Request:
    return assign(world, a_group(world))


def pool_revoke(world: World) -> Request:
    group = a_group(world)
    world.do(assign(world, group))

    def applied(state: State, _answer: dict[str, Any]) -> None:
        state["groups"][group]["pool"] = None

    return Request("pool revoke", "DELETE", "/m/pool/assign", {"gid": world.id("groups", group), "mpid": POOL}, applied)


OPERATIONS = (
    user_create, user_password, user_delete, permission_give, permission_take, sign_in, session_renew, sign_out,
    group_create, quota_set, pool_assign, pool_revoke,
)  # fmt: skip
