"""Starts programs with only the descriptors that they are given, while the server's other threads continue.

Python's functions hold the interpreter until the program has started, which on a busy host delays all requests. And
without /proc, as in `velocity.sandbox`, subprocess.Popen closes each descriptor up to the limit of open files: 65,000
calls in an installed server. posix_spawn(3), close_range(2)
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
"""Bytes for the C library's opaque structures: glibc's attributes are the largest, with 336."""


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
    """Start a program; returns its pid, for which the caller has to wait. Raises `OSError`, as if there is no such
    program.

    `files` keep their numbers. `session`: it leads a session, which shields it from a terminal's Ctrl-C. `reset` are
    the signals that Python ignores and the program should not.
    """
    with contextlib.suppress(OSError):  # before Linux 5.11; all descriptors that Python opened have this flag anyway
        system_call("close_range", 3, LAST, CLOSE_RANGE_CLOEXEC)
    sys.audit("os.posix_spawn", command[0], list(command), dict(env))  # as Python's functions do
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
    """Call a function of the C library that returns an error number. Raises `OSError`."""
    if number := getattr(libc(), name)(*arguments):
        raise OSError(number, os.strerror(number))


def _array(words: Iterable[str]) -> ctypes.Array[ctypes.c_char_p]:
    encoded = [os.fsencode(word) for word in words]
    return (ctypes.c_char_p * (len(encoded) + 1))(*encoded, None)
