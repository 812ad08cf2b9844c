"""What bytes turn out to be."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from velocity.cli.demo.guest import Guest
from velocity.contract.media import Content
from velocity.storage.inspect import SECTOR, describe, inspect


def read(data: bytes) -> object:
    return describe(lambda offset, length: data[offset : offset + length], len(data))


def iso(*, efi: bool, loader: bytes = b"BOOTX64 EFI") -> bytes:
    data = bytearray(40 * SECTOR)
    data[16 * SECTOR : 16 * SECTOR + 6] = b"\x01CD001"
    data[16 * SECTOR + 40 : 16 * SECTOR + 72] = b"A LABEL".ljust(32)
    data[17 * SECTOR : 17 * SECTOR + 30] = b"\x00CD001\x01EL TORITO SPECIFICATION"
    struct.pack_into("<I", data, 17 * SECTOR + 71, 20)
    data[18 * SECTOR : 18 * SECTOR + 6] = b"\xffCD001"
    catalog = 20 * SECTOR
    data[catalog : catalog + 2] = b"\x01" + (b"\xef" if efi else b"\x00")
    data[catalog + 32] = 0x88
    struct.pack_into("<I", data, catalog + 40, 30)
    data[30 * SECTOR : 30 * SECTOR + len(loader)] = loader
    return bytes(data)


def test_an_iso_that_boots_under_efi() -> None:
    found = read(iso(efi=True))
    assert (found.format, found.label, found.boots_efi, found.architectures) == (  # type: ignore[attr-defined]
        "iso9660",
        "A LABEL",
        True,
        ["x86_64"],
    )
    assert read(iso(efi=True, loader=b"BOOTAA64EFI")).architectures == ["aarch64"]  # type: ignore[attr-defined]


def test_an_iso_for_bios_only() -> None:
    assert read(iso(efi=False)).boots_efi is False  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("data", "name"),
    [
        (b"QFI\xfb", "qcow2"),
        (b"KDMV", "vmdk"),
        (b"vhdxfile", "vhdx"),
        (bytes(510) + b"\x55\xaa", "mbr"),
        (bytes(510) + b"\x55\xaaEFI PART", "gpt"),
        (bytes(5000), "blank"),
        (b"", "blank"),
        (b"hello", "unknown"),
    ],
)
def test_magics(data: bytes, name: str) -> None:
    assert read(data).format == name  # type: ignore[attr-defined]


@given(st.binary(max_size=3000), st.integers(0, 40 * SECTOR - 1))
def test_no_bytes_break_it(noise: bytes, place: int) -> None:
    data = bytearray(iso(efi=True))
    data[place : place + len(noise)] = noise
    assert isinstance(read(bytes(data)), Content)


@pytest.mark.guest
def test_the_demo_guest_is_described(guest: Guest) -> None:
    found = inspect(Path(guest.iso))
    assert (found.format, found.label, found.boots_efi) == ("iso9660", "VELOCITY_DEMO", True)
    assert found.architectures == ["x86_64"]
