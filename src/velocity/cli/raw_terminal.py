"""A terminal in raw mode, restored however the program ends or stops."""

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
"""Modes that are normally on: line wrapping, and the cursor. DECAWM, DECTCEM"""
PLAIN = b"\x1b[0m\x1b(B\x1b>"
"""Resets colours, character set and keypad."""
LONGEST = 64
"""The longest sequence that sets modes, in bytes, if it arrives in pieces."""


class RawTerminal:
    """Within, input arrives unprocessed. After SIGKILL, the user needs `reset`.

    A signal that ends or stops us takes effect after the terminal was restored; when we continue, it is raw again.
    """

    def __init__(self, keyboard: int, screen: int) -> None:
        self._keyboard = keyboard
        self._screen = screen
        self._before: list[Any] = []
        self._handlers: dict[signal.Signals, Any] = {}
        self._switched: set[bytes] = set()
        """Modes that the terminal's output has changed from their normal values."""
        self._used = False
        self._last = b""

    def __enter__(self) -> RawTerminal:
        self._before = termios.tcgetattr(self._keyboard)
        for one in (*ENDING, signal.SIGTSTP, signal.SIGCONT):
            if signal.getsignal(one) is not signal.SIG_IGN:  # ignored, as under nohup
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
        """Note output, so that the modes that it changes are restored at the end."""
        self._used = self._used or b"\x1b" in data
        for numbers, way in MODES.findall(self._last + data):
            for one in numbers.split(b";"):
                normal = (way == b"h") == (one in NORMALLY_ON)
                self._switched = self._switched - {one} if normal else self._switched | {one}
        self._last = (self._last + data)[-LONGEST:]

    def _give_back(self) -> None:
        with contextlib.suppress(OSError, termios.error):  # the terminal may be gone
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
        signal.raise_signal(number)  # returns when we are continued
        signal.signal(number, self._stop)
        self._go_on(number, None)

    def _go_on(self, _number: int, _frame: FrameType | None) -> None:
        with contextlib.suppress(OSError, termios.error):
            if os.tcgetpgrp(self._keyboard) == os.getpgrp():  # otherwise another process group still has the terminal
                tty.setraw(self._keyboard)
