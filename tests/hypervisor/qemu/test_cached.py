"""What was learned of the host is kept; what cannot be read or kept is learned again by the next start."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from velocity.hypervisor.qemu import cached


@pytest.mark.parametrize("there", [b"", b"[]", b"{", b'{"key":{},"value":"\xff"}', b"\xff\xfe", b"\0" * 64])
def test_what_cannot_be_read_is_not_known(tmp_path: Path, there: bytes) -> None:
    file = tmp_path / "known.json"
    file.write_bytes(there)
    assert cached.load(file, {}, str) is None
    cached.store(file, {}, "it")
    assert cached.load(file, {}, str) == "it"
    assert list(tmp_path.iterdir()) == [file]


def test_what_cannot_be_kept_is_named_and_nothing_is_left(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    file = tmp_path / "known.json"
    file.mkdir()
    with caplog.at_level(logging.WARNING):
        cached.store(file, {}, "it")
    assert str(file) in caplog.text
    assert list(tmp_path.iterdir()) == [file]
