"""What is said of media that do not boot."""

from __future__ import annotations

import os

import pytest

from tests.api.image_cases import gpt
from tests.api.world import World
from tests.storage.test_inspect import iso

pytestmark = pytest.mark.anyio
VM = {"name": "vm", "gid": 0, "cpus": 1, "memory_mib": 64}


@pytest.mark.holds("IMAGE-16")
async def test_that_nothing_boots_is_said_once_and_only_if_nothing_attached_may(w: World) -> None:
    mbr = bytes(510) + b"\x55\xaa" + bytes(1 << 20)
    uploads = {
        "bios.iso": iso(efi=False), "arm.iso": iso(efi=True, loader=b"BOOTAA64EFI"), "efi.iso": iso(efi=True),
        "mbr": mbr, "disk": gpt(bytearray(4 << 20)), "other": os.urandom(4096), "image": b"QFI\xfb".ljust(4096, b"\0"),
    }  # fmt: skip
    mids = {
        name: (await w.upload(data, x_velocity_name=name, x_velocity_type="ISO" if "iso" in name else "DISK"))["mid"]
        for name, data in uploads.items()
    }
    mids["blank"] = await w.medium("blank", size=4 << 20)
    for attached, words in (
        (["blank"], []),
        (["bios.iso"], ["medium 'bios.iso' does not boot under EFI"]),
        (["blank", "bios.iso"], ["medium 'bios.iso' does not boot under EFI"]),
        (["blank", "bios.iso", "arm.iso", "mbr"], ["nothing attached boots: medium 'bios.iso'"]),
        (["mbr"], ["medium 'mbr' does not boot under EFI"]),
        (["disk", "bios.iso"], []),
        (["other", "bios.iso", "arm.iso"], []),
        (["blank", "efi.iso", "bios.iso"], []),
        (["image", "efi.iso"], ["medium 'image' is a qcow2 image stored as raw bytes"]),
        (
            ["image", "bios.iso"],
            ["medium 'image' is a qcow2 image stored", "medium 'bios.iso' does not boot under EFI"],
        ),
    ):
        media = [{"mid": mids[name], "mode": "BLOCK"} for name in attached]
        made = await w.ok("PUT", "/v/vm/efi", **VM, media=media, plan=True)
        warnings = made.body.get("warnings", [])
        assert len(warnings) == len(words), (attached, warnings)
        assert all(one.startswith(word) for one, word in zip(warnings, words, strict=True)), (attached, warnings)
    with (w.data / "media" / f"{mids['blank']}.raw").open("r+b") as disk:
        disk.write(os.urandom(2 << 20))  # as an installation does
    await w.ok("POST", "/m/media/list", gid=0)
    media = [{"mid": mids[name], "mode": "BLOCK"} for name in ("blank", "bios.iso")]
    assert "warnings" not in (await w.ok("PUT", "/v/vm/efi", **VM, media=media, plan=True)).body
