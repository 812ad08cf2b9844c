"""The end of a command by a signal, where it has something to undo or to tell."""

from __future__ import annotations

import signal
import sys
import threading

import click

ENDING = (signal.SIGTERM, signal.SIGHUP)


def in_order() -> None:
    """From here on these signals end the command as an exception does; but not those that are ignored (nohup(1))."""
    if threading.current_thread() is not threading.main_thread():
        return
    for number in ENDING:
        before = signal.getsignal(number)
        if before is signal.SIG_DFL:
            signal.signal(number, lambda number, _frame: sys.exit(128 + number))
            click.get_current_context().call_on_close(lambda number=number: signal.signal(number, signal.SIG_DFL))
