"""What the administrator sets, looked at on this host."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.root import as_root
from velocity.config import Settings
from velocity.hypervisor.qemu.options import RUNS, note_runs, options, out_of_reach, where_guests_run

UID = 20_000


@pytest.fixture
def place() -> Iterator[Path]:
    """A directory that everybody can pass."""
    with tempfile.TemporaryDirectory() as made:
        Path(made).chmod(0o755)
        yield Path(made)


@as_root("uids of programs")
@pytest.mark.holds("GUEST-28")
def test_a_runtime_directory_that_guests_cannot_reach_is_named_with_the_directory_in_its_way(place: Path) -> None:
    inner = place / "closed" / "open" / "run"
    inner.mkdir(parents=True)
    chosen = options(Settings(data_dir=place, runtime_dir=str(inner), accelerator="auto", uid_base=UID))
    (place / "closed").chmod(0o755)
    assert out_of_reach(chosen) is None
    for mode in (0o700, 0o754):
        (place / "closed").chmod(mode)
        told = out_of_reach(chosen)
        assert told is not None
        assert f"cannot pass {place}/closed, where runtime_dir is: `chmod o+x {place}/closed`" in told
    os.chown(place / "closed", UID, UID)
    assert out_of_reach(chosen) is None, "it is theirs"
    os.chown(place / "closed", 0, 0)
    (place / "closed").chmod(0o711)
    inner.chmod(0o700)
    assert f"cannot pass {inner}," in str(out_of_reach(chosen))


def test_a_server_starts_although_where_its_guests_run_cannot_be_noted(place: Path) -> None:
    chosen = options(Settings(data_dir=place, runtime_dir=str(place / "run"), accelerator="auto", uid_base=UID))
    (place / RUNS).mkdir()
    note_runs(chosen, place / "run")
    assert where_guests_run(chosen) == chosen
    (place / RUNS).rmdir()
    for content in (b"\xff\xfe", b"", b"relative", b"/nowhere/" + chosen.instance.encode()):
        (place / RUNS).write_bytes(content)
        assert where_guests_run(chosen) == chosen, content
