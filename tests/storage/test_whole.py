"""Images that are cut short, and those that only look like it."""

from __future__ import annotations

import os
import random
import subprocess
from pathlib import Path

import pytest

from velocity.contract.problems import Problem, Refused
from velocity.storage.directory.image_file import ImageFile
from velocity.storage.directory.images import Conversion, Images
from velocity.storage.directory.shared_descriptor import SharedDescriptor
from velocity.storage.directory.threads import Threads

pytestmark = pytest.mark.anyio
HOW = (
    ("qcow2", "cluster_size=64K"), ("qcow2", "-c"), ("qcow2", "extended_l2=on"),
    ("qcow2", "extended_l2=on,cluster_size=128k"), ("qcow2", "snapshot"),
    ("vmdk", "subformat=monolithicSparse"), ("vmdk", "subformat=streamOptimized"), ("vdi", "static=off"),
    ("vhdx", "block_size=1M"), ("vpc", "subformat=dynamic"),
)  # fmt: skip
MORE = (
    ("qcow2", "cluster_size=512"), ("qcow2", "cluster_size=2M"), ("qcow2", "compat=0.10"),
    ("qcow2", "lazy_refcounts=on"), ("qcow2", "preallocation=metadata"), ("vpc", "subformat=fixed"),
)  # fmt: skip
"""Formats as qemu-img names them, and options."""
CUTS, ALL_CUTS = (700, 70_000), (1, 512, 4096, 30_000, 65_536, 70_000, 140_000, 1 << 20, (2 << 20) + 70_000)


def qemu_img(*words: object) -> None:
    subprocess.run(["qemu-img", *map(str, words)], check=True, capture_output=True)


def made(directory: Path, kind: str, option: str, size: int, chance: random.Random) -> Path:
    raw, image = directory / "raw", directory / f"image.{kind}"
    with raw.open("wb") as file:
        for _ in range(chance.randrange(6)):
            file.seek(chance.randrange(size))
            file.write(chance.randbytes(chance.choice([1, 512, 5000, 70_000])))
        file.truncate(size)
    options = ["-o", option] if "=" in option else ["-c"] if option == "-c" else []
    qemu_img("convert", "-f", "raw", "-O", kind, *options, raw, image)
    if option == "snapshot":
        qemu_img("snapshot", "-c", "one", image)
        qemu_img("resize", image, "+20G")
    return image


async def imported(image: Path, kind: str) -> bytes | str:
    """Its disk, or why not."""
    source, target = os.open(image, os.O_RDONLY), os.memfd_create("target")
    threads = Threads("pool", 2)
    read, write = (ImageFile(SharedDescriptor(one), threads) for one in (source, target))
    kind = "vhd" if kind == "vpc" else kind
    try:
        images = Images(None)
        size = await images.virtual_size(read, kind, (1, 1))
        os.truncate(target, size)
        await images.convert(read, write, Conversion(kind, "raw", size, foreign=True), (1, 1), lambda _: None)
        return os.pread(target, 4 << 20, 0)
    except Refused as error:
        return error.message
    finally:
        read.file.close()
        write.file.close()
        await threads.close()


@pytest.mark.whole
@pytest.mark.holds("IMAGE-17")
async def test_an_image_that_is_cut_is_refused_or_has_the_same_disk_and_a_whole_one_is_imported(
    tmp_path: Path, whole: bool
) -> None:
    """Of random disks, also such as are no whole clusters. What is cut may be padding."""
    for number, (kind, option) in enumerate((*HOW, *MORE) if whole else HOW):
        chance = random.Random(number)
        for size in (3 << 20, (1 << 20) + 12_800) if whole else ((1 << 20) + 12_800 * (number % 2),):
            image = made(tmp_path, kind, option, size, chance)
            data, disk = image.read_bytes(), await imported(image, kind)
            assert isinstance(disk, bytes), (kind, option, size, disk[:200])
            refused = 0
            for cut in ALL_CUTS if whole else CUTS:
                if cut < len(data):
                    image.write_bytes(data[:-cut])
                    found = await imported(image, kind)
                    refused += isinstance(found, str)
                    same = found == disk or (isinstance(found, str) and "cut short" in found)
                    assert same, (kind, option, size, cut, found[:100])
            assert refused, (kind, option, size)
            image.unlink()


@pytest.mark.holds("IMAGE-54")
@pytest.mark.parametrize("how", ["kill -9 $$", "exit 137"], ids=["itself", "within a shell"])
async def test_a_program_that_the_host_has_ended_says_nothing_of_the_image(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    """For want of memory, say: these are the first that a host ends then."""
    image = made(tmp_path, "qcow2", "", 1 << 20, random.Random(1))
    for name in ("qemu-img", "xz"):
        program = tmp_path / "programs" / name
        program.parent.mkdir(exist_ok=True)
        program.write_text(f"#!/bin/sh\n{how}\n")
        program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path / 'programs'}:{os.environ['PATH']}")
    threads, images = Threads("pool", 2), Images(None)
    read = ImageFile(SharedDescriptor(os.open(image, os.O_RDONLY)), threads)
    with pytest.raises(Refused, match="the host has ended a program") as looked:
        await images.virtual_size(read, "qcow2", (1, 1))
    with pytest.raises(Refused, match="the host has ended a program") as unpacked:
        async for _ in images.unpacked(read, "xz", lambda _: None):
            pass
    assert {one.value.problem for one in (looked, unpacked)} == {Problem.UNAVAILABLE}
    read.file.close()
    await threads.close()
