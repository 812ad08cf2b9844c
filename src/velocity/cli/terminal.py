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

from velocity.client import ClientError, Console

LEAVE = b"\x1d"


def converse(console: Console) -> None:
    """Until the user leaves, standard input ends, or the console does."""
    keyboard = sys.stdin.fileno()
    interactive = os.isatty(keyboard)
    if interactive:
        click.echo("connected: Ctrl-] leaves; press Enter if nothing shows", err=True)
    over = threading.Event()
    printer = threading.Thread(target=_print, args=(console, over), daemon=True)
    with _raw(keyboard) if interactive else contextlib.nullcontext():
        printer.start()
        with contextlib.suppress(ClientError):
            while not over.is_set():
                if not select.select([keyboard], [], [], 0.1)[0]:
                    continue
                typed = os.read(keyboard, 4096)
                if not typed:
                    over.wait(5)  # what a pipe said is over: what the guest answers to it is still shown
                    break
                before, leave, _ = typed.partition(LEAVE) if interactive else (typed, b"", b"")
                if before:
                    console.send(before)
                if leave:
                    break
    console.close()
    if interactive:
        click.echo("\nleft the console", err=True)


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
