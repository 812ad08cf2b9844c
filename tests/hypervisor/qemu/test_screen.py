"""Pictures of a real QEMU: the firmware's screen, read by OCR, and no descriptor left behind, whatever the state."""

from __future__ import annotations

import asyncio
import io
import os
from pathlib import Path
from uuid import uuid4

import pytest
from PIL import Image

from tests.patience import eventually
from tests.ports.subjects import DEADLINE, HOST, NoMedia, until
from tests.processes import open_files
from velocity.config import Settings
from velocity.hypervisor.port import (
    DisplaySpec,
    HypervisorError,
    Incarnation,
    MachineSpec,
    SerialConsole,
    Stop,
    Unknown,
)
from velocity.hypervisor.qemu.driver import QemuHypervisor
from velocity.hypervisor.qemu.options import options
from velocity.hypervisor.qemu.screen import LIMIT, _read
from velocity.machines.consoles.ocr import Ocr
from velocity.machines.consoles.pictures import encoded

pytestmark = pytest.mark.anyio


@pytest.mark.holds("CONSOLE-7")
@pytest.mark.guest
async def test_the_firmwares_screen_is_read(tmp_path: Path, runtime: Path) -> None:
    driver, who, pid = await started(tmp_path, runtime)
    try:
        await shell(driver, who)
        picture = await driver.screens.shot(who, 0, deadline=DEADLINE)
        with Image.open(io.BytesIO(picture), formats=["PPM"]) as opened:
            colours = opened.convert("L").getcolors(256)
        assert colours is not None
        assert len(colours) > 1, "something stands on it"
        text = await Ocr(None).read(encoded(picture)[2], 0)
        assert "Shell" in text, text
        assert lent(pid) == 0

        await driver.machines.pause(who, deadline=DEADLINE)
        for _ in range(3):
            assert await driver.screens.shot(who, 0, deadline=DEADLINE) == picture, (
                "a guest that stands still shows the same"
            )
        assert lent(pid) <= 1, "QEMU closes nothing while the guest stands still: one is used again and again"
        await driver.machines.close()

        driver = QemuHypervisor(
            options(Settings(data_dir=tmp_path, runtime_dir=str(runtime), accelerator="auto", uid_base=40000)),
            NoMedia(tmp_path),
        )
        await driver.prepare()
        await driver.machines.adopt(HOST, deadline=DEADLINE)
        await driver.screens.shot(who, 0, deadline=DEADLINE)
        await driver.machines.resume(who, deadline=DEADLINE)
        await eventually(lambda: not lent(pid))
        await driver.screens.shot(who, 0, deadline=DEADLINE)
        assert lent(pid) == 0, "what an earlier server had lent is taken back as well"
        with pytest.raises(HypervisorError):
            await driver.screens.shot(who, 7, deadline=DEADLINE)
        assert lent(pid) == 0
    finally:
        await driver.machines.stop(who, Stop.NOW, deadline=DEADLINE)
        await driver.machines.close()


@pytest.mark.holds("CONSOLE-8")
@pytest.mark.guest
async def test_a_picture_has_a_deadline(tmp_path: Path, runtime: Path) -> None:
    driver, who, pid = await started(tmp_path, runtime)
    try:
        os.kill(pid, 19)  # SIGSTOP: QEMU answers nothing
        with pytest.raises(Unknown):
            await driver.screens.shot(who, 0, deadline=0.3)
        os.kill(pid, 18)
        await driver.screens.shot(who, 0, deadline=DEADLINE)
        await eventually(lambda: not lent(pid))
    finally:
        os.kill(pid, 18)
        await driver.machines.stop(who, Stop.NOW, deadline=DEADLINE)
        await driver.machines.close()


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "no picture"),
        (b"P5\n1 1\n255\nx", "no picture"),
        (b"P6\n0 9\n255\n", "no picture"),
        (b"P6\n2 2\n255\n" + b"x" * 11, "incomplete"),
        (f"P6\n{LIMIT} 1\n255\n".encode(), "too large"),
    ],
)
def test_what_is_no_picture_is_refused(content: bytes, said: str) -> None:
    file = os.memfd_create("test")
    os.write(file, content)
    with pytest.raises(HypervisorError, match=said):
        _read(os.dup(file))
    assert os.fstat(file).st_size == 0
    os.close(file)


async def started(tmp_path: Path, runtime: Path) -> tuple[QemuHypervisor, Incarnation, int]:
    driver = QemuHypervisor(
        options(Settings(data_dir=tmp_path, runtime_dir=str(runtime), accelerator="auto", uid_base=40000)),
        NoMedia(tmp_path),
    )
    await driver.prepare()
    who = Incarnation(uuid4(), HOST, 1)
    facts = driver.hosts.about(HOST)
    display = DisplaySpec("screen", 1280, 720)
    spec = MachineSpec("x", 1, 128, facts.machine_type, facts.firmware, displays=(display,))
    await driver.machines.start(who, spec, deadline=DEADLINE)
    (note,) = runtime.glob("*/*/run.json")
    return driver, who, int(note.read_text().partition('"pid":')[2].partition(",")[0])


async def shell(driver: QemuHypervisor, who: Incarnation) -> None:
    """Wait for the firmware's own shell."""
    serial = await driver.consoles.open(who, SerialConsole(), deadline=DEADLINE)
    await until(serial, b"any other key")
    await serial.write(b"\r")
    await until(serial, b"Shell>")
    await serial.close()
    await asyncio.sleep(0.5)


def lent(pid: int) -> int:
    """How many files of ours the process has open."""
    return sum("velocity-screen" in one for one in open_files(pid))
