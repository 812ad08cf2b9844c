"""The documented backup: what `velocity db export` names is copied, and becomes an installation on another host."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from tests.journeys.conftest import StartServer
from tests.journeys.server import Server

pytestmark = pytest.mark.guest

OLDER = "0123456789abcdef"


def velocity(data: Path, *words: str) -> str:
    """The command line on the host itself; what it says on either stream."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("VELOCITY_")}
    environment |= {"VELOCITY_DATA_DIR": str(data)}
    done = subprocess.run(
        [sys.executable, "-m", "velocity", *words],
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    return done.stdout + done.stderr


def pin_to_an_older_build(server: Server) -> None:
    """As if this host had another firmware today than when its VMs were made."""
    store = server.data / "firmware"
    (today,) = store.iterdir()
    shutil.copytree(today, store / OLDER)
    with closing(sqlite3.connect(server.data / "velocity.db")) as database, database:
        database.execute("update machines set spec = replace(spec, ?, ?)", (today.name, OLDER))


@pytest.mark.holds("DUR-23")
def test_what_the_export_names_is_enough_on_a_host_with_another_firmware(
    start_server: StartServer, tmp_path: Path
) -> None:
    server = start_server()
    mid = server.ok("PUT", "/m/media/create", mpid=1, gid=0, name="disk", size=1 << 20)["mid"]
    vmid = server.ok(
        "PUT", "/v/vm/efi", name="vm", gid=0, cpus=1, memory_mib=64, media=[{"mid": mid, "mode": "BLOCK"}]
    )["vmid"]
    server.end()
    pin_to_an_older_build(server)
    server.start()
    server.ok("PUT", "/v/vm/state", vmid=vmid, state="PAUSED")
    server.ok("PUT", "/v/vm/state", vmid=vmid, state="STOPPED", force=True)

    backup, restored = tmp_path / "backup", tmp_path / "data1"
    backup.mkdir()
    said = velocity(server.data, "db", "export", str(backup / "database"))
    named = [Path(line.split("  (")[0].strip()) for line in said.splitlines()[1:]]
    assert {path.parent for path in named} == {server.data}
    for directory in named:
        shutil.copytree(directory, backup / directory.name)
    server.close()
    shutil.rmtree(server.data)

    velocity(restored, "db", "import", str(backup / "database"))
    for directory in named:
        shutil.copytree(backup / directory.name, restored / directory.name, dirs_exist_ok=True)
    (restored / "firmware" / OLDER).rename(tmp_path / "forgotten")
    other = start_server()
    assert other.data == restored
    status, refused = other.call("PUT", "/v/vm/state", vmid=vmid, state="PAUSED")
    assert (status, refused["code"]) == (500, 13230)
    assert f"copy firmware/{OLDER}" in refused["message"], "the refusal says the cure"
    (tmp_path / "forgotten").rename(restored / "firmware" / OLDER)
    assert other.ok("PUT", "/v/vm/state", vmid=vmid, state="PAUSED")["state"] == "PAUSED"
