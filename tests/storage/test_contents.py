"""What disks and file systems are said to hold."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import UNSET

from tests.api.image_cases import gpt, the_disk
from velocity.contract.media import Content
from velocity.storage.directory.files import QCOW2, PoolFiles
from velocity.storage.directory.identity import Identity
from velocity.storage.directory.places import Places
from velocity.storage.inspect import describe, inspect

MIB = 1 << 20


def mtools(*words: object) -> None:
    subprocess.run(list(map(str, words)), check=True, capture_output=True, env={**os.environ, "MTOOLS_SKIP_CHECK": "1"})


def stick(directory: Path, *how: str, loader: str = "BOOTX64.EFI", folder: str = "EFI") -> bytes:
    """A file system of FAT with a loader, behind many other files."""
    made, file = directory / "stick", directory / loader
    file.write_bytes(b"MZ")
    made.unlink(missing_ok=True)
    mtools("mformat", "-C", "-v", "STICK", "-i", made, *how, "::")
    mtools("mmd", "-i", made, f"::/{folder}", f"::/{folder}/BOOT")
    for number in range(4):
        mtools("mcopy", "-i", made, file, f"::/{folder}/BOOT/a rather long name {number}")
    mtools("mcopy", "-i", made, file, f"::/{folder}/BOOT/{loader}")
    return made.read_bytes()


def read(data: bytes) -> Content:
    return describe(lambda offset, length: data[offset : offset + length], len(data))


@pytest.mark.holds("IMAGE-15")
def test_a_stick_of_fat_is_no_disk_with_partitions_and_boots_by_its_loader(tmp_path: Path) -> None:
    for how in (("-f", "1440"), ("-T", "65536"), ("-F", "-T", "200000")):
        found = read(stick(tmp_path, *how))
        assert (found.format, found.label, found.boots_efi, found.architectures) == ("fat", "STICK", True, ["x86_64"])
        other = read(stick(tmp_path, *how, loader="BOOTAA64.EFI"))
        assert (other.boots_efi, other.architectures) == (True, ["aarch64"])
        assert read(stick(tmp_path, *how, folder="BOOT")).boots_efi is False, how
    cut = read(stick(tmp_path, "-T", "65536")[: 20 * MIB])
    assert cut.volume_size == 32 * MIB, "more than there is"


@pytest.mark.holds("IMAGE-15")
def test_a_disk_with_partitions_boots_by_the_loader_in_one_of_them(tmp_path: Path) -> None:
    boots, without = stick(tmp_path, "-T", "4096"), stick(tmp_path, "-T", "4096", folder="x")
    for system, expected in ((boots, True), (without, UNSET), (bytes(2 * MIB), UNSET)):
        disk = bytearray(MIB) + system + bytes(MIB)
        found = read(gpt(disk))
        assert (found.format, found.boots_efi, found.volume_size) == ("gpt", expected, 4 * MIB)
        mbr = bytearray(MIB) + system + bytes(MIB)
        mbr[510:512], mbr[446:462] = b"\x55\xaa", bytes((0x80, 0, 0, 0, 0x0C, 0, 0, 0, 0, 8, 0, 0, 0, 16, 0, 0))
        found = read(bytes(mbr))
        assert (found.format, found.boots_efi) == ("mbr", expected or False)
        assert read(bytes(mbr[: 2 * MIB])).volume_size is UNSET, "a first boot may enlarge it"
        assert read(bytes(mbr[: MIB // 2])).volume_size == MIB + 512, "it ends before its partition begins"
    large = bytearray(4096) + gpt(bytearray(4 * MIB))[512:1024] + bytes(4 * MIB)
    assert read(bytes(large)).format == "gpt", "of sectors of 4 KiB"


@pytest.mark.holds("IMAGE-15")
def test_a_disk_that_begins_with_zeros_is_not_blank(tmp_path: Path) -> None:
    file = tmp_path / "disk"
    for place, expected in ((None, "blank"), (5 * MIB, "unknown"), (3 << 30, "unknown")):
        with file.open("wb") as disk:
            if place is not None:
                disk.seek(place)
                disk.write(b"x")
            disk.truncate(4 << 30)
        assert inspect(file).format == expected, place
        for options in ("cluster_size=64k", QCOW2):
            words = [
                "qemu-img",
                "convert",
                "-f",
                "raw",
                "-O",
                "qcow2",
                "-o",
                options,
                str(file),
                str(tmp_path / "image"),
            ]
            subprocess.run(words, check=True)
            assert inspect(tmp_path / "image", "qcow2").format == expected, place
        assert inspect(tmp_path / "image").format == "qcow2", "as raw bytes"


@pytest.mark.holds("IMAGE-15")
def test_of_a_qcow2_medium_it_is_the_disk_in_it(tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.write_bytes(gpt(bytearray(MIB) + stick(tmp_path, "-T", "4096") + bytes(MIB)))
    for option in (
        "cluster_size=512", "cluster_size=64K", "cluster_size=2M,compat=0.10",
        "extended_l2=on,cluster_size=16k", "extended_l2=on,cluster_size=128k", "extended_l2=on,cluster_size=2M",
    ):  # fmt: skip
        words = ["qemu-img", "convert", "-f", "raw", "-O", "qcow2", "-o", option, disk, tmp_path / "image"]
        subprocess.run(words, check=True)
        found = inspect(tmp_path / "image", "qcow2")
        assert found == inspect(disk), option
        assert (found.format, found.boots_efi) == ("gpt", True)


@pytest.mark.holds("IMAGE-28")
def test_a_new_qcow2_disk_gives_out_parts_of_4_kib(tmp_path: Path) -> None:
    places = Places(1, "pool", tmp_path / "pool", tmp_path / "records")
    pool, disk, made = PoolFiles(places, Identity(places)), tmp_path / "disk", tmp_path / "pool" / ".moving" / "disk"
    pool.open([], [])
    for size in (1, 4 * MIB + 700, 1 << 40):
        pool.create("disk", size, "qcow2")
        about = json.loads(subprocess.run(["qemu-img", "info", "--output=json", made], check=True, stdout=-1).stdout)
        assert (about["cluster-size"], about["format-specific"]["data"]["extended-l2"]) == (128 << 10, True)
        assert about["virtual-size"] == -(-size // 512) * 512
        assert inspect(made, "qcow2").format == "blank"
    data = gpt(bytearray(MIB) + stick(tmp_path, "-T", "4096") + bytes(MIB))
    disk.write_bytes(data)
    subprocess.run(["qemu-io", "-f", "qcow2", "-c", f"write -s {disk} {300 * 4096 + 512} 1k", made], check=True)
    assert made.stat().st_blocks * 512 < MIB
    pool.create("disk", len(data), "qcow2")
    subprocess.run(["qemu-img", "convert", "-n", "-f", "raw", "-O", "qcow2", disk, made], check=True)
    assert inspect(made, "qcow2") == inspect(disk)


@settings(max_examples=60, deadline=None)
@given(st.binary(max_size=600), st.integers(0, 2 * MIB), st.sampled_from(["disk", "fat", "qcow2"]))
def test_no_bytes_break_it(noise: bytes, place: int, kind: str) -> None:
    data = bytearray(SEEDS[kind])
    place %= min(len(data), 70_000)
    data[place : place + len(noise)] = noise
    file = os.memfd_create("noise")
    try:
        os.write(file, data)
        assert isinstance(inspect(Path(f"/proc/self/fd/{file}"), "qcow2" if kind == "qcow2" else "raw"), Content)
    finally:
        os.close(file)


def _seeds() -> dict[str, bytes]:
    boot = b"\xeb\x3c\x90mkfs.fat" + bytes.fromhex("0002 04 0100 02 0002 0010 f8 0300")
    system = boot.ljust(510, b"\0") + b"\x55\xaa" + bytes(MIB)
    image = (
        b"QFI\xfb"
        + bytes.fromhex("00000003000000000000000000000000000000100000000000400000")
        + bytes(4)
        + bytes.fromhex("000000010000000000010000")
    )
    return {"disk": the_disk(), "fat": system, "qcow2": image.ljust(65536, b"\0") + bytes.fromhex("0000000000020000")}


SEEDS = _seeds()
