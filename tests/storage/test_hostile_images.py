"""Archives and images whose headers lie: each is refused in words, or read, in little time and memory."""

from __future__ import annotations

import random
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.api.image_cases import Uploads, tar, zipped
from velocity.contract.problems import Refused
from velocity.storage.archives import AT_ONCE, disk_member
from velocity.storage.formats import IMAGES, check_alone
from velocity.storage.whole import check_qcow2, check_whole

CHANGES = 400
Read = Callable[[int, int], bytes]


def reader(data: bytes) -> Read:
    def read(offset: int, length: int) -> bytes:
        assert length <= AT_ONCE, "so much is never asked for at once"
        if offset >= 1 << 63:
            raise OverflowError  # as pread does
        return data[offset : offset + length]

    return read


def changed(data: bytes, chance: random.Random) -> bytes:
    """In some places, mostly of its beginning; sometimes cut."""
    made = bytearray(data)
    for _ in range(chance.randint(1, 5)):
        place = chance.choice([chance.randrange(len(made)), chance.randrange(min(len(made), 600))])
        made[place : place + 8] = chance.choice([b"\xff" * 8, b"\0" * 8, chance.randbytes(1)])
    return bytes(made[: chance.randrange(len(made))]) if chance.random() < 0.2 else bytes(made)


@pytest.mark.holds("IMAGE-18")
def test_an_archive_whatever_its_headers_say(tmp_path: Path) -> None:
    chance = random.Random(7)
    files = {"a.txt": b"1" * 1000, "b/b.img": b"2" * 3000}
    for kind, data in (("tar", tar(files)), ("zip", zipped(files))):
        assert disk_member(kind, reader(data), len(data)).name == "b/b.img"
        for _ in range(CHANGES):
            one = changed(data, chance)
            try:
                disk_member(kind, reader(one), len(one))
            except Refused:
                continue


@pytest.mark.holds("IMAGE-18")
def test_an_archive_that_takes_time_or_memory_is_refused() -> None:
    head = tarfile.TarInfo("x")
    head.type = tarfile.XHDTYPE

    def extended(data: bytes) -> bytes:
        head.size = len(data)
        return head.tobuf(tarfile.USTAR_FORMAT) + data

    for kind, data, words in (
        ("tar", extended(b"1" * (1 << 20)), "damaged"),  # CVE-2024-6232
        ("tar", extended(bytes(20 << 20)), "too large headers"),
        ("tar", (extended(b"7 a=bc\n" * 70_000 + bytes(496)) + tarfile.TarInfo("x").tobuf()) * 3, "too large headers"),
        ("zip", zipped({"x" * 60_000 + str(number): b"" for number in range(20)}), "too large headers"),
        ("tar", extended(bytes(512)) * 3000, "damaged"),
        ("tar", tar({f"{number}.txt": b"" for number in range(10_001)}), "more than 10000 files"),
        ("zip", zipped({f"{number}.txt": b"" for number in range(10_001)}), "more than 10000 files"),
        ("tar", tar({}), "no file in it"),
        ("zip", zipped({}), "no file in it"),
    ):
        with pytest.raises(Refused, match=words):
            disk_member(kind, reader(data), len(data))


@pytest.mark.holds("IMAGE-18")
def test_an_image_whatever_its_header_says(tmp_path: Path) -> None:
    chance, uploads = random.Random(8), Uploads(tmp_path)
    for kind, name in IMAGES.items():
        for data in {uploads.image(name), uploads.empty(name)} if kind != "vhdx" else ():  # qemu-img looks at those
            found = {"image-end-offset": len(data), "compressed-clusters": 1}
            for _ in range(CHANGES // 8):
                one = changed(data, chance)
                try:
                    check_alone(kind, reader(one))
                    check_whole(kind, reader(one), len(one))
                    if kind == "qcow2":
                        check_qcow2(reader(one), len(one), found)
                except Refused:
                    continue
