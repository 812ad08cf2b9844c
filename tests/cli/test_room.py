"""The server looks for room for all its threads before it begins."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from velocity.cli.process import work_threads

MADE = (
    "import os, sys; from velocity.cli.process import bound_umask; os.umask(int(sys.argv[1], 8)); bound_umask(); "
    "os.mkdir(sys.argv[2]); print(f'{os.stat(sys.argv[2]).st_mode & 0o777:o}')"
)
FILES = (
    "import resource; from velocity.cli.process import raise_file_limit; raise_file_limit(); "
    "print(*resource.getrlimit(resource.RLIMIT_NOFILE))"
)


def test_the_threads_of_pools_are_counted_at_the_start() -> None:
    work_threads(of_pools=0).shutdown()
    with pytest.raises(MemoryError):
        work_threads(of_pools=1 << 30)


@pytest.mark.holds("BOUND-42")
@pytest.mark.parametrize(("soft", "hard", "has"), [(1024, 4096, 4096), (4096, 4096, 4096)])
def test_a_server_opens_as_many_files_as_it_may(soft: int, hard: int, has: int) -> None:
    words = ["prlimit", f"--nofile={soft}:{hard}", sys.executable, "-c", FILES]
    assert subprocess.run(words, capture_output=True, text=True, check=True).stdout == f"{has} {hard}\n"


@pytest.mark.holds("ISOLATION-17")
@pytest.mark.parametrize(("umask", "mode"), [("0", "755"), ("022", "755"), ("077", "700"), ("0777", "700")])
def test_what_a_server_makes_is_its_own_whatever_its_starters_umask(umask: str, mode: str, tmp_path: Path) -> None:
    words = [sys.executable, "-c", MADE, umask, str(tmp_path / "made")]
    assert subprocess.run(words, capture_output=True, text=True, check=True).stdout == f"{mode}\n"
