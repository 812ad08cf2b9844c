"""A serial console in a terminal: raw both ways, Ctrl-] leaves, the terminal is always given back as it was."""

from __future__ import annotations

import contextlib
import os
import select
import sys
import termios
import threading
import tty
from collections.abc import Iterator

import click
from msgspec import UNSET

from velocity.cli.words import clean
from velocity.client import ClientError, Console
from velocity.contract.consoles import Holder, KeyboardStatus

LEAVE, TURN, KEEP = b"\x1d", b"\x1e", b"\x1f"
"""Ctrl-] leaves; Ctrl-^ asks for the keyboard or gives it; Ctrl-_ keeps it from who asks."""
ANSWER = 15.0
"""Seconds that what comes from a pipe waits for the keyboard: its holder has ten."""


class KeyboardView:
    """What this terminal knows of the keyboard, and says of it to a person."""

    def __init__(self, console: Console, interactive: bool) -> None:
        self._console = console
        self._interactive = interactive
        self._holder = Holder(holder=None, yours=not console.controlled)
        self._asks: str | None = None
        self._answered = threading.Event()
        self._warned = False

    def hear(self, told: KeyboardStatus) -> None:
        """Of another thread: what the server tells."""
        if told.refused is True:
            self._note(f"{self._name()} keeps the keyboard")
        if isinstance(told.keyboard, Holder):
            # All of it is known before any of it is said: a key may be pressed the moment that it is read.
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

    def typed(self, data: bytes) -> None:
        """What a person typed, or a pipe said. Raises `ClientError`."""
        if not self._interactive:
            self._wait_for_the_keyboard()
        for piece in _pieces(data) if self._interactive else (data,):
            if piece == TURN:
                self._turn()
            elif piece == KEEP and self._asks is not None:
                self._asks = None  # who asks again may be told of before it is told that nobody asked in between
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
        """Once: what is typed reaches nobody."""
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


def converse(console: Console) -> None:
    """Until the user leaves, standard input ends, or the console does. Raises `ClientError`."""
    keyboard = sys.stdin.fileno()
    interactive = os.isatty(keyboard)
    if interactive:
        click.echo("connected: Ctrl-] leaves; press Enter if nothing appears", err=True)
    place = KeyboardView(console, interactive)
    console.hear = place.hear
    over = threading.Event()
    printer = threading.Thread(target=_print, args=(console, over), daemon=True)
    try:
        with _raw(keyboard) if interactive else contextlib.nullcontext():
            printer.start()
            _type(keyboard, place, over, interactive)
    except ClientError:
        if not over.is_set():
            raise
    finally:
        console.close()
    if interactive:
        click.echo("\nleft the console", err=True)


def _type(keyboard: int, place: KeyboardView, over: threading.Event, interactive: bool) -> None:
    while not over.is_set():
        if not select.select([keyboard], [], [], 0.1)[0]:
            continue
        typed = os.read(keyboard, 4096)
        if not typed:
            over.wait(5)  # what a pipe said is over: what the guest answers to it is still shown
            return
        before, leave, _ = typed.partition(LEAVE) if interactive else (typed, b"", b"")
        if before:
            place.typed(before)
        if leave:
            return


def _pieces(data: bytes) -> Iterator[bytes]:
    """The data, with the keys of ours each for itself."""
    start = 0
    for place, byte in enumerate(data):
        if byte in (TURN[0], KEEP[0]):
            yield from (piece for piece in (data[start:place], data[place : place + 1]) if piece)
            start = place + 1
    if data[start:]:
        yield data[start:]


def _print(console: Console, over: threading.Event) -> None:
    while data := console.receive():
        sys.stdout.buffer.write(data)
        sys.stdout.buffer.flush()
    over.set()


@contextlib.contextmanager
def _raw(terminal: int) -> Iterator[None]:
    before = termios.tcgetattr(terminal)
    try:
        tty.setraw(terminal)
        yield
    finally:
        termios.tcsetattr(terminal, termios.TCSADRAIN, before)
