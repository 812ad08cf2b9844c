"""Terminals and people that want no colours. https://no-color.org"""

from __future__ import annotations

import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

from tests.host import Host

VELOCITY = Path(sys.executable).with_name("velocity")


def shown(host: Host, *words: str, **variables: str) -> str:
    """On a terminal."""
    ours, side = pty.openpty()
    environment = {"TERM": "xterm-256color", **host.environment, **variables}
    ran = subprocess.Popen([VELOCITY, *words], stdin=side, stdout=side, stderr=side, env=os.environ | environment)
    os.close(side)
    said = b""
    try:
        while data := os.read(ours, 65536):
            said += data
    except OSError:  # all have left the terminal
        pass
    os.close(ours)
    ran.wait(60)
    return said.decode()


@pytest.mark.holds("CLI-21")
@pytest.mark.parametrize("words", [("group", "list"), ("vm", "show", "nobody")], ids=" ".join)
def test_who_wants_no_colours_gets_no_escape_sequence(host: Host, words: tuple[str, ...]) -> None:
    assert "\x1b[" in shown(host, *words), "else there is nothing to see here"
    for name, value in (("NO_COLOR", "1"), ("TERM", "dumb")):
        said = shown(host, *words, **{name: value})
        assert said
        assert "\x1b" not in said, (name, said)
