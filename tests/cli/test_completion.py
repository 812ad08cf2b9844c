"""What the Tab key makes of a line in the shells themselves, with names that shells find hard."""

from __future__ import annotations

import os
import pty
import select
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.host import Host
from tests.patience import PATIENCE
from velocity.cli.completion import quoted, split

BIN = Path(sys.executable).parent
READY = "eady> "
"""Ends the prompt; it is not what is typed to have it."""


class Shell:
    """An interactive shell in a terminal."""

    def __init__(self, host: Host, *words: str, begin: str) -> None:
        self._ours, side = pty.openpty()
        environment = os.environ | host.environment | {"PATH": f"{BIN}:{os.environ['PATH']}", "TERM": "dumb"}
        self._shell = subprocess.Popen(
            words, stdin=side, stdout=side, stderr=side, env=environment, start_new_session=True
        )
        os.close(side)
        os.write(self._ours, f"stty cols 400; {begin}; PS1='r''eady> '\n".encode())
        self._until(f"r{READY}")

    def tab(self, typed: str, expected: str) -> str:
        """The line as it stands after a Tab, once it is what is expected or nothing more comes."""
        os.write(self._ours, typed.encode() + b"\t")
        shown = self._until(expected)
        os.write(self._ours, b"\x15\n")
        self._until(f"r{READY}")
        return shown

    def _until(self, words: str) -> str:
        said, end = "", time.monotonic() + PATIENCE
        while words not in said and time.monotonic() < end:
            if select.select([self._ours], [], [], 0.1)[0]:
                said += os.read(self._ours, 65536).decode(errors="replace").replace("\a", "")
        return said

    def close(self) -> None:
        self._shell.kill()
        self._shell.wait()
        os.close(self._ours)


@pytest.fixture
def named(host: Host) -> Host:
    for name in ("my vm", "co:lon:1", "it's $x", "a,b \u00fc", "t1"):
        host.ok("vm", "create", name, "--memory", "64M")
    host.ok("group", "create", "red team")
    return host


SHORT = 3
"""Cases of each shell in the short form: each is a run of the command."""
BASH = (
    ("velocity vm show m", r"velocity vm show my\ vm "),
    ("velocity --server {url} vm show t", "velocity --server {url} vm show t1 "),
    ("velocity vm list --group=r", r"velocity vm list --group=red\ team "),
    ("velocity vm show my\\ ", r"velocity vm show my\ vm "),
    ('velocity vm show "my v', 'velocity vm show "my vm" '),
    ("velocity vm show 'it", "velocity vm show 'it'\\''s $x' "),
    ("velocity vm show it", r"velocity vm show it\'s\ \$x "),
    ("velocity vm show a", "velocity vm show a,b\\ \u00fc "),
    ("velocity vm show co", "velocity vm show co:lon:1 "),
    ("velocity vm show co:l", "velocity vm show co:lon:1 "),
    ("velocity --server={url} vm show m", r"velocity --server={url} vm show my\ vm "),
    ("X=1 velocity vm show t", "X=1 velocity vm show t1 "),
    ("velocity vm list --group r", r"velocity vm list --group red\ team "),
    ("velocity vm sho", "velocity vm show "),
)
ZSH = (
    ("velocity vm show m", r"velocity vm show my\ vm "),
    ("velocity --server {url} vm show t", "velocity --server {url} vm show t1 "),
    ("velocity vm list --group=r", r"velocity vm list --group=red\ team "),
    ("velocity vm show my\\ ", r"velocity vm show my\ vm "),
    ("velocity vm show 'my v", "velocity vm show 'my vm' "),
    ("velocity vm show it", r"velocity vm show it\'s\ \$x "),
    ("velocity vm show a", "velocity vm show a,b\\ \u00fc "),
    ("velocity vm show co:l", "velocity vm show co:lon:1 "),
)
FISH = (
    ("velocity vm show m", "my\\ vm"),
    ("velocity --server {url} vm show t", "t1"),
    ("velocity vm list --group=r", "--group=red\\ team"),
    ("velocity vm show my\\ ", "my\\ vm"),
    ("velocity vm show 'my v", "'my vm'"),
    ("velocity vm show it", "it\\'s\\ \\$x"),
    ("velocity vm show a", "a,b\\ \u00fc"),
    ("velocity vm show co:l", "co:lon:1"),
)


def _check(shell: Shell, host: Host, cases: tuple[tuple[str, str], ...]) -> None:
    wrong = {}
    for typed, expected in cases:
        wanted = expected.format(url=host.url)
        if wanted not in (shown := shell.tab(typed.format(url=host.url), wanted)):
            wrong[typed] = shown
    assert not wrong


@pytest.mark.holds("CLI-20")
@pytest.mark.whole
def test_bash_completes_to_words_that_can_be_run(named: Host, whole: bool) -> None:
    shell = Shell(
        named, "bash", "--norc", "--noprofile", "-i",
        begin="""eval "$(velocity completion bash)"; bind 'set enable-bracketed-paste off'""",
    )  # fmt: skip
    try:
        _check(shell, named, BASH if whole else BASH[:SHORT])
    finally:
        shell.close()


@pytest.mark.holds("CLI-20")
@pytest.mark.whole
def test_zsh_completes_to_words_that_can_be_run(named: Host, whole: bool) -> None:
    shell = Shell(
        named, "zsh", "-f", "-i",
        begin="""autoload -U compinit; compinit -u -D; eval "$(velocity completion zsh)"; bindkey -e""",
    )  # fmt: skip
    try:
        _check(shell, named, ZSH if whole else ZSH[:SHORT])
    finally:
        shell.close()


@pytest.mark.holds("CLI-20")
@pytest.mark.whole
def test_fish_completes_to_words_that_can_be_run(named: Host, whole: bool) -> None:
    cases = FISH if whole else FISH[:SHORT]
    asked = "".join(f"complete --escape -C {_fish(typed.format(url=named.url))}; echo END\n" for typed, _ in cases)
    environment = os.environ | named.environment | {"PATH": f"{BIN}:{os.environ['PATH']}"}
    ran = subprocess.run(
        ["fish", "--no-config", "-c", f"velocity completion fish | source\n{asked}"],
        env=environment, capture_output=True, text=True, check=True, timeout=120,
    )  # fmt: skip
    found = [block.split("\t")[0].strip() for block in ran.stdout.split("END\n")[:-1]]
    assert found == [word for _, word in cases], ran.stderr


def _fish(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"


def test_what_bash_gets_means_the_same_to_it() -> None:
    texts = ("my vm", "it's", 'a"b', "$x `y` \\", "*?[]{}~!#&;|<>()", "\u65e5\u672c", "a:b,c")
    words = [(text, quote, quote + quoted(text, quote)) for text in texts for quote in ("", "'", '"')]
    for text, quote, word in words:
        found = split(f"velocity vm show {word}", ":")
        assert (found.words, found.begun, found.quote) == (["velocity", "vm", "show"], text, quote)
    line = " ".join(word + quote for _, quote, word in words)
    ran = subprocess.run(["bash", "-c", f"printf '%s\\n' {line}"], capture_output=True, text=True, check=True)
    assert ran.stdout.splitlines() == [text for text, _, _ in words]
    assert split("velocity --server http://h:1 'a b' ", ":").words == ["velocity", "--server", "http://h:1", "a b"]
    assert split("velocity a\\:b:c", ":").kept == "a:b:", "a colon with a backslash ends no word"
