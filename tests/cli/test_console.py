"""`velocity vm console` as a process of its own: in a terminal that outlives it, and with pipes."""

from __future__ import annotations

import os
import pty
import select
import signal
import subprocess
import sys
import termios
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.host import Host
from tests.patience import at_last

VELOCITY = Path(sys.executable).with_name("velocity")
SHELL = """
import os, signal, subprocess, sys
signal.signal(signal.SIGTTOU, signal.SIG_IGN)
for one in (signal.SIGINT, signal.SIGQUIT):  # who runs the tests in the background has them ignored: sh(1), 2.11
    signal.signal(one, signal.SIG_DFL)
child = subprocess.Popen(sys.argv[1:], process_group=0)
os.tcsetpgrp(0, child.pid)
os.write(3, b"%d\\n" % child.pid)
while True:
    status = os.waitpid(child.pid, os.WUNTRACED)[1]
    os.tcsetpgrp(0, os.getpgrp())
    os.write(3, b"stopped\\n" if os.WIFSTOPPED(status) else b"%d\\n" % os.waitstatus_to_exitcode(status))
    if not os.WIFSTOPPED(status):
        break
    os.read(4, 1)
    os.tcsetpgrp(0, child.pid)
    os.killpg(child.pid, signal.SIGCONT)
"""
"""Job control as a shell does it: only a child of one can be stopped by its terminal."""


@dataclass
class Terminal:
    """A terminal with a shell that runs one command."""

    ours: int
    side: int
    news: int
    go_on: int
    shell: subprocess.Popen[bytes]
    shown: bytes = b""

    def shows(self, words: bytes) -> None:
        end = time.monotonic() + 60
        while words not in self.shown:
            assert time.monotonic() < end, self.shown
            if select.select([self.ours], [], [], 0.2)[0]:
                self.shown += os.read(self.ours, 65536)

    def told(self) -> str:
        assert select.select([self.news], [], [], 60)[0]
        return os.read(self.news, 100).decode().strip()

    @property
    def is_raw(self) -> bool:
        flags = termios.tcgetattr(self.side)[3]
        assert bool(flags & termios.ICANON) == bool(flags & termios.ECHO)
        return not flags & termios.ICANON


@pytest.fixture
def running(host: Host) -> Host:
    host.ok("vm", "create", "web", "--memory", "64M")
    host.ok("vm", "start", "web")
    return host


@contextmanager
def opened(host: Host, *more: str) -> Iterator[Terminal]:
    ours, side = pty.openpty()
    news, out = os.pipe()
    hears, go_on = os.pipe()

    def place() -> None:
        os.dup2(out, 13)
        os.dup2(hears, 14)
        os.dup2(13, 3)
        os.dup2(14, 4)

    shell = subprocess.Popen(
        [sys.executable, "-c", f"import fcntl, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0)\n{SHELL}",
         str(VELOCITY), "vm", "console", "web", *more],
        stdin=side, stdout=side, stderr=side, start_new_session=True, close_fds=False, preexec_fn=place,
        env=os.environ | host.environment,
    )  # fmt: skip
    terminal = Terminal(ours, side, news, go_on, shell)
    try:
        yield terminal
    finally:
        shell.kill()
        shell.wait()
        for one in (ours, side, news, out, hears, go_on):
            os.close(one)


@pytest.mark.holds("CONSOLE-11")
@pytest.mark.parametrize(
    "ends", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT, signal.SIGQUIT], ids=lambda one: one.name
)
def test_the_terminal_is_right_again_after_every_signal(running: Host, ends: signal.Signals) -> None:
    with opened(running) as terminal:
        pid = int(terminal.told())
        running.say(b"\x1b[?1049h\x1b[?25l\x1b[?1000;1006h\x1b[31m\x1b[?1000lhello")
        terminal.shows(b"hello")
        assert terminal.is_raw
        os.kill(pid, signal.SIGTSTP)
        assert terminal.told() == "stopped"
        assert not terminal.is_raw
        os.write(terminal.go_on, b"x")
        at_last(lambda: terminal.is_raw, "it goes on in the terminal that it had")
        os.kill(pid, ends)
        assert terminal.told() == str(-ends)
        assert not terminal.is_raw
        terminal.shows(b"\x1b[?1006l\x1b[?1049l\x1b[?25h\x1b[0m")
        assert b"\x1b[?1000l" not in terminal.shown.partition(b"hello")[2], "what the guest switched back itself"


