"""The host's own pool: firmware variables are objects like all others, and lie where they always lay."""

from __future__ import annotations

import os
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path
from uuid import uuid4

import pytest

from tests.ports.storages import DEADLINE
from velocity.contract.problems import Problem, Refused
from velocity.storage.declared import open_directories
from velocity.storage.directory.places import Places, host_places
from velocity.storage.directory.storage import DirectoryStorage
from velocity.storage.port import Belongs, Clone, Made, MediaRef, ObjectKind, variables

pytestmark = pytest.mark.anyio

TEMPLATE = b"what the firmware begins with" * 1000


@pytest.fixture
async def storage(tmp_path: Path) -> AsyncIterator[DirectoryStorage]:
    usb = Places(2, "usb", tmp_path / "usb", tmp_path / "pools")
    made = open_directories([host_places(tmp_path), usb], None)
    await made.pools.open(2, (), (), (), deadline=DEADLINE)
    yield made
    await made.close()


@pytest.fixture
def template(tmp_path: Path) -> int:
    (tmp_path / "template").write_bytes(TEMPLATE)
    return os.open(tmp_path / "template", os.O_RDONLY)


def place(data: Path, ref: MediaRef) -> Path:
    return data / "machines" / str(ref.medium) / "vars.qcow2"


def read(storage: DirectoryStorage, ref: MediaRef) -> bytes:
    with os.fdopen(storage.files.open(ref, readonly=True), "rb") as file:
        return file.read()


@pytest.mark.holds("DUR-53")
async def test_variables_of_an_installation_from_before_are_found_where_they_are(
    storage: DirectoryStorage, template: int, tmp_path: Path
) -> None:
    ref = variables(uuid4())
    place(tmp_path, ref).parent.mkdir(parents=True)
    place(tmp_path, ref).write_bytes(b"an older version's")
    storage.files.provide(ref, template)
    assert read(storage, ref) == b"an older version's"
    assert os.lseek(template, 0, os.SEEK_CUR) == 0


async def test_variables_are_made_once_and_removed_for_good(
    storage: DirectoryStorage, template: int, tmp_path: Path
) -> None:
    ref = variables(uuid4())
    with pytest.raises(Refused):
        storage.files.open(ref, readonly=True)
    storage.files.provide(ref, template)
    assert read(storage, ref) == TEMPLATE
    assert place(tmp_path, ref).stat().st_mode & 0o777 == 0o600
    with os.fdopen(storage.files.open(ref, readonly=False), "r+b") as file:
        file.write(b"WHAT")
    storage.files.provide(ref, template)
    assert read(storage, ref) == b"WHAT" + TEMPLATE[4:]
    for _ in range(2):
        storage.files.remove(ref)
        assert not place(tmp_path, ref).exists()


async def test_what_cannot_be_made_leaves_nothing_and_is_no_fault_of_a_pool(
    storage: DirectoryStorage, template: int, tmp_path: Path
) -> None:
    ref = variables(uuid4())
    place(tmp_path, ref).mkdir(parents=True)  # so that nothing can be moved there
    with pytest.raises(Refused, match="the host refused: Is a directory") as refused:
        storage.files.provide(ref, template)
    assert refused.value.problem is Problem.UNAVAILABLE
    assert list((tmp_path / "pools" / "host.moving").iterdir()) == []


async def test_what_a_crash_left_of_variables_goes_at_the_first_start(
    storage: DirectoryStorage, template: int, tmp_path: Path
) -> None:
    half = tmp_path / "pools" / "host.moving" / f"{uuid4()}.vars.qcow2"
    half.parent.mkdir(parents=True)
    half.write_bytes(TEMPLATE[:7])
    storage.files.provide(variables(uuid4()), template)
    assert not half.exists()


async def test_variables_are_read_copied_trashed_and_restored_as_all_objects_are(
    storage: DirectoryStorage, tmp_path: Path
) -> None:
    ref, image = variables(uuid4()), tmp_path / "image"
    subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", image, "500K"], check=True)
    with image.open("rb") as template:
        storage.files.provide(ref, template.fileno())
    outgoing = await storage.blobs.get(ref, deadline=DEADLINE)
    assert await outgoing.read(0, 4) == b"QFI\xfb"
    await outgoing.close()
    copy = MediaRef(2, uuid4(), "qcow2", ObjectKind.VARIABLES)
    for source, target in ((ref, copy), (copy, variables(uuid4()))):
        await storage.jobs.prepare(Clone(source, target), deadline=DEADLINE)
        await storage.jobs.start(target, 500 << 10, deadline=DEADLINE)
        (*_, made) = [one async for one in storage.jobs.watch(target)]
        assert isinstance(made, Made)
        await storage.trash.settle(target, Belongs.KEPT, deadline=DEADLINE)
        await storage.jobs.cancel(target, deadline=DEADLINE)
        assert read(storage, target)
    await storage.trash.lift(ref, deadline=DEADLINE)
    await storage.trash.settle(ref, Belongs.TRASH, deadline=DEADLINE)
    assert (await storage.blobs.stat(ref.pool, (ref,), deadline=DEADLINE)) == (None,)
    await storage.trash.restore(ref, deadline=DEADLINE)
    await storage.trash.settle(ref, Belongs.KEPT, deadline=DEADLINE)
    assert read(storage, ref) == image.read_bytes()
