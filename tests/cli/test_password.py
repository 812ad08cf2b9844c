"""Asking for a password where nobody can answer, or a pipe does."""

from __future__ import annotations

import subprocess
import sys

import pytest

ASK = "from velocity.cli import password\nprint(password.ask('New password'))"


@pytest.mark.holds("CLI-65")
@pytest.mark.parametrize(("typed", "said"), [("", ""), ("a b\n", "a b\n")], ids=["nothing", "a pipe"])
def test_without_a_terminal_nothing_is_said_of_its_echo(typed: str, said: str) -> None:
    """In a session of its own it has no terminal, as in a job of cron or in a container."""
    done = subprocess.run(
        [sys.executable, "-c", ASK],
        input=typed,
        capture_output=True,
        text=True,
        check=False,
        start_new_session=True,
        timeout=60,
    )
    assert done.stdout == said
    assert "echo" not in done.stderr, done.stderr
    assert ("NoTerminal: there is no terminal to ask that question: --password-stdin" in done.stderr) == (not typed)
