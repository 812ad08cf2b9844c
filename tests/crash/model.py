"""What was acknowledged, as plain data by name; what the API shows, in the same form; and how the two differ."""

from __future__ import annotations

import copy
import hashlib
from collections.abc import Sequence
from typing import Any

from tests.crash.server import OTHER, POOL, Server

Thing = dict[str, Any]
State = dict[str, dict[str, Thing]]
"""Kind -> name -> fields. A field whose value is None is not compared, a set says that any of its values is right,
and one whose name begins with an underscore is known to the model only."""

KINDS = ("users", "groups", "media", "vms", "trash")


def empty() -> State:
    return {kind: {} for kind in KINDS}


def below(state: State, group: str) -> list[str]:
    """The group with its subgroups."""
    return [
        group,
        *(one for name, has in state["groups"].items() if has["parent"] == group for one in below(state, name)),
    ]


def owned(state: State, kind: str, groups: Sequence[str]) -> State:
    return {kind: {name: one for name, one in state[kind].items() if one["group"] in groups}}


def differences(model: State, seen: State) -> list[str]:
    """Empty: what is seen is what the model says."""
    found = []
    for kind in KINDS:
        for name in sorted(model[kind].keys() | seen[kind].keys()):
            wanted, has = model[kind].get(name), seen[kind].get(name)
            if wanted is None or has is None:
                found.append(f"{kind} {name!r} {'should not be' if wanted is None else 'is not'} there")
                continue
            for field, value in wanted.items():
                if not field.startswith("_") and not _fits(field, value, has.get(field)):
                    found.append(f"{kind} {name!r}: {field} is {has.get(field)!r}, not {value!r}")
    return found


def _fits(field: str, wanted: Any, has: Any) -> bool:
    if wanted is None or (field == "sum" and has is None):  # nobody may read it now
        return True
    return has in wanted if isinstance(wanted, set) else has == wanted


def taken(model: State, seen: State) -> State:
    """The model, with what it did not know for sure as it is seen."""
    taken = copy.deepcopy(model)
    for kind in KINDS:
        for name, one in taken[kind].items():
            shown = {field: value for field, value in seen[kind][name].items() if value is not None}
            taken[kind][name] = {**one, **shown}
    return taken


class Watcher:
    """Looks at everything that the API shows, and whether it fits together."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self.wrong: list[str] = []
        """What holds of no state at all."""
        self.busy = False
        """Something is on its way: look again."""

    def look(self) -> State:
        self.wrong, self.busy = [], False
        server, state = self._server, empty()
        for upload in server.ok("POST", "/m/media/upload", gid=0)["uploads"]:  # it would go on: nothing remains of it
            server.ok("DELETE", "/m/media/upload", mid=upload["mid"])
        groups = server.ok("POST", "/u/group/list")["groups"]
        names = {group["gid"]: group["name"] for group in groups}
        state["users"] = {
            one["name"]: {"id": one["uid"]} for one in server.ok("POST", "/u/user/list")["users"] if one["uid"]
        }
        for item in server.ok("POST", "/t/trash/list")["items"]:
            state["trash"][f"{item['kind']} {item['name']}"] = {"id": item["id"], "trid": item["trid"]}
        for gid in sorted(names.keys() - {0}):
            self._group(gid, names, state)
        self._check_sums(state)
        return state

    def _group(self, gid: int, names: dict[int, str], state: State) -> None:
        server, name = self._server, names[gid]
        shown = server.ok("POST", "/u/group", gid=gid)
        quota = server.ok("POST", "/u/group/quota", gid=gid)
        pools = {one["mpid"]: one for one in server.ok("POST", "/m/pool/list", gid=gid)["pools"]}
        state["groups"][name] = {
            "id": gid,
            "parent": names[shown["parent_gid"]],
            "limits": quota["limits"],
            "members": {
                one["name"]: sorted(held["name"] for held in one["permissions"]) for one in shown["memberships"]
            },
            "pool": pools.get(POOL, {}).get("assigned"),
            "usage": {**quota["usage"], "bytes": sum(one["used"] for one in pools.values())},
        }
        for medium in server.ok("POST", "/m/media/list", gid=gid)["media"]:
            state["media"][medium["name"]] = self._medium(medium, name)
        for vm in server.ok("POST", "/v/vm/list", gid=gid)["vms"]:
            state["vms"][vm["name"]] = self._vm(vm, name)
        tasks = server.ok("POST", "/t/task/list", gid=gid)["tasks"]
        self.busy |= any(task["state"] == "RUNNING" for task in tasks)

    def _medium(self, medium: Thing, group: str) -> Thing:
        content = self._server.send("GET", f"/m/media/content/{medium['mid']}")
        readable = content.status_code == 200
        if not readable and content.status_code != 409:  # a VM writes to it
            self.wrong.append(f"medium {medium['name']!r} cannot be read: {content.status_code} {content.text[:200]}")
        if readable and medium["format"] == "raw" and len(content.content) != medium["size"]:
            self.wrong.append(f"medium {medium['name']!r} has {len(content.content)} bytes, not {medium['size']}")
        return {
            "id": medium["mid"], "group": group, "type": medium["type"], "size": medium["size"],
            "format": medium["format"], "mpid": medium["mpid"],
            "sum": hashlib.sha256(content.content).hexdigest() if readable else None,
        }  # fmt: skip

    def _vm(self, listed: Thing, group: str) -> Thing:
        vm = self._server.ok("POST", "/v/vm", vmid=listed["vmid"])
        self.busy |= vm["state"] in ("STARTING", "PAUSING", "RESUMING") or vm.get("restarting", False)
        return {
            "id": vm["vmid"], "group": group, "cpus": vm["cpus"], "memory": vm["memory_mib"], "state": vm["state"],
            "media": [one["mid"] for one in vm["media"]], "limits": [one.get("limits") for one in vm["media"]],
            "nics": [one["type"] for one in vm["nics"]], "forwards": [one["host_port"] for one in vm["forwards"]],
            "next_boot": "next_boot" in vm, "waiting": vm["waiting"],
        }  # fmt: skip

    def _check_sums(self, state: State) -> None:
        media = {one["id"] for one in state["media"].values()}
        for name, group in state["groups"].items():
            groups = below(state, name)
            vms = owned(state, "vms", groups)["vms"].values()
            sums = {
                "cpus": sum(vm["cpus"] for vm in vms),
                "memory_mib": sum(vm["memory"] for vm in vms),
                "vms": len(vms),
                "bytes": sum(one["size"] for one in owned(state, "media", groups)["media"].values()),
            }
            if group["pool"] is None and sums["bytes"] == 0:
                sums["bytes"] = group["usage"]["bytes"]  # it may see no pool at all
            usage = group.pop("usage")
            if usage != sums:
                self.wrong.append(f"group {name!r} is said to use {usage}, and what is there is {sums}")
        for name, vm in state["vms"].items():
            if not set(vm["media"]) <= media:
                self.wrong.append(f"VM {name!r} has a medium that is not there")


def pool(quota: int) -> Thing:
    """An assignment as the API shows it."""
    return {"quota": quota, "write": True, "manage": True}


ASSIGN = {"mpid": POOL, "write": True, "manage": True}
ASSIGN_OTHER = {**ASSIGN, "mpid": OTHER}
