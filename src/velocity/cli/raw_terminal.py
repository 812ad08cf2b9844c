"""A terminal in raw mode that is restored whatever ends or stops the program."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import termios
import tty
from types import FrameType
from typing import Any

ENDING = (signal.SIGTERM, signal.SIGHUP, signal.SIGINT, signal.SIGQUIT)
MODES = re.compile(rb"\x1b\[\?([\d;]+)([hl])")
NORMALLY_ON = frozenset({b"7", b"25"})
"""Lines are wrapped, the cursor is seen. DECAWM, DECTCEM"""
PLAIN = b"\x1b[0m\x1b(B\x1b>"
"""No colours, the usual letters, the usual keypad."""
LONGEST = 64
"""Of a sequence that sets modes, so far as it is known again when it comes in pieces."""


class RawTerminal:
    """Within, what is typed comes as it is typed. Not for SIGKILL, after which `reset` helps.

    A signal that ends us, or stops us, does so after the terminal was given back; when we go on it is raw again.
    """

    def __init__(self, keyboard: int, screen: int) -> None:
        self._keyboard = keyboard
        self._screen = screen
        self._before: list[Any] = []
        self._handlers: dict[signal.Signals, Any] = {}
        self._switched: set[bytes] = set()
        """The modes of the terminal that are not as they normally are, in what it was shown."""
        self._used = False
        self._last = b""

    def __enter__(self) -> RawTerminal:
        self._before = termios.tcgetattr(self._keyboard)
        for one in (*ENDING, signal.SIGTSTP, signal.SIGCONT):
            if signal.getsignal(one) is not signal.SIG_IGN:  # as nohup has it
                self._handlers[one] = signal.signal(one, self._end if one in ENDING else self._stop)
        if signal.SIGCONT in self._handlers:
            signal.signal(signal.SIGCONT, self._go_on)
        tty.setraw(self._keyboard)
        return self

    def __exit__(self, *_: object) -> None:
        self._give_back()
        for one, handler in self._handlers.items():
            signal.signal(one, handler)

    def shown(self, data: bytes) -> None:
        """What the terminal was shown: the modes that it switches are switched back at the end."""
        self._used = self._used or b"\x1b" in data
        for numbers, way in MODES.findall(self._last + data):
            for one in numbers.split(b";"):
                normal = (way == b"h") == (one in NORMALLY_ON)
                self._switched = self._switched - {one} if normal else self._switched | {one}
        self._last = (self._last + data)[-LONGEST:]

    def _give_back(self) -> None:
        with contextlib.suppress(OSError, termios.error):  # a terminal that is gone
            if self._used and os.isatty(self._screen):
                back = (b"\x1b[?%b%b" % (one, b"h" if one in NORMALLY_ON else b"l") for one in sorted(self._switched))
                os.write(self._screen, b"".join([*back, PLAIN]))
            termios.tcsetattr(self._keyboard, termios.TCSANOW, self._before)

    def _end(self, number: int, _frame: FrameType | None) -> None:
        self._give_back()
        signal.signal(number, signal.SIG_DFL)
        signal.raise_signal(number)

    def _stop(self, number: int, _frame: FrameType | None) -> None:
        self._give_back()
        signal.signal(number, signal.SIG_DFL)
        signal.raise_signal(number)  # we stand still in here
        signal.signal(number, self._stop)
        self._go_on(number, None)

    def _go_on(self, _number: int, _frame: FrameType | None) -> None:
        with contextlib.suppress(OSError, termios.error):
            if os.tcgetpgrp(self._keyboard) == os.getpgrp():  # else the terminal is another's yet
                tty.setraw(self._keyboard)
