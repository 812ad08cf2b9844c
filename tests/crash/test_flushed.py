"""What was acknowledged is on the disk: a move of a file is followed by a flush of its directory, before the answer.

Counted at the calls, as no crash of a process can show it: only one of the host would.
"""

from __future__ import annotations

import hashlib
import os
import stat
import subprocess
from pathlib import Path
from typing import Any
from uuid import uuid4

import click
import msgspec
import pytest

from tests.api.images import wait
from tests.api.world import World, migrated, world
from tests.ports.subjects import NoMedia
from velocity import promotion
from velocity.cli.output_file import replacing
from velocity.config import Settings
from velocity.hosts.members import CopyMark, CopyPiece
from velocity.hypervisor.port import HostId, Incarnation, MachineSpec
from velocity.hypervisor.qemu import firmware, launch
from velocity.hypervisor.qemu.directories import HostDirectories
from velocity.hypervisor.qemu.runs import Runs
from velocity.hypervisor.qemu.spool import bounds
from velocity.network import nat_networks
from velocity.node import identity, places
from velocity.node.copies import KeptCopies

pytestmark = pytest.mark.anyio


class Disk:
    """What is moved and flushed below a directory."""

    def __init__(self, root: Path) -> None:
        self._root = str(root)
        self.moved: set[str] = set()
        """Where files lie now that were moved there, while their directory was not flushed yet."""
        self.moves = 0
        self.flushed: set[int] = set()
        """Inodes of files."""

    def move(self, source: str, target: str) -> None:
        if target.startswith(self._root):
            self.moves += 1
            self.moved.discard(source)
            self.moved.add(target)

    def remove(self, file: str) -> None:
        self.moved.discard(file)

    def flush(self, descriptor: int) -> None:
        status = os.fstat(descriptor)
        directory = Path(f"/proc/self/fd/{descriptor}").readlink()
        if stat.S_ISDIR(status.st_mode):
            self.moved = {file for file in self.moved if Path(file).parent != directory}
        else:
            self.flushed.add(status.st_ino)


@pytest.fixture
def disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Disk:
    seen = Disk(tmp_path)
    rename, replace, unlink, fsync, fdatasync = os.rename, os.replace, os.unlink, os.fsync, os.fdatasync

    def moving(original: Any) -> Any:
        def move(source: Any, target: Any, **more: Any) -> None:
            original(source, target, **more)
            seen.move(os.fspath(source), os.fspath(target))

        return move

    def remove(file: Any, **more: Any) -> None:
        unlink(file, **more)
        seen.remove(os.fspath(file))

    def flushing(original: Any) -> Any:
        def flush(descriptor: int) -> None:
            original(descriptor)
            seen.flush(descriptor)

        return flush

    monkeypatch.setattr(os, "rename", moving(rename))
    monkeypatch.setattr(os, "replace", moving(replace))
    monkeypatch.setattr(os, "unlink", remove)
    monkeypatch.setattr(os, "fsync", flushing(fsync))
    monkeypatch.setattr(os, "fdatasync", flushing(fdatasync))
    return seen


async def _made(w: World, path: str, mid: str, name: str) -> None:
    task = await wait(w, await w.ok("PUT", path, mid=mid, gid=0, mpid=1, name=name))
    assert task["state"] == "DONE", task


