"""A program gets the descriptors that it is given and no other, whatever the server has open and wherever it begins."""

from __future__ import annotations

import fcntl
import os
import shutil
import signal
import sys
import threading
import time
from pathlib import Path

import pytest

from tests.patience import PATIENCE
from velocity import sandbox, spawning
from velocity.sandbox import View

PLACES = [None, *([View()] if sandbox.missing() is None else [])]


def has(pid: int) -> set[int]:
    return {int(descriptor.name) for descriptor in Path(f"/proc/{pid}/fd").iterdir()}


@pytest.mark.parametrize("view", PLACES)
def test_it_has_what_it_is_given_and_nothing_else(view: View | None, tmp_path: Path) -> None:
    with (tmp_path / "given").open("w+b") as given, (tmp_path / "open").open("w+b") as other:
        os.set_inheritable(other.fileno(), True)
        one = given.fileno()
        pid = sandbox.spawn(view, ["sleep", "600"], stdin=one, stdout=one, stderr=one, files=[one], env={}, reset=())
        try:
            end = time.monotonic() + PATIENCE
            # The kernel closes the others just after it tells that the program begins.
            while has(pid) != {0, 1, 2, one}:
                assert time.monotonic() < end, has(pid)
            status = Path(f"/proc/{pid}/status").read_text()
            assert int(status.split("SigIgn:")[1].split()[0], 16) & 1 << signal.SIGXFSZ - 1, "as Python has it"
            assert os.getpgid(pid) == os.getpgid(0)
        finally:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)


def test_signals_that_python_ignores_are_its_own_again(tmp_path: Path) -> None:
    with (tmp_path / "said").open("w+b") as said:
        one = said.fileno()
        pid = sandbox.spawn(None, ["sleep", "600"], stdin=one, stdout=one, stderr=one, env={}, session=True)
        try:
            status = Path(f"/proc/{pid}/status").read_text()
            assert not int(status.split("SigIgn:")[1].split()[0], 16) & 1 << signal.SIGXFSZ - 1
            assert Path(f"/proc/{pid}/cwd").readlink() == Path("/")
            assert Path.cwd() != Path("/"), "the server's own stays"
            assert os.getpgid(pid) == pid, "a terminal's Ctrl-C does not reach it"
        finally:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)


@pytest.mark.skipif(len(PLACES) < 2, reason="needs a host where programs get namespaces")
def test_what_it_sees_is_open_to_all_whatever_the_servers_umask_is(tmp_path: Path) -> None:
    look = ["sh", "-c", "umask; stat -c %a / /dev /dev/null /etc"]
    umask = os.umask(0o077)
    try:
        with (tmp_path / "said").open("w+b") as said:
            one = said.fileno()
            for _ in range(2):  # the first namespaces may have been made before
                pid = sandbox.spawn(View(), look, stdin=one, stdout=one, stderr=one, env={"PATH": os.environ["PATH"]})
                assert os.waitpid(pid, 0)[1] == 0
    finally:
        os.umask(umask)
    assert (tmp_path / "said").read_text().split()[5:] == ["0077", "755", "755", "666", "755"]


def test_other_threads_go_on_while_the_kernel_begins_it(tmp_path: Path) -> None:
    """The kernel waits with it for who has a lease on its file: another thread, which has to give that up. fcntl(2)"""
    program = tmp_path / "program"
    shutil.copy(shutil.which("true") or "", program)
    file = os.open(program, os.O_RDONLY)
    given_up = threading.Event()

    def give_up_when_asked() -> None:
        end = time.monotonic() + PATIENCE
        while fcntl.fcntl(file, fcntl.F_GETLEASE) == fcntl.F_WRLCK and time.monotonic() < end:
            time.sleep(0.001)
        given_up.set()  # before the kernel lets the other thread go on
        fcntl.fcntl(file, fcntl.F_SETLEASE, fcntl.F_UNLCK)

    gives_up = threading.Thread(target=give_up_when_asked)
    ignored, interval = signal.signal(signal.SIGIO, signal.SIG_IGN), sys.getswitchinterval()
    try:
        fcntl.fcntl(file, fcntl.F_SETLEASE, fcntl.F_WRLCK)
        gives_up.start()
        sys.setswitchinterval(PATIENCE)  # the interpreter is given up by who waits, and taken from nobody
        pid = spawning.spawn([str(program)], stdin=file, stdout=file, stderr=file, env={})
        assert given_up.is_set(), "else the kernel has taken the lease, after 45 seconds"
        assert os.waitpid(pid, 0)[1] == 0
    finally:
        sys.setswitchinterval(interval)
        signal.signal(signal.SIGIO, ignored)
        if gives_up.ident is not None:
            gives_up.join()
        os.close(file)


@pytest.mark.holds("DUR-83")
def test_for_want_of_a_thread_a_program_cannot_be_begun_as_for_want_of_a_process(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def none_left(_thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", none_left)
    with pytest.raises(BlockingIOError, match="can't start new thread"):
        sandbox.aside(lambda: None)
