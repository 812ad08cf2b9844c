"""A user with every right on one group asks for as much as 32 connections can: what all others feel of it.

Each storm goes on for some seconds, with the next request as soon as one is answered. Every refusal must name the
setting that bounds what was asked for. VMs are in memory alone (`bench.faked`).
"""

from __future__ import annotations

import json
import re
import time
from base64 import b64encode
from collections.abc import Callable
from typing import Any

import msgspec

from bench.actors import Pulse
from bench.crowd import Crowd, Tally
from bench.files import medium
from bench.harness import Bench
from bench.seed import World, key, seed
from bench.server import Client, Velocity, Wrong
from velocity.config import Settings
from velocity.contract.permissions import Permission

ROUNDS = 3
CONNECTIONS, SECONDS, IDLE = 32, 4.0, 2.0
WORLD = World(vms=2_000, media=500, users=1, groups=1)
GID, USER = 1, 1
SCREENS = 16
"""VMs of the group that run and have a display."""
READ = "state read's p99"
FILE = "x" * (64 << 10)
_SETTING = re.compile("|".join(field.name for field in msgspec.structs.fields(Settings) if "_" in field.name))


def main() -> None:
    bench = Bench("storms", "a user's storms, and another user's reads")
    with Velocity(fake=True) as server:
        seed(server, WORLD)
        server.start()
        root = server.client()
        for permission in Permission:
            root.call("PUT", "/u/user/permission", uid=USER, gid=GID, permission=permission.value)
        other = server.reference_vm(root, "read", disk=False)
        answered: dict[str, dict[int, int]] = {}

        def idle() -> None:
            with Pulse(server, other) as alone:
                time.sleep(IDLE)
            bench.add(f"{READ}, idle", "ms", alone.p99)

        def turn(name: str, fields: dict[str, Any]) -> Callable[[], None]:
            def run() -> None:
                with (
                    Crowd("requests", port=server.port, connections=CONNECTIONS, **fields) as crowd,
                    Pulse(server, other) as meanwhile,
                ):
                    time.sleep(SECONDS)
                check(name, crowd.tally)
                answered[name] = crowd.tally.statuses
                bench.add(f"{READ} during {name}", "ms", meanwhile.p99)

            return run

        storms = kinds(running(Client(server.port, key(USER))))
        bench.rounds(ROUNDS, [idle, *(turn(name, fields) for name, fields in storms.items())], warm=0)
    for name in storms:
        bench.goal(f"{READ} during {name}", f"{READ}, idle", factor=5)
    bench.notes.append(f"answers in {SECONDS:g} s of the last round, by status: {words(answered)}")
    bench.finish()


def running(greedy: Client) -> list[int]:
    """VMs that run."""
    displays = [{"name": "screen", "width": 640, "height": 400}]
    vmids = []
    for number in range(SCREENS):
        fields = {"name": f"screen {number}", "gid": GID, "cpus": 1, "memory_mib": 64, "displays": displays}
        vmids.append(greedy.call("PUT", "/v/vm/efi", **fields)["vmid"])
        greedy.call("PUT", "/v/vm/state", vmid=vmids[-1], state="RUNNING")
    return vmids


def kinds(vmids: list[int]) -> dict[str, dict[str, Any]]:
    """The fields of `Requesting` for each storm."""
    bearer = {"authorization": f"Bearer {key(USER)}"}
    vm = {"gid": GID, "cpus": 1, "memory_mib": 64}

    def ask(method: str, path: str, **fields: object) -> dict[str, Any]:
        return {"method": method, "path": path, "headers": bearer, "body": json.dumps(fields)}

    file = {**medium(key(USER), "file @"), "x-velocity-gid": str(GID)}
    about = {"mpid": "1", "gid": str(GID), "type": "DISK", "readonly": "false"}
    metadata = ",".join(f"{name} {b64encode(value.encode()).decode()}" for name, value in about.items())
    tus = {"tus-resumable": "1.0.0", "upload-length": "1", "upload-metadata": f"{metadata},name *"}
    return {
        "creations of VMs": ask("PUT", "/v/vm/efi", name="vm @", **vm),
        "lists of VMs": ask("POST", "/v/vm/list", gid=GID),
        "streams of events": {"method": "GET", "path": "/v/events", "headers": bearer},
        "tickets for consoles": ask("POST", "/v/vm/console", vmid=vmids[0], kind="serial"),
        "uploads": {"method": "PUT", "path": "/m/media/upload", "headers": file, "body": FILE},
        "resumable uploads": {"method": "POST", "path": "/m/media/tus", "headers": {**bearer, **tus}},
        "plans of VMs": ask("PUT", "/v/vm/efi", name="planned", plan=True, **vm),
        "searches of screens": ask("POST", "/v/vm/screen/search", text="velocity"),
        "pictures of screens": ask("POST", "/v/vm/screen", vmid=vmids[1]),
        "readings of screens": ask("POST", "/v/vm/screen", vmid=vmids[2], text=True),
    }


def check(name: str, tally: Tally) -> None:
    """All was answered, and what was refused has named its bound."""
    if not tally.answers or set(tally.statuses) - {200, 201, 406, 429}:
        raise Wrong(f"{name}: {tally.statuses}, {tally.refusals[:1]}")
    for message in tally.refusals:
        if not _SETTING.search(message):
            raise Wrong(f"{name}: a refusal names no setting: {message}")


def words(answered: dict[str, dict[int, int]]) -> str:
    return "; ".join(
        f"{name} " + ", ".join(f"{count} of {status}" for status, count in sorted(statuses.items()))
        for name, statuses in answered.items()
    )


if __name__ == "__main__":
    main()
