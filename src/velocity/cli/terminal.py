"""A serial console in a terminal in raw mode, or with standard input typed into it."""

from __future__ import annotations

import contextlib
import math
import os
import re
import select
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import click
from msgspec import UNSET

from velocity.cli.raw_terminal import RawTerminal
from velocity.cli.words import clean
from velocity.client import ClientError, Console
from velocity.config import load
from velocity.contract.consoles import Holder, KeyboardStatus

LEAVE, TURN, KEEP = b"\x1d", b"\x1e", b"\x1f"
"""Ctrl-] (or another key) leaves; Ctrl-^ requests the keyboard or hands it over; Ctrl-_ keeps it."""
ANSWER = 15.0
"""Seconds for which piped input waits for the keyboard, whose holder has ten to answer."""

PAST = 1 << 20
"""Bytes of earlier output that are searched for a text."""


class KeyboardView:
    """What this terminal knows about the keyboard, and tells the user."""

    def __init__(self, console: Console, interactive: bool) -> None:
        self._console = console
        self._interactive = interactive
        self._holder = Holder(holder=None, yours=not console.controlled)
        self._asks: str | None = None
        self._answered = threading.Event()
        self._warned = False
        self._begun = False

    def hear(self, told: KeyboardStatus) -> None:
        """Called by another thread, with the server's messages."""
        if told.refused is True:
            self._note(f"{self._name()} keeps the keyboard")
        if isinstance(told.keyboard, Holder):
            # Update everything before printing: the user may press a key at once.
            before, self._holder = self._holder, told.keyboard
            asked, self._asks = self._asks, None if told.asks is UNSET else str(told.asks)
            others = isinstance(told.viewers, list) and len(told.viewers) > 1
            if before != told.keyboard and others:
                self._warned = False
                self._note("you have the keyboard" if told.keyboard.yours else f"{self._name()} has the keyboard")
            if self._asks is not None and self._asks != asked:
                self._note(f"{clean(self._asks)} asks for the keyboard: Ctrl-^ gives it, Ctrl-_ keeps it")
        if told.refused is True or self._holder.yours:
            self._answered.set()

    def typed(self, data: bytes, begins: Callable[[], None] = lambda: None) -> None:
        """Send typed or piped input. Calls `begins` before the first. Raises `ClientError`."""
        if not self._interactive:
            self._wait_for_the_keyboard()
        if not self._begun:
            self._begun = True
            begins()
        for piece in _pieces(data) if self._interactive else (data,):
            if piece == TURN:
                self._turn()
            elif piece == KEEP and self._asks is not None:
                self._asks = None  # before asking, as the reply may come at once
                self._console.move("keep")
            else:
                self._warn()
                self._console.send(piece)

    def _turn(self) -> None:
        if not self._holder.yours:
            self._console.move("ask")
            if self._holder.holder is not None:
                self._note(f"{self._name()} is asked for the keyboard and has ten seconds to answer")
        else:
            self._console.move("release" if self._asks is None else "give")

    def _warn(self) -> None:
        """Warn once that input reaches nobody."""
        if not self._warned and not self._holder.yours and self._holder.holder is not None:
            self._warned = True
            self._note(f"{self._name()} has the keyboard: Ctrl-^ asks for it")

    def _wait_for_the_keyboard(self) -> None:
        if self._holder.yours:
            return
        self._answered.clear()
        self._console.move("ask")
        self._answered.wait(ANSWER)
        if not self._holder.yours:
            raise ClientError(f"{self._name()} keeps the keyboard: nothing was typed")

    def _name(self) -> str:
        return clean(self._holder.holder or "nobody")

    def _note(self, text: str) -> None:
        if self._interactive:
            sys.stderr.write(f"\r\n[{text}]\r\n")
            sys.stderr.flush()


@dataclass(frozen=True)
class Terms:
    """When a console is left: by `key`; `wait` seconds after the end of standard input, or as soon as the guest writes
    `until`; after `timeout` seconds in any case, which is a failure.
    """

    escape: bytes = LEAVE
    wait: float = 5
    until: bytes = b""
    timeout: float | None = None


def key(word: str | None) -> bytes:
    """The key that leaves, from `^X` or the default; empty: none. Raises `BadParameter`."""
    word = load().console_escape if word is None else word
    if word.lower() == "none":
        return b""
    if not re.fullmatch(r"\^[@-_a-z?]", word):
        raise click.BadParameter(
            f"{clean(word)!r} is not a key: write ^ and a character, as in ^]", param_hint="--escape"
        )
    found = bytes([ord(word[1].upper()) ^ 64])
    if found in (TURN, KEEP):
        raise click.BadParameter(f"{word} is for the keyboard: choose another one", param_hint="--escape")
    return found


