"""Each error of an operating system is one refusal, with its reason and a cure."""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from velocity.contract.problems import Problem, Refused
from velocity.hypervisor.qemu.firmware import Firmware, NoFirmware, keep
from velocity.storage.directory.files import PoolFiles
from velocity.storage.directory.identity import Identity
from velocity.storage.directory.places import Places
from velocity.storage.errors import refusal

SICK = ("EROFS", "EACCES", "EPERM", "EIO", "ENOENT", "ENAMETOOLONG", "ESTALE", "ETIMEDOUT", "ENODEV", "ELOOP", "EBUSY")
"""Whatever else there is, is the disk's fault too."""


@pytest.mark.holds("DUR-49")
@pytest.mark.parametrize("name", SICK)
@pytest.mark.parametrize("wanted", [None, 0, 4096])
def test_each_error_of_a_sick_disk_is_told_with_its_reason(name: str, wanted: int | None) -> None:
    number = getattr(errno, name)
    told = refusal(2, "usb", OSError(number, os.strerror(number)), wanted)
    assert told.problem is Problem.POOL_AWAY
    assert f"the disk of pool 'usb' fails ({os.strerror(number)})" in told.message


@pytest.mark.parametrize("name", ["ENOSPC", "EDQUOT", "EFBIG"])
def test_a_full_disk_is_told_as_one_where_something_was_to_be_written(name: str) -> None:
    number = getattr(errno, name)
    error = OSError(number, os.strerror(number))
    told = refusal(2, "usb", error, 4096)
    assert (told.problem, told.field) == (Problem.POOL_QUOTA, "size")
    assert "does not have 4.0 KiB free: remove media" in told.message
    assert refusal(2, "usb", error).problem is Problem.POOL_AWAY, "what takes no bytes, as a move, declares no quota"


def test_a_disk_without_inodes_is_not_told_to_be_full() -> None:
    told = refusal(2, "usb", OSError(errno.ENOSPC, "No space left on device"), 4096, inodes=False)
    assert told.problem is Problem.POOL_QUOTA
    assert "has free space, but no free inodes for more files" in told.message


@pytest.mark.holds("DUR-50")
@pytest.mark.parametrize("name", ["EMFILE", "ENFILE", "EAGAIN", "ENOMEM"])
def test_what_the_server_itself_lacks_is_no_fault_of_the_pool(name: str) -> None:
    number = getattr(errno, name)
    told = refusal(2, "usb", OSError(number, os.strerror(number)), 4096)
    assert told.problem is Problem.UNAVAILABLE
    assert "usb" not in told.message
    assert "try again later" in told.message


@pytest.mark.parametrize(
    ("says", "problem", "message"),
    [
        ("Could not create file: Read-only file system", Problem.POOL_AWAY, "(Read-only file system)"),
        ("Could not write: Input/output error", Problem.POOL_AWAY, "(Input/output error)"),
        ("Could not resize file: No space left on device", Problem.POOL_QUOTA, "does not have 1.0 GiB free"),
        ("Image size must be less than 8 EiB!", Problem.POOL_QUOTA, "does not have 1.0 GiB free"),
        ("Could not resize image: offset(9223372036854775296) exceeds maximum", Problem.POOL_QUOTA, "1.0 GiB free"),
        ("Invalid parameter extended_l2", Problem.POOL_AWAY, "(Input/output error)"),
        ("", Problem.POOL_AWAY, "(Input/output error)"),
        (None, Problem.UNAVAILABLE, "this host has no qemu-img"),
    ],
)
def test_a_qcow2_disk_that_cannot_be_created_is_refused_with_the_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, says: str | None, problem: Problem, message: str
) -> None:
    places = Places(1, "usb", tmp_path / "pool", tmp_path / "records")
    pool = PoolFiles(places, Identity(places))
    pool.open([], [])
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    fails(tmp_path / "bin", says)
    with pytest.raises(Refused) as refused:
        pool.create("disk", 1 << 30, "qcow2")
    assert refused.value.problem is problem
    assert message in refused.value.message
    assert list(places.moving.iterdir()) == []


def test_firmware_that_cannot_be_kept_is_told_and_nothing_of_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("code", "vars"):
        (tmp_path / name).write_bytes(b"1")
    found = Firmware(tmp_path / "code", tmp_path / "vars", "raw", "", "build")
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    for says, told in (
        ("error while writing: No space left on device", "No space left"),
        (" ", "non-zero exit status 1"),
        (None, "No such file"),
    ):
        fails(tmp_path / "bin", says)
        with pytest.raises(NoFirmware, match=told):
            keep(found, tmp_path / "firmware")
        assert list((tmp_path / "firmware").iterdir()) == []


def test_a_qemu_img_that_hangs_is_told_with_what_it_has_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def hangs(*command: object, **_named: object) -> None:
        raise subprocess.TimeoutExpired(["qemu-img"], 60, stderr=b"first\nit waits for a lock\n")

    monkeypatch.setattr(subprocess, "run", hangs)
    (tmp_path / "code").write_bytes(b"1")
    with pytest.raises(NoFirmware, match=r"\(it waits for a lock\)"):
        keep(Firmware(tmp_path / "code", tmp_path / "vars", "raw", "", "build"), tmp_path / "firmware")


def fails(programs: Path, says: str | None) -> None:
    """A qemu-img that says so; None: there is none."""
    shutil.rmtree(programs, ignore_errors=True)
    programs.mkdir()
    if says is not None:
        (programs / "qemu-img").write_text(f"#!/bin/sh\necho '{says.strip() and f'qemu-img: {says}'}' >&2\nexit 1\n")
        (programs / "qemu-img").chmod(0o700)
