"""The key file: what stands for `root` is a key that nobody guesses."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.api.world import world
from velocity.local_key import local_key


@pytest.mark.holds("API-19")
@pytest.mark.parametrize("there", [b"", b"\n", b"short\n", b"\xff" * 43, b"\0" * 43, "ä".encode() * 43])
def test_what_everybody_knows_is_no_key_and_is_replaced(tmp_path: Path, there: bytes) -> None:
    """As a disk that was full leaves it, or somebody who would revoke the key by emptying its file."""
    file = tmp_path / "root.key"
    file.write_bytes(there)
    key = local_key(file)
    assert len(key) >= 43
    assert local_key(file) == key, "and kept"
    assert (file.stat().st_mode & 0o777) == 0o600


def test_a_key_of_somebodys_choice_is_kept(tmp_path: Path) -> None:
    file = tmp_path / "root.key"
    file.write_text("correct-horse-battery\n")
    assert local_key(file) == "correct-horse-battery"


@pytest.mark.anyio
@pytest.mark.holds("API-19")
async def test_an_empty_authkey_is_nobodys_whatever_the_key_file_holds(tmp_path: Path) -> None:
    async with world(tmp_path / "data"):
        pass
    (tmp_path / "data" / "root.key").write_bytes(b"")
    async with world(tmp_path / "data", signs_in=False) as w:
        w.server.services.access.sessions.accept_key("")  # as one of before did
        for answer in (
            await w.raw("POST", "/u/user/list", authorization="Bearer "),
            await w.raw("POST", "/u/user/list", x_velocity_authkey=""),
            await w.raw("POST", "/u/user/list", b'{"authkey": ""}'),
        ):
            assert (answer.status, answer.code) == (401, 100)
