"""Bytes on their way to a host, over other starts of its node and of the machine."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable
from pathlib import Path
from uuid import UUID

import pytest

from tests.hosts.namespaces import NODE, RealHosts
from tests.patience import at_last
from velocity.client import Client
from velocity.contract.tasks import TaskState

pytestmark = [pytest.mark.hosts, pytest.mark.guest]
MIB = 1 << 20
ENDED = (TaskState.DONE, TaskState.FAILED, TaskState.CANCELLED)


def summed(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()


def is_online(client: Client, mpid: int) -> bool:
    return any(one.mpid == mpid and one.state == "online" for one in client.list_pools(gid=0).pools)


@pytest.fixture
def image(tmp_path: Path) -> Path:
    """96 MiB of which no two are alike."""
    file = tmp_path / "image.raw"
    file.write_bytes(b"".join(hashlib.shake_128(number.to_bytes(4)).digest(MIB) for number in range(96)))
    return file


@pytest.mark.holds("MANY-153")
def test_an_upload_and_a_copy_go_on_over_other_starts_of_the_host_and_an_import_does_or_says_so(
    hosts: RealHosts, image: Path, tmp_path: Path, say: Callable[[str], None]
) -> None:
    b, client, faults = hosts["b"], hosts.client, [lambda: hosts["b"].kill(NODE), hosts["b"].reboot]
    (pool,) = client.show_node(host=hosts.number("b")).pools

    def progress(done: int, total: int) -> None:
        if faults and done > total // (len(faults) + 1):
            faults.pop(0)()

    begun = time.monotonic()
    there = client.upload(image, mpid=pool.mpid, gid=0, name="there", type="DISK", progress=progress).mid
    say(f"hosts: 96 MiB were uploaded over a kill and a reboot in {time.monotonic() - begun:.1f} s")
    assert not faults
    client.download(there, tmp_path / "back")
    assert summed(tmp_path / "back") == summed(image)

    before = len(client.list_media(gid=0).media)
    importing = client.import_medium(mid=there, mpid=pool.mpid, gid=0, name="imported")
    b.kill(NODE)
    at_last(lambda: client.show_task(tid=importing.tid).state in ENDED, "the end of the import")
    shown = client.show_task(tid=importing.tid)
    if shown.state is not TaskState.DONE:  # it says what was lost, of which nothing is left
        assert shown.state is TaskState.FAILED and shown.message, shown
        assert len(client.list_media(gid=0).media) == before
        at_last(lambda: is_online(client, pool.mpid), "its pool")
        importing = client.import_medium(mid=there, mpid=pool.mpid, gid=0, name="imported")
        at_last(lambda: client.show_task(tid=importing.tid).state is TaskState.DONE, "another import")
    imported = client.show_task(tid=importing.tid).mid
    assert isinstance(imported, UUID)
    at_last(lambda: is_online(client, pool.mpid), "its pool, after an import that had ended before its node did")
    client.download(imported, tmp_path / "imported")
    assert summed(tmp_path / "imported") == summed(image)

    here = client.upload(image, mpid=1, gid=0, name="here", type="DISK").mid
    copying = client.clone_medium(mid=here, gid=0, name="copied", mpid=pool.mpid)
    b.kill(NODE)
    at_last(lambda: client.show_task(tid=copying.tid).state in ENDED, "the end of the copy")
    shown = client.show_task(tid=copying.tid)
    assert shown.state is TaskState.DONE, shown
    (copied,) = (one.mid for one in client.list_media(gid=0).media if one.name == "copied")
    client.download(copied, tmp_path / "copied")
    assert summed(tmp_path / "copied") == summed(image)
    for mid in (there, imported, here, copied):
        client.delete_medium(mid=mid, purge=True)
