"""Images, media made out of them, and the tasks that do it."""

from __future__ import annotations

import asyncio
import os
import struct
import subprocess
from pathlib import Path
from typing import Any

from tests.api.world import World
from tests.patience import asked_until

SECRET = b"a file of the host"


def qemu_img(*words: object) -> None:
    subprocess.run(["qemu-img", *map(str, words)], check=True, capture_output=True)


def disk(directory: Path, size: int = 4 << 20) -> Path:
    file = directory / "disk.raw"
    data = bytearray(size)
    data[1 << 20 : (1 << 20) + 300_000] = os.urandom(300_000)
    file.write_bytes(data)
    return file


async def upload(w: World, file: Path, name: str = "image", **more: str) -> str:
    return str((await w.upload(file.read_bytes(), x_velocity_name=name, x_velocity_type="DISK", **more))["mid"])


async def wait(w: World, started: Any) -> dict[str, Any]:
    """The task that was started, once it has ended."""
    task = await asked_until(lambda: w.ok("POST", "/t/task", tid=started["tid"]), lambda one: one["state"] != "RUNNING")
    return task.body


def is_cancelling(tid: int) -> bool:
    """Whether that task has been told to end, and still has something to do."""
    return any(one.get_name() == f"task {tid}" and one.cancelling() for one in asyncio.all_tasks())


def body(mid: str, **more: Any) -> dict[str, Any]:
    return {"mid": mid, "gid": 0, "mpid": 1, "name": "made", **more}


def hostile(directory: Path) -> dict[str, bytes]:
    """Images that name other files, or lie."""
    secret, good, made = directory / "secret", directory / "good.qcow2", directory / "made"
    secret.write_bytes(SECRET * 4096)
    qemu_img("create", "-f", "qcow2", good, "1M")
    images = {}
    qemu_img("create", "-f", "qcow2", "-b", secret, "-F", "raw", made)
    images["backing file"] = made.read_bytes()
    made.unlink()  # else it would be opened, backing file and all
    qemu_img("create", "-f", "qcow2", "-o", f"data_file={directory}/elsewhere,data_file_raw=on", made, "1M")
    images["other file"] = made.read_bytes()
    flat = f'# Disk DescriptorFile\nversion=1\ncreateType="monolithicFlat"\nRW 128 FLAT "{secret}" 0\n'
    images["is in other files"] = flat.encode()
    embedded = bytearray(4 << 20)
    head = struct.pack("<4sIIQQQQ", b"KDMV", 1, 3, 0, 128, 1, 20)
    embedded[: len(head)] = head
    embedded[512 : 512 + len(flat)] = flat.encode()
    images["contains no disk"] = bytes(embedded)
    embedded[: len(head)] = struct.pack("<4sIIQQQQ", b"KDMV", 1, 3, 2048, 128, 1, 20)
    images["monolithicFlat"] = bytes(embedded)
    two = flat.replace("monolithicFlat", "monolithicSparse").replace("FLAT", "SPARSE") + 'RW 128 SPARSE "b.vmdk"\n'
    embedded[512 : 512 + len(two)] = two.encode()
    images["refers to other files"] = bytes(embedded)
    child = 'createType="monolithicSparse"\nparentCID=12345678\nRW 128 SPARSE "a"\n'
    embedded[512:1536] = child.encode().ljust(1024, b"\0")
    images["its parent"] = bytes(embedded)
    broken = bytearray(good.read_bytes())
    broken[24:32] = struct.pack(">Q", 1 << 62)
    images["The image size is too large|too big"] = bytes(broken)
    images["header is invalid|supported"] = b"QFI\xfb"
    dirty = bytearray(good.read_bytes())
    dirty[72:80] = struct.pack(">Q", 1)
    images["not closed cleanly"] = bytes(dirty)
    difference = bytearray(1024)
    difference[64:68], difference[76:80] = b"\x7f\x10\xda\xbe", struct.pack("<I", 4)
    images["snapshot"] = bytes(difference)
    images["blank"] = bytes(4096)
    return images
