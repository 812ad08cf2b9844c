"""What a process inherits from whoever starts it, put in order: descriptors, signals and the encoding of its output."""

from __future__ import annotations

import io
import os
import signal
import sys


def settle() -> None:
    """For every command, before it opens anything."""
    _open_standard_streams()
    # Where SIGCHLD is ignored, the kernel keeps no exit status: failures of programs would pass for successes, and
    # waiting for one would fail. wait(2)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a name that cannot be written there fails no command
            stream.reconfigure(errors="backslashreplace")


def _open_standard_streams() -> None:
    """Open those that are closed: the next file to be opened would get what is meant for a terminal."""
    while (made := os.open(os.devnull, os.O_RDWR)) <= 2:
        os.set_inheritable(made, True)
    os.close(made)
    sys.stdin = sys.stdin or os.fdopen(0, closefd=False)
    sys.stdout = sys.stdout or os.fdopen(1, "w", closefd=False)
    sys.stderr = sys.stderr or os.fdopen(2, "w", closefd=False)
