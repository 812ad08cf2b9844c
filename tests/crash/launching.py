"""`velocity launch`, the command, cut somewhere between the fetch and the start, and called again."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any

from tests.api.origin import lasting_origin, seeded
from tests.crash import machines
from tests.crash.model import State
from tests.crash.server import Answer, Server
from tests.crash.world import Request, World, Wrong, made

SEEDS = {"a": range(1, 5), "b": range(5, 9)}
"""Of each worker's images; when all are there, the last one is used again."""
SIZE = 1 << 20
PATIENCE = 120.0
"""Seconds for a command on a machine with much to do."""


@cache
def _sum(seed: int) -> str:
    return hashlib.sha256(seeded(seed, SIZE)).hexdigest()


def write_catalogue(file: Path) -> None:
    """Of images for both workers."""
    file.write_text(
        "\n".join(
            f'[[images]]\nname = "{prefix}-image-{seed}"\ntitle = "{seed}"\nversion = "1"\nuser = "ann"\n'
            f'url = "{lasting_origin()}/{seed}/{SIZE}"\nsha256 = "{_sum(seed)}"\n'
            for prefix, seeds in SEEDS.items()
            for seed in seeds
        )
    )


def launch(world: World) -> Request:
    """Called again, it ends where it would have ended: one image, one disk, one VM that runs."""
    machines.end_others(world, "STOPPED")
    has = sum(name.startswith(f"{world.prefix}-image-") for name in world.state["media"])
    seed = SEEDS[world.prefix][min(has, len(SEEDS[world.prefix]) - 1)]
    image, name = f"{world.prefix}-image-{seed}", world.name("vm")
    words = ["launch", image, "--name", name, "--group", f"id:{world.id('groups', world.top)}", "--no-wait"]
    words += ["--cpus", "1", "--memory", "96M", "--json"]

    def send(server: Server) -> Answer:
        environment = {one: value for one, value in os.environ.items() if not one.startswith("VELOCITY_")}
        environment |= {
            "VELOCITY_SERVER": f"http://127.0.0.1:{server.port}", "VELOCITY_AUTHKEY": server.key,
            "XDG_STATE_HOME": str(server.home / "state"), "XDG_CONFIG_HOME": str(server.home / "config"),
        }  # fmt: skip
        done = subprocess.run(
            [sys.executable, "-m", "velocity", *words], env=environment, capture_output=True, text=True,
            stdin=subprocess.DEVNULL, timeout=PATIENCE, check=False,
        )  # fmt: skip
        if done.returncode == 0:
            return 200, {"vmid": json.loads(done.stdout)["vmid"]}
        server.ok("POST", "/u/group/list")  # raises `Cut` where the server is gone: so it was
        raise Wrong(f"launch ended with {done.returncode}: {done.stderr[-1000:]}")

    def applied(state: State, answer: dict[str, Any]) -> None:
        fields = {"group": world.top, "type": "DISK", "size": SIZE, "format": "qcow2", "sum": None}
        for medium in (image, f"{name}-disk"):
            made("media", medium, "mid", **fields)(state, {})
        vm = {"cpus": 1, "memory": 96, "media": None, "limits": [None], "state": "RUNNING", "next_boot": False}
        made("vms", name, "vmid", group=world.top, **vm)(state, answer)

    return Request("launch", applied=applied, send=send, resumes=True)