@pytest.mark.holds("DUR-44")
async def test_every_move_is_followed_by_a_flush_of_its_directory_before_the_answer(disk: Disk, tmp_path: Path) -> None:
    subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", str(tmp_path / "image"), "1M"], check=True)
    async with world(tmp_path / "data") as w:
        assert disk.moves >= 3, "a key, a pool's mark and its record"
        assert not disk.moved, "the start"
        gid = await w.group("a")
        await w.ok("PUT", "/m/pool/assign", gid=gid, mpid=1, manage=True)
        mid = await w.medium()
        image = (await w.upload((tmp_path / "image").read_bytes()))["mid"]
        await w.medium("of the group", gid=gid)
        assert not disk.moved, "made"
        await _made(w, "/m/media/clone", mid, "clone")
        await _made(w, "/m/media/import", image, "import")
        assert not disk.moved, "made of others"
        await w.ok("DELETE", "/m/media", mid=mid)
        assert not disk.moved, "deleted"
        await w.ok("DELETE", "/u/group", gid=gid)
        assert not disk.moved, "deleted with its group"
        for item in (await w.ok("POST", "/t/trash/list"))["items"]:
            await w.ok("PUT", "/t/trash", trid=item["trid"])
            assert not disk.moved, "restored"
        moves = disk.moves
        await w.ok("DELETE", "/m/media", mid=mid)
        files = [file for file in w.files() if mid in file]
    (trashed,) = files
    pool = tmp_path / "data" / "media"
    (pool / trashed).rename(pool / ".moving" / Path(trashed).name)  # as a crash after the commit leaves it
    disk.moved.clear()
    async with world(tmp_path / "data") as w:
        assert disk.moves > moves + 3
        assert not disk.moved, "put in order by a start"


@pytest.mark.holds("DUR-94")
def test_what_a_command_replaces_is_on_the_disk_before(disk: Disk, tmp_path: Path) -> None:
    backup = tmp_path / "backup"
    backup.write_bytes(b"of yesterday")
    with click.Context(click.Command("copy")), replacing(backup) as out:
        out.write(b"of today")
    assert disk.moves == 1 and backup.stat().st_ino in disk.flushed


@pytest.mark.holds("DUR-44")
def test_a_promotion_is_on_the_disk(disk: Disk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each move before the next one: else the host could be neither a node nor a server."""
    data = migrated()
    mark, digest = CopyMark(term=1, written=1), hashlib.sha256(data).hexdigest()
    KeptCopies(places.copies(tmp_path)).take(CopyPiece(mark, 1, len(data), digest, 0, data))
    was = identity.NodeIdentity(uuid4(), 2, "b", 2, [], "", "", "", "", 0, 0)
    places.identity(tmp_path).write_bytes(msgspec.json.encode(was))
    copy = promotion.newest_copy(tmp_path)
    assert copy is not None
    before: list[set[str]] = []
    move = disk.move

    def moving(source: str, target: str) -> None:
        before.append(set(disk.moved))
        move(source, target)

    monkeypatch.setattr(disk, "move", moving)
    promotion.promote_node(Settings(data_dir=tmp_path), was, copy)
    assert before == [set()] * 3, "the database, who the machine is, and that it is no node"
    assert not disk.moved


@pytest.mark.holds("DUR-44")
def test_firmware_variables_are_on_the_disk_before_their_machine_starts(disk: Disk, tmp_path: Path) -> None:
    kept = firmware.keep(firmware.find(), tmp_path / "firmware")
    runs = Runs(tmp_path / "runs", "a", None)
    files = NoMedia(tmp_path)
    place = HostDirectories("", "", tmp_path / "firmware", tmp_path / "machines", runs, files, False, bounds(tmp_path))
    who = Incarnation(uuid4(), HostId(1), 1)
    disk.moved.clear()
    os.close(launch.prepare_state(place, who, MachineSpec("a", 1, 64, "q35", kept.build)))
    assert disk.moves == 2
    assert not disk.moved
    assert (tmp_path / "machines" / str(who.machine) / "vars.qcow2").stat().st_ino in disk.flushed


def test_a_firmware_that_is_kept_is_on_the_disk_before_a_machine_is_pinned_to_it(disk: Disk, tmp_path: Path) -> None:
    found = firmware.find()
    kept = firmware.keep(found, tmp_path / "firmware")
    assert disk.moves == 1
    assert not disk.moved
    assert {kept.code.stat().st_ino, kept.vars.stat().st_ino} <= disk.flushed


@pytest.mark.holds("DUR-44")
def test_the_networks_of_nat_are_on_the_disk_with_what_is_in_their_file(tmp_path: Path, disk: Disk) -> None:
    chosen = nat_networks.settled(file := tmp_path / "nat.json", "", "nobridge")
    assert file.stat().st_ino in disk.flushed, "an empty file would give running guests another network"
    assert (disk.moves, disk.moved) == (1, set())
    kept = nat_networks.kept(file)
    assert kept is not None and kept.v4 == chosen.v4
