"""Commands whose starter has closed descriptors, ignores or blocks signals, or writes in an old encoding."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.test_plain import VELOCITY
from tests.host import Host

SETTLED = "from velocity.cli import inherited; inherited.settle(); import json, os, signal, subprocess, sys; "
"""What `main` begins with."""


def under(shell: str, python: str, *words: str) -> subprocess.CompletedProcess[str]:
    """Python under what a shell has prepared."""
    run = ["sh", "-c", f'{shell} exec "$@"', "sh", sys.executable, "-c", SETTLED + python, *words]
    return subprocess.run(run, capture_output=True, text=True, timeout=60, check=False)


@pytest.mark.holds("CLI-49")
@pytest.mark.parametrize(
    "prepared",
    ["signal.signal(signal.SIGCHLD, signal.SIG_IGN)", "signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})"],
    ids=["ends of programs ignored", "signals blocked"],
)
def test_a_failure_is_none_less_where_the_ends_of_programs_are_ignored(prepared: str) -> None:
    begins = f"import os, signal, sys; {prepared}; os.execv(sys.argv[1], sys.argv[1:])"
    asks = "print(subprocess.run(['false']).returncode, signal.pthread_sigmask(signal.SIG_BLOCK, ()))"
    words = [sys.executable, "-c", begins, sys.executable, "-c", SETTLED + asks]
    ran = subprocess.run(words, capture_output=True, text=True, check=False)
    assert ran.stdout == "1 set()\n", ran.stderr


@pytest.mark.holds("CLI-50")
def test_what_is_opened_never_gets_what_is_meant_for_a_terminal(tmp_path: Path) -> None:
    file = tmp_path / "database"
    writes = (
        "made = open(sys.argv[1], 'w'); print('a line'); print('another', file=sys.stderr); sys.stdout.flush(); "
        "os.write(2, b'of a library'); subprocess.run(['sh', '-c', 'echo of a program; echo more >&2']); "
        "made.write(f'{made.fileno() > 2} {sys.stdin.read()!r}')"
    )
    assert under("exec <&- >&- 2>&-;", writes, str(file)).returncode == 0
    assert file.read_text() == "True ''"


@pytest.mark.holds("CLI-51")
def test_a_name_that_the_terminal_cannot_show_fails_no_command(host: Host) -> None:
    def ran(*words: str) -> bytes:
        environment = os.environ | host.environment | {"PYTHONIOENCODING": "latin-1"}
        done = subprocess.run([VELOCITY, *words], capture_output=True, check=False, env=environment)
        assert done.returncode == 0, done.stderr
        return done.stdout

    ran("group", "create", "日本 😀")
    assert b"\\u65e5\\u672c \\U0001f600" in ran("group", "list")
    for words in (("group", "list", "--json"), ("api", "POST", "/u/group/list")):
        assert "日本 😀" in [one["name"] for one in json.loads(ran(*words).decode())["groups"]], "JSON is UTF-8"
    assert "日本 😀" in ran("events", "--json", "--count", "1").decode()


@pytest.mark.holds("CLI-59")
def test_a_command_works_in_a_directory_that_was_removed(host: Host, tmp_path: Path) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    words = ["sh", "-c", 'rmdir ../gone; exec "$@"', "sh", str(VELOCITY), "group", "create", "red"]
    ran = subprocess.run(words, cwd=gone, env=os.environ | host.environment, capture_output=True, check=False)
    assert (ran.returncode, ran.stdout) == (0, b"1\n"), ran.stderr
