"""What is imported, and what is refused and why: each row of the tables in docs/images.md."""

from __future__ import annotations

import asyncio
import os
import re
from pathlib import Path
from typing import Any

import pytest

from tests.api.image_cases import SIZE, Uploads, imported, refused
from tests.api.images import body, wait
from tests.api.world import World

pytestmark = pytest.mark.anyio
TABLES = Path(__file__).resolve().parents[2] / "docs" / "images.md"


def rows(heading: str) -> dict[str, str]:
    """The table below a heading: its first column -> its second one."""
    (part,) = re.findall(rf"(?s)^## {heading}\n(.*?)(?=^## |\Z)", TABLES.read_text(), re.MULTILINE)
    lines = [line.strip("|").split("|") for line in part.splitlines() if line.startswith("|")][2:]
    return {first.strip(): second.strip() for first, second in lines}


async def import_(w: World, data: bytes, name: str, **more: Any) -> dict[str, Any]:
    """The task, or the refusal, as the same: `state` and `message`."""
    source = await w.upload(data, x_velocity_name=f"upload of {name}", x_velocity_type="DISK")
    assert source.status == 200, source
    answer = await w.call("PUT", "/m/media/import", **body(source["mid"], **{"name": name, **more}))
    task = await wait(w, answer) if answer.status == 200 else {"state": "FAILED", **answer.body}
    await w.ok("DELETE", "/m/media", mid=source["mid"], purge=True)
    return task


@pytest.mark.whole
@pytest.mark.holds("IMAGE-11")
async def test_each_format_of_the_table_is_imported_as_the_disk_in_it(w: World, tmp_path: Path, whole: bool) -> None:
    """All cases of it, or, in short, the strangest, which is the last one of each row."""
    table, uploads, found = rows("Imported"), Uploads(tmp_path), set()
    others = {"mbr", "fat", "ext4", "other"}
    cases = list(imported(uploads))
    last = {row: (row, name, make) for row, name, make in cases}
    for row, name, make in cases if whole else last.values():
        data = make()
        task = await import_(w, data, f"{row[:30]} {name}")
        assert task["state"] == "DONE", (row, name, task)
        made = w.data / "media" / f"{task['mid']}.raw"
        assert made.read_bytes() == (data if name in others else uploads.disk), (row, name)
        copied = row.startswith("raw")  # as it lies, holes and all, and not read for zeros
        assert copied or made.stat().st_blocks * 512 < SIZE // 2, (row, name, "what is zero takes no space")
        await w.ok("DELETE", "/m/media", mid=task["mid"], purge=True)
        found.add(row)
    assert found == set(table), "each row is tried"
    assert w.files() == []
    assert (await w.ok("POST", "/m/pool/list", gid=0))["pools"][0]["used"] == 0


@pytest.mark.holds("IMAGE-12")
async def test_each_format_that_is_refused_says_the_reason_of_the_table_and_leaves_nothing(
    w: World, tmp_path: Path
) -> None:
    reasons, found = set(rows("Refused").values()), set()
    for reason, name, make in refused(Uploads(tmp_path)):
        task = await import_(w, make(), name)
        assert task["state"] == "FAILED", (reason, name, task)
        assert reason in task["message"], (reason, name, task["message"])
        assert "/proc" not in task["message"] and str(tmp_path) not in task["message"]
        found.add(reason)
    assert found == {one.strip() for reason in reasons for one in reason.split(",")}, "each row is tried"
    assert w.files() == []
    assert (await w.ok("POST", "/m/pool/list", gid=0))["pools"][0]["used"] == 0


@pytest.mark.holds("IMAGE-11")
async def test_what_is_packed_becomes_the_format_that_is_asked_for_and_says_what_it_holds(
    w: World, tmp_path: Path
) -> None:
    uploads = Uploads(tmp_path)
    cases = {name: make for _, name, make in imported(uploads) if name in ("gpt", "gzip", "tar.gz", "qcow2.xz", "ova")}
    assert len(cases) == 5
    for name, make in cases.items():
        task = await import_(w, make(), name, format="qcow2")
        assert task["state"] == "DONE", (name, task)
        made = w.data / "media" / f"{task['mid']}.qcow2"
        process = await asyncio.create_subprocess_exec(
            "qemu-img", "convert", "-f", "qcow2", "-O", "raw", made, tmp_path / "back"
        )
        assert await process.wait() == 0
        assert (tmp_path / "back").read_bytes() == uploads.disk, name
    media = (await w.ok("POST", "/m/media/list", gid=0))["media"]
    assert {(one["format"], one["content"]["format"]) for one in media} == {("qcow2", "gpt")}


@pytest.mark.holds("IMAGE-13")
async def test_a_packed_image_takes_no_more_than_the_quota_at_any_layer(w: World, tmp_path: Path) -> None:
    """A small file whose inner image declares a large disk, and one that unpacks to much."""
    gid, uploads = await w.group("a"), Uploads(tmp_path)
    await w.ok("PUT", "/m/pool/assign", gid=gid, mpid=1, quota=16 << 20, write=True, manage=True)
    large = tmp_path / "large"
    large.touch()
    os.truncate(large, 24 << 20)
    for data in (
        uploads.piped(uploads.empty("qcow2", size="24M"), "xz", "-c"),
        uploads.piped(b"", "sh", "-c", f"gzip -c {large} | xz -c"),
        uploads.piped(b"", "tar", "-C", str(tmp_path), "-Scf", "-", "large"),
    ):
        source = (await w.upload(data, x_velocity_gid=str(gid), x_velocity_type="DISK"))["mid"]
        task = await wait(w, await w.ok("PUT", "/m/media/import", **{**body(source), "gid": gid}))
        assert task["state"] == "FAILED" and "quota" in task["message"], task
        await w.ok("DELETE", "/m/media", mid=source, purge=True)
        assert (await w.ok("POST", "/m/pool/list", gid=gid))["pools"][0]["used"] == 0
        assert w.files() == []
    fits = uploads.piped(uploads.disk, "zstd", "-qc")
    source = (await w.upload(fits, x_velocity_gid=str(gid), x_velocity_type="DISK"))["mid"]
    task = await wait(w, await w.ok("PUT", "/m/media/import", **{**body(source), "gid": gid}))
    assert task["state"] == "DONE", "what fits into the quota is imported, however small that is"


@pytest.mark.holds("IMAGE-14")
async def test_zeros_that_are_uploaded_become_holes(w: World, tmp_path: Path) -> None:
    disk = Uploads(tmp_path).disk
    for number, data in enumerate((bytes(8 << 20), disk + bytes(6 << 20) + disk, bytes(6 << 20) + b"x", disk)):
        pieces = [data[at : at + (64 << 10)] for at in range(0, len(data), 64 << 10)]

        async def sent(pieces: list[bytes] = pieces) -> Any:
            for piece in pieces:
                yield piece

        made = await w.upload(sent(), x_velocity_name=str(number), x_velocity_length=str(len(data)))
        assert made.status == 200, made
        file = w.data / "media" / f"{made['mid']}.raw"
        assert file.read_bytes() == data
        taken = sum(64 << 10 for piece in pieces if piece.strip(b"\0"))
        assert file.stat().st_blocks * 512 <= taken + (64 << 10), number
        assert (made["content"]["format"] == "blank") == (number == 0)
