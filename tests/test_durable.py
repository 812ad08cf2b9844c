"""Files of our own: whatever is in them, who reads them says what is wrong in one way."""

from __future__ import annotations

import os
import resource
from pathlib import Path

import msgspec
import pytest

from tests.processes import open_files
from velocity import durable, installation
from velocity.installation import CannotStart
from velocity.local_key import local_key


class Note(msgspec.Struct):
    text: str


BROKEN = [b"", b"{", b"[]", b"{}", b'{"text":"\xff"}', b"\xff\xfe", b"\0" * 64]


@pytest.mark.parametrize("there", BROKEN)
def test_what_cannot_be_read_is_told_in_one_way(tmp_path: Path, there: bytes) -> None:
    file = tmp_path / "note.json"
    durable.write(file, msgspec.json.encode(Note("a")))
    assert durable.read(file, Note) == Note("a")
    file.write_bytes(there)
    with pytest.raises(msgspec.DecodeError):
        durable.read(file, Note)


@pytest.mark.holds("DUR-92")
def test_what_is_no_file_is_told_and_nobody_waits_for_it(tmp_path: Path) -> None:
    """A pipe would never be read to its end."""
    file = tmp_path / "note.json"
    os.mkfifo(file)
    with pytest.raises(OSError, match="not a regular file"):
        durable.read(file, Note)
    with pytest.raises(OSError, match="not a regular file"):
        local_key(file)


@pytest.mark.holds("DUR-92")
def test_a_directory_in_the_place_of_a_file_is_told_by_its_name_and_not_left_open(tmp_path: Path) -> None:
    place = tmp_path / "note.json"
    place.mkdir()
    for _ in range(3):
        with pytest.raises(IsADirectoryError, match=r"note\.json"):
            durable.read(place, Note)
    assert str(place) not in open_files(os.getpid())


@pytest.mark.parametrize("there", BROKEN)
def test_a_server_that_cannot_read_whether_it_gave_way_does_not_lead(tmp_path: Path, there: bytes) -> None:
    (tmp_path / "displaced.json").write_bytes(there)
    with pytest.raises(CannotStart, match=r"displaced\.json.*if none does, remove that file"):
        installation.check_leads(tmp_path)


@pytest.mark.holds("DUR-91")
@pytest.mark.parametrize("lasting", [True, False])
def test_a_write_that_fails_leaves_what_was_there_and_nothing_else(tmp_path: Path, lasting: bool) -> None:
    file = tmp_path / "note.json"
    durable.write(file, b"before", lasting=lasting)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, before[1]))  # as on a full disk
    try:
        with pytest.raises(OSError, match="File too large"):
            durable.write(file, bytes(10_000), lasting=lasting)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert file.read_bytes() == b"before"
    assert list(tmp_path.iterdir()) == [file]


def test_a_file_that_cannot_be_written_is_told_by_its_own_name(tmp_path: Path) -> None:
    for place in (tmp_path / "nowhere" / "x", tmp_path):
        with pytest.raises(OSError, match=r"\[Errno") as told:
            durable.write(place, b"data")
        assert told.value.filename == str(place)
    assert [*tmp_path.iterdir()] == []
