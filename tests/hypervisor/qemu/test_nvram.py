"""The bit for the firmware's setup, in variables as QEMU's firmware keeps them and as a guest might lay them out."""

from __future__ import annotations

import os
import shutil
import struct
import subprocess
from collections.abc import Callable
from pathlib import Path
from uuid import UUID

import pytest

from tests.hypervisor.qemu.variables import names, raw, store, variable
from velocity.hypervisor.qemu import firmware, nvram


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return firmware.keep(firmware.find(), tmp_path_factory.mktemp("firmware")).vars


@pytest.fixture
def variables(template: Path, tmp_path: Path) -> Path:
    return Path(shutil.copyfile(template, tmp_path / "vars.qcow2"))


def ask(file: Path) -> None:
    descriptor = os.open(file, os.O_RDWR)
    try:
        nvram.ask_for_setup(descriptor)
    finally:
        os.close(descriptor)


@pytest.mark.holds("GUEST-86")
def test_the_bit_is_set_in_a_variable_behind_all_others_and_the_old_one_is_none(variables: Path) -> None:
    before = raw(variables)
    for times in (1, 2):
        ask(variables)
        after = raw(variables)
        places = [at for at in range(len(after)) if after.startswith(nvram.NAME + nvram.BOOT_TO_SETUP, at)]
        assert len(places) == times
        states = [after[at - nvram.HEAD.size + 2] for at in places]
        assert states == [nvram.ADDED & nvram.DELETED] * (times - 1) + [nvram.ADDED]
        end = before.index(b"\xff" * 1024)
        assert after[: end - 3] == before[: end - 3], "no other variable is touched"
    subprocess.run(["qemu-img", "check", "-q", variables], check=True)


@pytest.mark.holds("GUEST-89")
def test_what_can_be_booted_and_how_often_it_was_is_forgotten_and_nothing_else(variables: Path, tmp_path: Path) -> None:
    own = UUID(int=7)
    boots = [*(f"Boot{one}" for one in ("0000", "00AF", "Order", "Next")), "Key0000"]
    others = [(nvram.GLOBAL, "BootOptionSupport"), (nvram.GLOBAL, "ConOut"), (own, "Boot0000"), (own, "a")]
    forgotten = [*((nvram.GLOBAL, name) for name in boots), (nvram.COUNTER, "MTC")]
    volume = bytearray(raw(variables))
    at = store(bytes(volume)) + nvram.STORE_HEAD
    for guid, name in (*forgotten, *others):
        one = variable(guid, name, b"data")
        volume[at : at + len(one)] = one
        at += len(one)
    plain = tmp_path / "plain"
    plain.write_bytes(volume)
    subprocess.run(["qemu-img", "convert", "-f", "raw", "-O", "qcow2", plain, variables], check=True)
    with variables.open("r+b") as file:
        nvram.forget_boots(file.fileno())
    assert names(variables) == {name for _, name in others}
    after = raw(variables)
    assert sum(one != other for one, other in zip(volume, after, strict=True)) == len(forgotten), "a bit of each"


def patched(place: Callable[[bytes], int], data: bytes) -> Callable[[bytearray], None]:
    def work(volume: bytearray) -> None:
        at = place(bytes(volume))
        volume[at : at + len(data)] = data

    return work


@pytest.mark.holds("GUEST-86")
@pytest.mark.parametrize(
    "spoil",
    [
        patched(lambda _: 40, b"none"),
        patched(store, bytes(16)),
        patched(lambda volume: store(volume) + 16, struct.pack("<I", 1 << 31)),
        patched(lambda volume: store(volume) + 16, struct.pack("<I", 60)),
        patched(
            lambda volume: store(volume) + nvram.STORE_HEAD, nvram.HEAD.pack(0x55AA, 0x3F, 7, 0, 0, 1 << 31, 8, b"")
        ),
        patched(lambda volume: volume.index(b"\xff" * 1024) + 64, b"something"),
    ],
    ids=["volume", "store", "a store beyond the file", "a full store", "a long name", "what is not free"],
)
def test_what_is_laid_out_otherwise_is_left_alone(
    variables: Path, tmp_path: Path, spoil: Callable[[bytearray], None]
) -> None:
    volume = bytearray(raw(variables))
    spoil(volume)
    plain = tmp_path / "spoilt"
    plain.write_bytes(volume)
    subprocess.run(["qemu-img", "convert", "-f", "raw", "-O", "qcow2", plain, variables], check=True)
    before = variables.read_bytes()
    with pytest.raises(nvram.NotChanged):
        ask(variables)
    assert variables.read_bytes() == before


@pytest.mark.holds("GUEST-86")
def test_a_file_that_refers_to_another_or_beyond_its_end_is_not_written_to(variables: Path, tmp_path: Path) -> None:
    secret = tmp_path / "secret.qcow2"
    shutil.copyfile(variables, secret)
    subprocess.run(
        ["qemu-img", "create", "-q", "-f", "qcow2", "-b", secret, "-F", "qcow2", tmp_path / "over.qcow2"], check=True
    )
    with pytest.raises(nvram.NotChanged):
        ask(tmp_path / "over.qcow2")
    with variables.open("r+b") as file:  # a table whose cluster is far behind the end of the file
        head = file.read(104)
        (table,) = struct.unpack_from(">Q", head, 40)
        file.seek(table)
        (clusters,) = struct.unpack(">Q", file.read(8))
        file.seek(clusters & 0x00FF_FFFF_FFFF_FE00)
        file.write(struct.pack(">Q", 1 << 63 | 1 << 40))
    size = variables.stat().st_size
    with pytest.raises(nvram.NotChanged):
        ask(variables)
    assert variables.stat().st_size == size
