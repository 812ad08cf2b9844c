"""Who copies a medium and who writes to it, at the same time: every pair of docs/sharing.md."""

from __future__ import annotations

import struct
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from tests.api.images import body, qemu_img, upload, wait
from tests.api.test_made_from import taken
from tests.api.world import World
from velocity.contract.problems import Refused
from velocity.storage.directory.images import AT_ONCE

pytestmark = pytest.mark.anyio

# What is there -> (its name in a refusal, what each newcomer meets): "yes", "ends" what is there, "warns", or a code.
COMERS = (
    "download",
    "clone",
    "import",
    "start to write",
    "start to read",
    "attach to write",
    "attach to read",
    "delete",
)
PAIRS: dict[str, tuple[str, tuple[str | int, ...]]] = {
    "a download": ("", ("yes", "yes", "yes", "ends", "yes", 12228, "warns", 14320)),
    "a clone": ("'copy ", ("yes", "yes", "yes", 13224, "yes", 12228, "warns", 14320)),
    "an import": ("'copy ", ("yes", "yes", "yes", 13224, "yes", 12228, "warns", 14320)),
    "a VM that writes": ("'writer'", (14120, 22223, 21223, "yes", 13224, 12228, "warns", 14320)),
    "a VM that reads": ("'reader'", ("yes", "yes", "yes", 13224, "yes", 12228, "warns", 14320)),
    "a VM that may write": ("'writer'", ("yes", "yes", "yes", "yes", "yes", 12228, "warns", 14320)),
}


class Scene:
    """An image that one VM has writable and two have read-only."""

    async def make(self, w: World, image: Path) -> Scene:
        self.w, self.mid, self.copies = w, await upload(w, image), 0
        self.writer = await w.vm("writer", media=[on(self.mid)])
        self.reader = await w.vm("reader", media=[on(self.mid, readonly=True)])
        self.other = await w.vm("other", media=[on(self.mid, readonly=True)])
        return self

    @asynccontextmanager
    async def there(self, what: str) -> AsyncIterator[Any]:
        """Within, it is; what is given refuses when it has been ended."""
        w = self.w
        if what == "a download":
            medium = w.server.services.library.get(UUID(self.mid))
            with w.server.services.sources.downloading(medium) as check:
                yield check
        elif what in ("a clone", "an import"):
            path = "/m/media/clone" if what == "a clone" else "/m/media/import"
            turn = await taken(w)
            self.copies += 1
            name = f"copy {self.copies}"
            started = await w.ok("PUT", path, **body(self.mid, name=name, format="qcow2"))
            yield None
            for _ in range(AT_ONCE):
                turn.release()
            assert (await wait(w, started))["state"] == "DONE"
        else:
            vmid = self.reader if what == "a VM that reads" else self.writer
            if what != "a VM that may write":
                await w.ok("PUT", "/v/vm/state", vmid=vmid, state="RUNNING")
            yield None
            await w.ok("PUT", "/v/vm/state", vmid=vmid, state="STOPPED", force=True)

    async def come(self, what: str, there: str) -> tuple[str | int, str]:
        """What it meets, and the words."""
        w, answer = self.w, None
        if what == "download":
            headers = {"authorization": f"Bearer {w.key}"}
            got = await w.http.get(f"http://velocity/m/media/content/{self.mid}", headers=headers)
            return ("yes", "") if got.status_code == 200 else (got.json()["code"], got.json()["message"])
        if what in ("clone", "import"):
            answer = await w.call("PUT", f"/m/media/{what}", **body(self.mid, name=f"{what} beside", format="qcow2"))
            if answer.status == 200:
                await w.ok("DELETE", "/t/task", tid=answer["tid"])
                if (task := await wait(w, answer))["state"] == "DONE":  # it was faster
                    await w.ok("DELETE", "/m/media", mid=task["mid"], purge=True)
        elif what.startswith("start"):
            vmid = self.writer if what == "start to write" else self.other
            answer = await w.call("PUT", "/v/vm/state", vmid=vmid, state="RUNNING")
            if answer.status == 200 and (there, vmid) != ("a VM that writes", self.writer):
                await w.ok("PUT", "/v/vm/state", vmid=vmid, state="STOPPED", force=True)
        elif what.startswith("attach"):
            more = {"media": [on(self.mid, readonly=what == "attach to read")], "gid": 0, "cpus": 1, "memory_mib": 64}
            answer = await w.call("PUT", "/v/vm/efi", name="new", **more)
            if answer.status == 200:
                await w.ok("DELETE", "/v/vm", vmid=answer["vmid"], purge=True)
                if "warnings" in answer.body:
                    return "warns", " ".join(answer["warnings"])
        else:
            answer = await w.call("DELETE", "/m/media", mid=self.mid)
        return ("yes", "") if answer.status == 200 else (answer.code, answer["message"])


def ended(check: Callable[[], None]) -> bool:
    try:
        check()
    except Refused as refused:
        return "a VM that writes to 'image' was started" in refused.message
    return False