@pytest.mark.holds("CONSOLE-12")
def test_the_key_that_leaves_can_be_chosen(running: Host) -> None:
    with opened(running, "--escape", "^a") as terminal:
        terminal.told()
        terminal.shows(b"connected: Ctrl-A leaves")
        at_last(lambda: terminal.is_raw, "it reads keys")
        os.write(terminal.ours, b"x\x1d")
        (run,) = running.hypervisor.runs.values()
        at_last(lambda: bytes(run.said).endswith(b"x\x1d"), "the usual key is the guest's")
        os.write(terminal.ours, b"y\x01z")
        assert terminal.told() == "0"
        at_last(lambda: bytes(run.said).endswith(b"x\x1dy"), "what was typed before the key is the guest's")
        assert not terminal.is_raw


@pytest.mark.parametrize("key", ["]", "^^", "^_", "^", "^ab", "^\u00e4", ""])
def test_a_key_that_is_none_is_refused(running: Host, key: str) -> None:
    refused = running.run("vm", "console", "web", "--escape", key)
    assert refused.exit_code == 2
    assert "--escape" in refused.stderr


def piped(host: Host, typed: str, *more: str, **variables: str) -> subprocess.Popen[str]:
    begun = subprocess.Popen(
        [VELOCITY, "vm", "console", "web", *more], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        stderr=subprocess.PIPE, text=True, env=os.environ | host.environment | variables,
    )  # fmt: skip
    assert begun.stdin is not None
    begun.stdin.write(typed)
    begun.stdin.close()
    begun.stdin = None
    return begun


@pytest.mark.holds("CONSOLE-13")
def test_what_a_pipe_says_is_answered_later_and_waited_for(running: Host) -> None:
    """The guest answers after the pipe's end; that it said the same long ago does not count."""
    running.say(b"of old: DONE\r\n")
    (run,) = running.hypervisor.runs.values()
    begun = piped(running, "make\n", "--until", "DONE", "--timeout", "50", "--wait", "0")
    at_last(lambda: b"make\n" in run.said, "it is typed")
    assert begun.poll() is None
    running.say(b"now: DO")
    running.say(b"NE\r\n")
    said, _ = begun.communicate(timeout=60)
    assert begun.returncode == 0
    assert "now: DONE" in said
    late = piped(running, "", "--until", "of old: DONE")
    late.communicate(timeout=60)
    assert late.returncode == 0, "nothing is typed: what it said before counts"


@pytest.mark.holds("CONSOLE-13")
def test_what_does_not_come_in_time_is_a_failure_that_says_so(running: Host) -> None:
    cases = (
        (("--until", "NEVER", "--timeout", "0.5"), "'NEVER' did not appear within 0.5 seconds"),
        (("--timeout", "0.5", "--wait", "60"), "left after 0.5 seconds"),
    )
    begun = [(piped(running, "x\n", *more), words) for more, words in cases]
    for one, words in begun:
        _, told = one.communicate(timeout=60)
        assert (one.returncode, words in told) == (1, True), told
    ends = piped(running, "last\n", "--until", "NEVER")
    (run,) = running.hypervisor.runs.values()
    at_last(lambda: b"last\n" in run.said, "it is typed")
    assert run.said.count(b"x\n") == len(cases), "the others have typed theirs"
    running.ok("vm", "stop", "web", "--force")
    _, told = ends.communicate(timeout=60)
    assert (ends.returncode, "had ended" in told) == (1, True), told


def test_a_reader_that_leaves_ends_it(running: Host) -> None:
    begun = piped(running, "x\n", "--wait", "60")
    assert begun.stdout is not None
    (run,) = running.hypervisor.runs.values()
    at_last(lambda: b"x\n" in run.said, "it is typed")
    begun.stdout.close()
    begun.stdout = None
    running.say(b"nobody reads this\r\n")
    _, told = begun.communicate(timeout=50)
    assert (begun.returncode, told) == (1, ""), "as every verb"
