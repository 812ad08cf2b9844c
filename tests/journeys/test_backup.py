"""The documented procedures, typed as they stand: backup and restoring, upgrade and the way back, PostgreSQL."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from tests.journeys.documents import Site, blocks, other_firmware
from tests.postgres import Postgres
from velocity.cli.demo.guest import Guest

pytestmark = pytest.mark.guest

SECONDS = 240
"""For a guest to boot, on however slow a host."""


@pytest.fixture
def sites(tmp_path: Path, runtime: Path) -> Iterator[list[Site]]:
    """Those that a test makes in these directories, which go after them; their guests and servers are ended."""
    made: list[Site] = []
    yield made
    for site in made:
        if site.server.process is not None and site.server.process.poll() is None:
            site.server.close()
        assert site.server.processes() == [], "a journey left machines behind"


def two_hosts(sites: list[Site], place: Path, runtime: Path) -> tuple[Site, Site]:
    """One, and another with another firmware, whose directories are elsewhere."""
    first = Site(place / "first", runtime / "1")
    second = Site(place / "second", runtime / "2", *other_firmware(place / "firmware"))
    sites += [first, second]
    for site in sites:
        site.places["/srv/backup"] = str(place / "backup")
    return first, second


def of_a_newer_qemu(export: Path) -> None:
    """The VM called future was made where machine types are newer."""
    lines = export.read_text().splitlines(keepends=True)
    changed = [line.replace("pc-q35-", "pc-q35-99") if '"future"' in line else line for line in lines]
    assert changed != lines
    export.write_text("".join(changed))


@pytest.mark.holds("DUR-23", "GUEST-31")
def test_a_guest_of_one_host_starts_on_another_by_the_documented_backup_and_without_its_firmware_by_vm_set(
    sites: list[Site], tmp_path: Path, runtime: Path, guest: Guest
) -> None:
    first, second = two_hosts(sites, tmp_path, runtime)
    first.server.start()
    mid = first.server.upload("guest.iso", guest.iso.read_bytes())
    disk = first.server.ok("PUT", "/m/media/create", mpid=1, gid=0, name="disk", size=1 << 20)["mid"]
    media = [{"mid": mid, "mode": "VIRTIO"}, {"mid": disk, "mode": "BLOCK"}]
    vms = [("web", 256, media), ("future", 64, [])]
    body = [{"name": name, "gid": 0, "cpus": 1, "memory_mib": mib, "media": its} for name, mib, its in vms]
    web, future = [first.server.ok("PUT", "/v/vm/efi", **one)["vmid"] for one in body]
    first.server.ok("PUT", "/v/vm/state", vmid=web, state="PAUSED")
    first.server.ok("PUT", "/v/vm/state", vmid=web, state="STOPPED", force=True)
    (backup,) = blocks("backup.md", "Making a backup")
    said = first.type(backup)
    for directory in ("machines", "firmware", "pools", "media"):
        assert f"{first.data}/{directory}" in said, "the export names what is copied"
    first.server.close()
    shutil.rmtree(first.data)

    of_a_newer_qemu(tmp_path / "backup" / "velocity.export")
    restore, of_this_host = blocks("backup.md", "Restoring, on this host or another")
    second.type(restore)
    (kept,) = [one.name for one in (second.data / "firmware").iterdir() if one.name in said_firmware(second, web)]
    second.server.ok("PUT", "/v/vm/state", vmid=web, state="RUNNING")
    console = second.server.console(web)
    console.until(b"BdsDxe: starting Boot", SECONDS)
    console.close()
    second.server.ok("PUT", "/v/vm/state", vmid=web, state="STOPPED", force=True)

    refused = second.refused("velocity vm start future")
    assert "does not have the machine type pc-q35-99" in refused and "--machine latest" in refused
    second.type(of_this_host.replace("web", "future"))
    second.server.ok("PUT", "/v/vm/state", vmid=future, state="STOPPED", force=True)
    shutil.rmtree(second.data / "firmware" / kept)
    status, answer = second.server.call("PUT", "/v/vm/state", vmid=web, state="RUNNING")
    assert (status, answer["code"]) == (500, 13230)
    refused = second.refused("velocity vm start web")
    assert f"copy firmware/{kept}" in refused and "`velocity vm set VM --firmware host`" in refused
    second.type(of_this_host)
    console = second.server.console(web)
    console.boot(SECONDS)
    console.close()
    assert kept not in said_firmware(second, web)


def said_firmware(site: Site, vmid: int) -> str:
    return str(site.server.ok("POST", "/v/vm", vmid=vmid)["firmware"])


@pytest.mark.holds("GUEST-31")
def test_the_documented_upgrade_the_way_back_and_the_move_to_postgresql(
    sites: list[Site], tmp_path: Path, runtime: Path, postgres: Postgres
) -> None:
    site = Site(tmp_path / "site", runtime)
    sites.append(site)
    site.places["/srv/backup"] = str(tmp_path / "backup")
    site.server.start()
    vmid = site.server.ok("PUT", "/v/vm/efi", name="vm", gid=0, cpus=1, memory_mib=64)["vmid"]
    site.server.ok("PUT", "/v/vm/state", vmid=vmid, state="PAUSED")
    guests = site.server.processes()
    export, restart, back = blocks("upgrade.md", "Upgrading")
    site.type(export)
    site.type(restart)
    assert site.server.state(vmid)["state"] == "PAUSED"
    with closing(sqlite3.connect(site.data / "velocity.db")) as database, database:
        database.execute("update alembic_version set version_num = '9999'")
    site.type(back)
    assert site.server.state(vmid)["state"] == "PAUSED"

    created, (setting,) = blocks("install.md", "PostgreSQL"), blocks("install.md", "PostgreSQL", "toml")
    admin = postgres.url("postgres", postgres.socket.parent)
    site.type(created[0], **{"sudo -u postgres psql": f"psql -q '{admin}'"})
    leave, go_on = blocks("backup.md", "Moving to PostgreSQL")
    site.type(leave)
    there = str(postgres.socket.parent).replace("/", "%2F")
    assert "127.0.0.1:5432" in setting
    site.config.write_text(setting.replace("127.0.0.1:5432", there) + site.config.read_text())
    site.type(go_on)
    assert site.server.state(vmid)["state"] == "PAUSED"
    assert site.server.processes() == guests, "the same guest all the time"
    (site.data / "velocity.db").unlink()
    site.type(restart)
    assert site.server.state(vmid)["state"] == "PAUSED"
