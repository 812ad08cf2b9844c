"""Starting programs with only the descriptors that they are given, while the server's other threads go on.

Python's own ways hold the interpreter until the program has begun: on a full host until the kernel lets it, and so long
nobody is answered. And where there is no /proc, as in `velocity.sandbox`, subprocess.Popen closes each number up to the
limit of open files: 65,000 calls in an installed server. posix_spawn(3), close_range(2)
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from velocity.system_calls import libc, system_call

LAST, CLOSE_RANGE_CLOEXEC = 0xFFFFFFFF, 4
POSIX_SPAWN_SETSIGDEF, POSIX_SPAWN_SETSID = 0x04, 0x80
OPAQUE = 1024
"""Bytes of what only the C library looks into: glibc's attributes are the longest, with 336."""


def spawn(
    command: Sequence[str],
    *,
    stdin: int,
    stdout: int,
    stderr: int,
    files: Sequence[int] = (),
    env: Mapping[str, str],
    session: bool = False,
    reset: Iterable[signal.Signals] = (signal.SIGPIPE, signal.SIGXFSZ),
) -> int:
    """Begin it; its pid, which the caller waits for. Raises `OSError`, as when there is no such program.

    `files` keep their numbers. `session`: it leads one of its own, so that a terminal's Ctrl-C does not reach it.
    `reset` are signals that Python ignores, and the program does not.
    """
    with contextlib.suppress(OSError):  # before Linux 5.11: Python has opened all of them so
        system_call("close_range", 3, LAST, CLOSE_RANGE_CLOEXEC)
    sys.audit("os.posix_spawn", command[0], list(command), dict(env))  # as Python's own does
    attributes, actions, signals = (ctypes.create_string_buffer(OPAQUE) for _ in range(3))
    _told("sigemptyset", signals)
    for ignored in reset:
        _told("sigaddset", signals, ignored)
    _told("posix_spawnattr_init", attributes)
    _told("posix_spawnattr_setsigdefault", attributes, signals)
    _told("posix_spawnattr_setflags", attributes, POSIX_SPAWN_SETSIGDEF | (POSIX_SPAWN_SETSID if session else 0))
    _told("posix_spawn_file_actions_init", actions)
    try:
        for one, number in ((stdin, 0), (stdout, 1), (stderr, 2), *zip(files, files, strict=True)):
            _told("posix_spawn_file_actions_adddup2", actions, one, number)
        words, variables = _array(command), _array(f"{name}={value}" for name, value in env.items())
        pid = ctypes.c_int()
        _told("posix_spawnp", ctypes.byref(pid), words[0], actions, attributes, words, variables)
        return pid.value
    finally:
        _told("posix_spawn_file_actions_destroy", actions)
        _told("posix_spawnattr_destroy", attributes)


def _told(name: str, *arguments: Any) -> None:
    """Call a function of the C library that answers with an error's number. Raises `OSError`."""
    if number := getattr(libc(), name)(*arguments):
        raise OSError(number, os.strerror(number))


def _array(words: Iterable[str]) -> ctypes.Array[ctypes.c_char_p]:
    encoded = [os.fsencode(word) for word in words]
    return (ctypes.c_char_p * (len(encoded) + 1))(*encoded, None)
