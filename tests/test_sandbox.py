"""What a program sees of the host: namespaces, which are prepared before they are needed."""

from __future__ import annotations

import errno
import os
import stat
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tests.patience import at_last
from velocity import sandbox
from velocity.sandbox import Lent, View

pytestmark = pytest.mark.skipif(sandbox.missing() is not None, reason="there are no namespaces here")

TOGETHER = 8


def waiting() -> dict[int | None, threading.Thread]:
    return {one.native_id: one for one in threading.enumerate() if one.name == "sandbox"}


def spare() -> int | None:
    """The thread of the namespaces that are prepared; those of others end just after what began in them."""
    at_last(lambda: len(waiting()) == 1, "that one is prepared, and no other left")
    (one,) = waiting()
    return one


def used() -> int:
    """The thread in which something has begun; it ends."""
    thread = sandbox.inside(View(), threading.get_native_id)
    if thread in (there := waiting()):
        there[thread].join(60)
        assert thread not in waiting()
    return thread


def test_namespaces_are_made_before_they_are_needed_and_serve_once() -> None:
    first = used()
    prepared = spare()
    assert used() == prepared != first
    assert spare() != prepared


def test_programs_that_begin_at_once_have_namespaces_each_and_some_are_prepared_for_the_next(tmp_path: Path) -> None:
    own = [tmp_path / str(number) for number in range(TOGETHER)]
    for one in own:
        one.mkdir()
    together = threading.Barrier(TOGETHER)

    def look() -> tuple[int, list[str]]:
        return threading.get_native_id(), [one.name for one in tmp_path.iterdir()]

    def begin(one: Path) -> tuple[int, list[str]]:
        together.wait(60)
        return sandbox.inside(View(writable=(one,)), look)

    with ThreadPoolExecutor(TOGETHER) as threads:
        found = list(threads.map(begin, own))
    assert [seen for _, seen in found] == [[one.name] for one in own]
    assert len({thread for thread, _ in found}) == TOGETHER
    used()
    assert spare()


def test_only_its_own_directory_can_be_written_to(tmp_path: Path) -> None:
    own = tmp_path / "deep" / "own"
    own.mkdir(parents=True)

    def look() -> list[int]:
        (own / "said").write_text("this")
        with pytest.raises(OSError, match="Read-only") as refused:
            (own.parent / "said").write_text("that")
        assert refused.value.errno == errno.EROFS
        return [stat.S_IMODE(one.stat().st_mode) for one in own.parents]

    assert set(sandbox.inside(View(writable=(own,)), look)) == {0o755}, "the root's own, not the host's"
    assert (own / "said").read_text() == "this"


def test_nothing_of_its_root_is_ever_open_for_writing(tmp_path: Path) -> None:
    """A program that begins at the same time would hold it open, and the root could not become read-only."""
    shown, opened = tmp_path / "file", list[tuple[str, int]]()
    shown.touch()
    watched = [True]

    def hear(event: str, arguments: tuple[Any, ...]) -> None:
        if watched and event == "open" and threading.current_thread().name == "sandbox":
            opened.append((str(arguments[0]), arguments[2] or 0))

    sys.addaudithook(hear)  # it stays, as there is no way to take one away
    try:
        for _ in range(2):  # the first thread may have been made before
            assert sandbox.inside(View(shown=(shown,)), shown.read_bytes) == b""
    finally:
        watched.clear()
    assert {path for path, flags in opened if flags & os.O_ACCMODE == os.O_RDONLY} == {str(shown)}
    assert [path for path, flags in opened if flags & os.O_ACCMODE] == []


@pytest.mark.parametrize(("uid", "mode"), [(20_001, 0o600), (None, 0o666)])
def test_a_device_is_lent_to_one_uid_or_to_all(uid: int | None, mode: int) -> None:
    device = Path("/dev/tty")

    def look() -> os.stat_result:
        return device.stat()

    seen = sandbox.inside(View(lent=(Lent(device, uid),)), look)
    assert (seen.st_mode, seen.st_rdev) == (stat.S_IFCHR | mode, device.stat().st_rdev)
    assert (seen.st_uid, seen.st_gid) == (uid or 0, uid or 0)


def test_what_fails_in_the_namespaces_is_told_and_the_next_program_begins() -> None:
    with pytest.raises(FileNotFoundError):
        sandbox.inside(View(), lambda: Path("/proc/self/stat").read_text())
    assert used()


@pytest.mark.holds("DUR-83")
def test_for_want_of_a_thread_there_are_no_namespaces(monkeypatch: pytest.MonkeyPatch) -> None:
    def none_left(_thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    used()
    with monkeypatch.context() as short:
        short.setattr(threading.Thread, "start", none_left)
        used()  # the one that was made before, after which there is none
        with pytest.raises(BlockingIOError, match="can't start new thread"):
            used()
    assert used()
