"""The firmware variables that new machines begin with: of a boot of nothing, made behind, once for each build."""

from __future__ import annotations

import asyncio
import logging
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from uuid import uuid4

import pytest

from tests.hypervisor.qemu.variables import names
from tests.patience import PATIENCE, at_last
from tests.ports.subjects import NoMedia, QemuSubject
from velocity.hypervisor.port import HostId, Incarnation, MachineSpec
from velocity.hypervisor.qemu import firmware, first_boot, launch
from velocity.hypervisor.qemu.directories import HostDirectories
from velocity.hypervisor.qemu.firmware import FirmwareBuild
from velocity.hypervisor.qemu.processes import start_time
from velocity.hypervisor.qemu.runs import Runs
from velocity.hypervisor.qemu.spool import bounds

pytestmark = pytest.mark.anyio

QEMU = "qemu-system-x86_64"
IMPORTS = """import asyncio; from pathlib import Path; from velocity.hypervisor.qemu import first_boot; \
from velocity.hypervisor.qemu.firmware import FirmwareBuild"""


@pytest.fixture
def build(tmp_path: Path) -> FirmwareBuild:
    return firmware.keep(firmware.find(), tmp_path / "firmware")


def program(tmp_path: Path, *lines: str) -> str:
    file = tmp_path / "qemu"
    file.write_text("\n".join(["#!/bin/sh", *lines]))
    file.chmod(0o755)
    return str(file)


@pytest.mark.guest
@pytest.mark.holds("GUEST-89")
async def test_a_boot_of_nothing_fills_the_template_with_nothing_of_a_machine(build: FirmwareBuild) -> None:
    worker = 1_010_000 if os.geteuid() == 0 else None
    before = build.vars.read_bytes()
    async with asyncio.timeout(PATIENCE):
        await first_boot.make(QEMU, build, worker, behind=False)
    assert sorted(file.name for file in build.vars.parent.iterdir()) == ["booted.qcow2", "code.fd", "vars.qcow2"]
    assert build.vars.read_bytes() == before and not names(build.vars)
    found = names(build.booted)
    assert {"ConOut", "PlatformLang", "Timeout"} <= found, "what a firmware writes at its first boot"
    assert not [name for name in found if name.startswith(("Boot", "Key", "MTC"))], "and what it boots is not there"


@pytest.mark.holds("GUEST-89")
async def test_new_machines_begin_with_it_and_others_keep_their_own(build: FirmwareBuild, tmp_path: Path) -> None:
    place = HostDirectories(
        "", "", build.vars.parents[1], tmp_path / "machines", Runs(tmp_path / "runs", "a", None), NoMedia(tmp_path),
        False, bounds(tmp_path),
    )  # fmt: skip

    def begun(who: Incarnation) -> bytes:
        os.close(launch.prepare_state(place, who, MachineSpec("a", 1, 64, "q35", build.build)))
        return (tmp_path / "machines" / str(who.machine) / "vars.qcow2").read_bytes()

    old, new = (Incarnation(uuid4(), HostId(1), 1) for _ in range(2))
    installed = build.vars.read_bytes()
    assert begun(old) == installed, "as long as there is none"
    booted = installed[:-1] + bytes([installed[-1] ^ 1])
    build.booted.write_bytes(booted)
    assert (begun(new), begun(old)) == (booted, installed)


@pytest.mark.holds("GUEST-89")
@pytest.mark.parametrize(
    ("lines", "patience", "words"),
    [
        (["echo no such machine >&2", "exit 1"], 60, "no such machine"),
        (["exec sleep 600"], 0.1, "took more than 0 s"),
        (["printf 'BdsDxe: starting'", "exit 3"], 60, "QEMU ended with 3"),
        (["printf 'BdsDxe: starting'", "head -c 65536 /dev/zero >/dev/fd/$VARS"], 60, "an unknown layout"),
    ],
)
async def test_what_fails_is_told_and_leaves_no_template(
    build: FirmwareBuild,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    lines: list[str],
    patience: float,
    words: str,
) -> None:
    """QEMU refuses, hangs, dies at its end, or leaves what is not laid out as variables are."""
    spoil = "for word; do case $word in fd=*,set=2) VARS=${word#fd=}; VARS=${VARS%,*};; esac; done"
    binary = program(tmp_path, spoil, *lines)
    files = sorted(build.vars.parent.iterdir())
    with caplog.at_level(logging.WARNING):
        await first_boot.later(binary, build, None, settled=0.0, longest=patience)
    assert words in caplog.text and "new VMs begin with empty firmware variables" in caplog.text
    assert sorted(build.vars.parent.iterdir()) == files and build.template == build.vars


@pytest.mark.holds("GUEST-89")
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_it_ends_with_the_server_that_makes_it(build: FirmwareBuild, tmp_path: Path, number: signal.Signals) -> None:
    said = tmp_path / "pid"
    binary = program(tmp_path, f"echo $$ >{said}.draft", f"mv {said}.draft {said}", "exec sleep 600")
    work = f"first_boot.make({binary!r}, FirmwareBuild(Path({str(build.code)!r}), Path({str(build.vars)!r}), ''), None)"
    server = subprocess.Popen(
        [sys.executable, "-c", f"{IMPORTS}; asyncio.run({work})"], stderr=subprocess.DEVNULL, start_new_session=True
    )
    at_last(said.exists, "the program's begin")
    began = start_time(pid := int(said.read_text()))
    assert began is not None
    server.send_signal(number)
    server.wait(PATIENCE)
    at_last(lambda: start_time(pid) != began, "the program's end")


async def test_it_is_made_once(build: FirmwareBuild, tmp_path: Path) -> None:
    shutil.copyfile(build.vars, build.booted)
    mark = tmp_path / "asked"
    await first_boot.later(program(tmp_path, f"touch {mark}"), build, None, settled=0.0)
    assert not mark.exists()


@pytest.mark.holds("GUEST-89")
async def test_a_host_without_one_makes_it_behind_and_not_when_it_is_closed(tmp_path: Path, runtime: Path) -> None:
    def waiting() -> int:
        return sum(getattr(task.get_coro(), "__name__", "") == "later" for task in asyncio.all_tasks())

    subject = QemuSubject(tmp_path, runtime)
    await subject.open()
    assert waiting() == 1
    await subject.close()
    assert waiting() == 0
