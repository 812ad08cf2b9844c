"""A program gets the descriptors that it is given and no other, whatever the server has open and wherever it begins."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import pytest

from tests.patience import PATIENCE
from velocity import sandbox
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
