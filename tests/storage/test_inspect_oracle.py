"""Headers of images, beside another's reading of them: OpenStack's, which decides what its clouds take in.

https://docs.openstack.org/oslo.utils/latest/reference/imageutils.html
"""

from __future__ import annotations

import os
import random
import subprocess
from pathlib import Path

import pytest
from oslo_utils.imageutils import format_inspector as theirs

from velocity.contract.problems import Refused
from velocity.storage.formats import check_alone
from velocity.storage.inspect import inspect

SIZE = 1 << 20
KINDS = {"qcow2": "qcow2", "vmdk": "vmdk", "vdi": "vdi", "vhdx": "vhdx", "vpc": "vhd", "raw": "raw"}
"""As qemu-img names them -> as they do."""
SAME = {
    "qcow2": "qcow2",
    "vmdk": "vmdk",
    "vdi": "vdi",
    "vhdx": "vhdx",
    "iso9660": "iso",
    "gpt": "gpt",
    "mbr": "gpt",
    "vhd": "vhd",
}
"""Our format -> theirs. Others are raw to them."""
MUTATIONS = 30


def made(directory: Path, kind: str, *options: str) -> Path:
    file = directory / f"made.{kind}"
    words = ["qemu-img", "create", "-q", "-f", kind, *options, str(file), str(SIZE)]
    subprocess.run(words, check=True, capture_output=True)
    return file


def read_by_both(file: Path) -> tuple[str, str]:
    found = theirs.detect_file_format(str(file))
    return SAME.get(inspect(file).format, "raw"), str(found)


def refused_by_us(file: Path, kind: str) -> bool:
    with file.open("rb") as image:
        try:
            check_alone(kind, lambda offset, length: os.pread(image.fileno(), length, offset))
        except Refused:
            return True
    return False


def unsafe_to_them(file: Path) -> set[str]:
    """The checks that fail, of those for other files that it names."""
    found = theirs.detect_file_format(str(file))
    assert found is not None
    try:
        found.safety_check()
    except theirs.SafetyCheckFailed as failed:
        return set(failed.failures)
    return set()


@pytest.mark.parametrize("kind", KINDS)
def test_what_qemu_img_makes_is_the_same_to_both(tmp_path: Path, kind: str) -> None:
    ours, found = read_by_both(made(tmp_path, kind))
    assert found == KINDS[kind]
    assert ours == found


@pytest.mark.parametrize("kind", ["qcow2", "vmdk"])
def test_an_image_over_another_is_refused_by_both(tmp_path: Path, kind: str) -> None:
    base = made(tmp_path, "raw") if kind == "qcow2" else made(tmp_path, kind).rename(tmp_path / "base.vmdk")
    over = made(tmp_path, kind, "-b", str(base), "-F", "raw" if kind == "qcow2" else kind)
    assert refused_by_us(over, kind)


@pytest.mark.parametrize("kind", ["qcow2", "vmdk", "vdi", "vhdx"])
def test_a_header_that_is_changed_anywhere_is_never_safe_to_us_and_unsafe_to_them(tmp_path: Path, kind: str) -> None:
    """Of a VMDK they also refuse descriptors that name no other file, as those that are not ASCII."""
    file = made(tmp_path, kind)
    whole, chance = file.read_bytes(), random.Random(kind)
    unsafe = 0
    for _ in range(MUTATIONS):
        data = bytearray(whole)
        for _ in range(chance.randint(1, 3)):
            place = chance.choice([chance.randrange(8, 112), chance.randrange(8, 1024)])
            data[place] = chance.randrange(
                128 if kind == "vmdk" else 256
            )  # theirs takes ASCII alone, VMware writes more
        file.write_bytes(data)
        ours, found = read_by_both(file)
        assert ours == found, bytes(data[:112])
        if ours == kind == "qcow2" and (failures := unsafe_to_them(file)):
            unsafe += 1
            assert refused_by_us(file, kind), (failures, bytes(data[:112]))
    assert unsafe or kind != "qcow2"
