"""What bounds a guest's process from outside: what is asked of systemd, and what is read back.

The control groups are a tree of files, so that this holds on hosts that have none of version 2; `test_units.py` asks
a systemd.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast
from uuid import UUID

import msgspec
import pytest

from tests.patience import PATIENCE, eventually
from velocity.hypervisor.port import Bus, DiskSpec, DisplaySpec, HostId, Incarnation, MachineSpec
from velocity.hypervisor.qemu import scopes
from velocity.hypervisor.qemu.live.change import Change
from velocity.hypervisor.qemu.scopes import Bounds
from velocity.storage.port import MediaRef

WHO = Incarnation(UUID(int=7), HostId(1), 3)
SPEC = MachineSpec("a name", 2, 1024, "pc-q35-7.2", "build")
SCOPE = "velocity.slice/velocity-x.scope"


class Tree:
    """The control groups of a host, and who is in which."""

    def __init__(self, place: Path) -> None:
        self.root, self.proc = place / "cgroup", place / "proc"
        self.put("self", "0::/system.slice/velocity.service\n")
        self.put("7", f"0::/{SCOPE}\n")

    def put(self, who: str, groups: str) -> None:
        (self.proc / who).mkdir(parents=True, exist_ok=True)
        (self.proc / who / "cgroup").write_text(groups)

    def bound(self, group: str, **bounds: str) -> None:
        (self.root / group).mkdir(parents=True, exist_ok=True)
        for name, bound in bounds.items():
            (self.root / group / name.replace("_", ".")).write_text(f"{bound}\n")

    def held(self) -> Bounds:
        return scopes.read_bounds(7, self.root, self.proc)


@pytest.fixture
def tree(tmp_path: Path) -> Tree:
    return Tree(tmp_path)


@pytest.mark.holds("ISOLATION-12")
def test_what_holds_is_read_from_the_control_group(tree: Tree) -> None:
    tree.bound(SCOPE, memory_max=str(2048 << 20), pids_max="1024", cpu_weight="100")
    assert tree.held() == Bounds(2048, 1024, 100)
    tree.bound(SCOPE, memory_max="max", pids_max="max")
    assert tree.held() == Bounds(None, None, 100), "systemd was asked for none, or somebody took it away"
    (tree.root / SCOPE / "cpu.weight").unlink()
    assert tree.held() == Bounds(), "a controller that is not there bounds nothing"


def test_a_bound_that_the_server_shares_is_none_of_the_guests(tree: Tree) -> None:
    tree.bound("system.slice/velocity.service", memory_max=str(2048 << 20), pids_max="1024")
    tree.put("7", "0::/system.slice/velocity.service\n")
    assert tree.held() == Bounds()


@pytest.mark.parametrize("groups", ["8:pids:/\n4:memory:/\n", f"4:memory:/{SCOPE}\n0::/\n"], ids=["version 1", "both"])
def test_control_groups_of_version_1_are_not_taken_for_bounds(tree: Tree, groups: str) -> None:
    tree.bound("", memory_max="1")
    tree.put("7", groups)
    tree.put("self", groups)
    assert tree.held() == Bounds()


def test_what_a_host_lacks_is_named_with_its_cure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    booted, root = tmp_path / "systemd", tmp_path / "cgroup"
    root.mkdir()
    assert "no systemd" in str(scopes.lacking(root, booted))
    booted.mkdir()
    assert "unified_cgroup_hierarchy" in str(scopes.lacking(root, booted))
    (root / "cgroup.controllers").touch()
    monkeypatch.setenv("PATH", str(tmp_path))
    assert "busctl" in str(scopes.lacking(root, booted))
    program(tmp_path, "")
    assert scopes.lacking(root, booted) is None


def program(place: Path, does: str) -> Path:
    """A busctl that does that, and what it was asked."""
    asked = place / "asked"
    (place / "busctl").write_text(f'#!/bin/sh\nprintf "%s\\n" "$@" >{asked}\n{does}\n')
    (place / "busctl").chmod(0o755)
    return asked


def test_systemd_is_asked_for_a_scope_with_all_bounds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = program(tmp_path, "")
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    monkeypatch.setattr("os.geteuid", lambda: 0)
    monkeypatch.delenv("MANAGERPID", raising=False)
    scopes.enter(4711, WHO, scopes.most_memory(SPEC), booted=tmp_path)
    words = asked.read_text().splitlines()
    assert words[0] == "--system"
    name = words.index(f"velocity-{WHO.machine}-3.scope")
    assert words[name : name + 3] == [words[name], "fail", "8"] and words[-1] == "0"
    for property_ in (
        "PIDs au 1 4711",
        f"MemoryMax t {scopes.most_memory(SPEC) << 20}",
        "TasksMax t 1024",
        "CPUWeight t 100",
        "Before as 1 velocity-guests.service",
    ):
        assert property_ in " ".join(words)
    monkeypatch.setenv("MANAGERPID", "1")
    scopes.enter(4711, WHO, scopes.most_memory(SPEC), booted=tmp_path)
    assert asked.read_text().startswith("--user\n"), "of the manager that has begun the server"


def test_a_start_goes_on_without_systemd_or_when_it_refuses(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    asked = program(tmp_path, "echo 'Call failed: no' >&2; exit 1")
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    with caplog.at_level(logging.WARNING):
        scopes.enter(4711, WHO, scopes.most_memory(SPEC), booted=tmp_path / "no systemd")
        assert not asked.exists() and not caplog.records
        scopes.enter(4711, WHO, scopes.most_memory(SPEC), booted=tmp_path)
        assert "Call failed: no" in caplog.text and str(WHO.machine) in caplog.text
        caplog.clear()
        (tmp_path / "busctl").unlink()
        monkeypatch.setenv("PATH", str(tmp_path))
        scopes.enter(4711, WHO, scopes.most_memory(SPEC), booted=tmp_path)
        assert "busctl" in caplog.text


def test_whatever_a_guest_has_its_process_may_take_more() -> None:
    least = scopes.most_memory(SPEC)
    assert least >= SPEC.memory + 1024
    disk = DiskSpec(MediaRef(0, UUID(int=1), "qcow2"), Bus.VIRTIO, readonly=False, cdrom=False)
    for more in ({"memory": 2048}, {"cpus": 3}, {"displays": (DisplaySpec("one", 800, 600),)}, {"disks": (disk,)}):
        spec = msgspec.structs.replace(SPEC, **more)
        assert scopes.most_memory(spec) > least + spec.memory - SPEC.memory


@pytest.mark.anyio
async def test_a_change_of_a_bound_that_is_cut_ends_before_the_next_one_begins(monkeypatch: pytest.MonkeyPatch) -> None:
    """Otherwise the earlier one, which is the lower one, might be the last."""
    begun, go_on, done = threading.Event(), threading.Event(), list[int]()

    def slow(_who: Incarnation, memory: int) -> None:
        begun.set()
        assert go_on.wait(PATIENCE)
        done.append(memory)

    monkeypatch.setattr(scopes, "bound", slow)
    run = SimpleNamespace(first_epoch=1, memory_of_disks=4)
    change = cast(Any, SimpleNamespace(qemu=SimpleNamespace(who=WHO), run=run))
    cut = asyncio.create_task(Change.bound_memory(change, 64))
    await eventually(begun.is_set)
    cut.cancel()
    await asyncio.wait({cut}, timeout=0.01)
    go_on.set()
    with pytest.raises(asyncio.CancelledError):
        await cut
    assert done == [68]