def converse(console: Console, terms: Terms) -> None:
    """Run until the user leaves, standard input ends, or the console does.

    Raises `ClientError`, also if `until` has not appeared; `BrokenPipeError`.
    """
    keyboard = -1 if sys.stdin is None else sys.stdin.fileno()
    interactive = keyboard >= 0 and os.isatty(keyboard)
    if interactive:
        leaves = f"Ctrl-{chr(terms.escape[0] ^ 64)} leaves" if terms.escape else "no key leaves"
        click.echo(f"connected: {leaves}; press Enter if nothing appears", err=True)
    place = KeyboardView(console, interactive)
    console.hear = place.hear
    raw = RawTerminal(keyboard, sys.stdout.fileno()) if interactive else None
    output = Output(console, terms.until, raw)
    if interactive:
        output.look(past=True)
    try:
        with raw or contextlib.nullcontext():
            output.start()
            in_time = _type(keyboard, place, output, terms, interactive)
    except ClientError:
        if not output.over.is_set():
            raise
        in_time = True
    finally:
        console.close()
    if output.failure is not None:
        raise output.failure
    if interactive:
        click.echo(f"\nthe console has ended: {clean(console.why)}" if console.why else "\nleft the console", err=True)
    _judge(terms, output, in_time)


def _judge(terms: Terms, output: Output, in_time: bool) -> None:
    if output.found:
        return
    if terms.until:
        said = clean(terms.until.decode("utf-8", "replace"))
        when = "before the console was left or had ended" if in_time else f"within {terms.timeout:g} seconds"
        raise ClientError(f"{said!r} did not appear {when}")
    if not in_time:
        raise ClientError(f"the console was left after {terms.timeout:g} seconds (--timeout)")


def _type(keyboard: int, place: KeyboardView, output: Output, terms: Terms, interactive: bool) -> bool:
    """Type standard input. False: the time ran out first."""
    end = math.inf if terms.timeout is None else time.monotonic() + terms.timeout
    while not output.over.is_set():
        if time.monotonic() > end:
            return False
        if keyboard >= 0 and not select.select([keyboard], [], [], 0.1)[0]:
            continue
        typed = _typed(keyboard)
        if not typed:
            output.look(past=True)
            # the piped input is over; the guest's reaction to it is still shown
            rest = max(0.0, end - time.monotonic())
            wait = rest if terms.until else min(terms.wait, rest)
            return output.over.wait(min(wait, threading.TIMEOUT_MAX)) or wait < rest
        before, leave, _ = typed.partition(terms.escape) if interactive and terms.escape else (typed, b"", b"")
        if before:
            place.typed(before, lambda: output.look(past=False))
        if leave:
            return True
    return True


def _typed(keyboard: int) -> bytes:
    """The next input; empty at the end."""
    try:
        return os.read(keyboard, 4096) if keyboard >= 0 else b""
    except OSError:  # the terminal may be gone
        return b""


class Output:
    """Prints the guest's output, in a thread of its own."""

    def __init__(self, console: Console, until: bytes, raw: RawTerminal | None) -> None:
        self.over = threading.Event()
        """The console has ended, or the awaited text has appeared, or nothing can be printed."""
        self.found = False
        self.failure: OSError | None = None
        self._console = console
        self._until = until
        self._raw = raw
        self._last = b""
        self._looks = False
        self._turn = threading.Lock()

    def start(self) -> None:
        threading.Thread(target=self._run, daemon=True).start()

    def look(self, past: bool) -> None:
        """Search for the awaited text from now on; `past`: also in earlier output. Called once."""
        with self._turn:
            if self._until and not self._looks:
                self._looks = True
                self._last = self._last if past else b""
                self._look(b"")

    def _run(self) -> None:
        try:
            while not self.found and (data := self._console.receive()):
                sys.stdout.buffer.write(data)
                sys.stdout.buffer.flush()
                if self._raw is not None:
                    self._raw.shown(data)
                if self._until:
                    with self._turn:
                        self._look(data)
        except OSError as error:
            self.failure = error
        finally:
            self.over.set()

    def _look(self, data: bytes) -> None:
        said = self._last + data
        if self._looks and self._until in said:
            self.found = True
            self.over.set()
        self._last = said[-max(len(self._until) - 1, 1) :] if self._looks else said[-PAST:]


def _pieces(data: bytes) -> Iterator[bytes]:
    """The data, with our control keys as separate pieces."""
    start = 0
    for place, byte in enumerate(data):
        if byte in (TURN[0], KEEP[0]):
            yield from (piece for piece in (data[start:place], data[place : place + 1]) if piece)
            start = place + 1
    if data[start:]:
        yield data[start:]