def on(mid: str, **more: Any) -> dict[str, Any]:
    return {"mid": mid, "mode": "BLOCK", **more}


@pytest.mark.holds("IMAGE-21")
async def test_copies_and_writers_exclude_each_other_in_every_pair_and_name_the_other_side(
    w: World, tmp_path: Path
) -> None:
    image = tmp_path / "image.qcow2"
    qemu_img("create", "-f", "qcow2", image, "1M")
    scene = await Scene().make(w, image)
    for there, (named, expected) in PAIRS.items():
        for comer, meets in zip(COMERS, expected, strict=True):
            async with scene.there(there) as check:
                found, words = await scene.come(comer, there)
                if found == "yes" and check is not None:
                    found = "ends" if ended(check) else found
            assert found == meets, (there, comer, words)
            if isinstance(found, int) and comer.startswith(("download", "clone", "import", "start")):
                assert named in words and "'image'" in words, (there, comer, words)
            elif found not in ("yes", "ends"):
                assert "VM '" in words, (there, comer, words)


@pytest.mark.holds("IMAGE-21")
async def test_the_table_of_pairs_in_the_documents_is_the_tested_one() -> None:
    text = (Path(__file__).parents[2] / "docs" / "sharing.md").read_text()
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines() if line.startswith("|")]
    assert tuple(rows[0][1:]) == COMERS
    told = {row[0]: row[1:] for row in rows[2:]}
    words = {"yes": "yes", "ends": "ends the download", "warns": "with a warning"}
    assert told == {
        there: [words[one] if isinstance(one, str) else f"refused ({one})" for one in meets]
        for there, (_, meets) in PAIRS.items()
    }


@pytest.mark.holds("IMAGE-22")
async def test_sharing_that_fails_at_the_start_is_said_at_the_attaching(w: World) -> None:
    mid = await w.medium("disk")
    writer = await w.vm("writer", media=[on(mid)])
    both = {"name": "x", "gid": 0, "cpus": 1, "memory_mib": 64}
    refused = await w.call("PUT", "/v/vm/efi", **both, media=[on(mid), on(mid)])
    assert (refused.code, refused["message"]) == (
        12228,
        "medium 'disk' is attached twice, and writable: attach it once",
    )
    other = await w.medium("other")
    twice = [on(other, readonly=True), {"mid": other, "mode": "USB"}]
    assert await w.refused("PUT", "/v/vm/efi", **both, media=twice) == (409, 12228)
    made = await w.ok("PUT", "/v/vm/efi", **both, media=[on(mid, readonly=True)])
    (warning,) = made["warnings"]
    assert "'disk' is attached read-only here and writable to VM 'writer'" in warning
    altered = await w.ok("PATCH", "/v/vm", vmid=writer, media=[on(mid), on(other)])
    (warning,) = altered["warnings"]
    assert "'disk' is attached writable here and read-only to VM 'x'" in warning
    assert "warnings" not in (await w.ok("PATCH", "/v/vm", vmid=writer, name="w2")).body, "nothing was attached"
    moved = await w.ok("PATCH", "/v/vm", vmid=made["vmid"], media=[on(other, readonly=True)])
    assert "'other' is attached read-only here and writable to VM 'w2'" in moved["warnings"][0]


async def test_isos_are_shared_whatever_the_case_of_their_type(w: World) -> None:
    """They are written to by nobody: neither a warning nor a refusal, at the attaching and at the start."""
    for type_ in ("iso", "ISO"):
        head = bytes(32768) + struct.pack("B5sB", 1, b"CD001", 1)
        mid = (await w.upload(head.ljust(1 << 16, b"\0"), x_velocity_name=type_, x_velocity_type=type_))["mid"]
        for name in ("a", "b"):
            vmid = await w.vm(f"{type_} {name}", media=[on(mid), {"mid": mid, "mode": "USB"}])
            await w.ok("PUT", "/v/vm/state", vmid=vmid, state="RUNNING")


@pytest.mark.holds("IMAGE-21")
async def test_what_a_task_reads_is_written_to_by_no_vm_although_it_was_deleted_and_came_back(
    w: World, tmp_path: Path
) -> None:
    image = tmp_path / "image.qcow2"
    qemu_img("create", "-f", "qcow2", image, "1M")
    mid = await upload(w, image)
    turn = await taken(w)
    started = await w.ok("PUT", "/m/media/clone", **body(mid, format="qcow2"))
    await w.ok("DELETE", "/m/media", mid=mid)
    (item,) = (await w.ok("POST", "/t/trash/list"))["items"]
    await w.ok("PUT", "/t/trash", trid=item["trid"])
    vmid = await w.vm(media=[on(mid)])
    assert await w.refused("PUT", "/v/vm/state", vmid=vmid, state="RUNNING") == (409, 13224)
    for _ in range(AT_ONCE):
        turn.release()
    assert (await wait(w, started))["state"] == "DONE"
    await w.ok("PUT", "/v/vm/state", vmid=vmid, state="RUNNING")
