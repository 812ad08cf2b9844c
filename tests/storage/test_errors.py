"""Each error of an operating system is one refusal, with its reason and a cure."""

from __future__ import annotations

import errno
import os

import pytest

from velocity.contract.problems import Problem
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
