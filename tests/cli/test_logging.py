"""Log lines reach stderr from a thread of their own."""

from __future__ import annotations

import io
import logging
import sys
import threading

import pytest

from tests.patience import PATIENCE
from velocity.cli.process import logging_to_stderr


class Stuck(io.StringIO):
    """A terminal that was stopped, or a pipe that nobody reads."""

    def __init__(self) -> None:
        super().__init__()
        self.freed = threading.Event()

    def write(self, text: str) -> int:
        assert self.freed.wait(PATIENCE)
        return super().write(text)


def test_nobody_waits_for_who_reads_the_log(monkeypatch: pytest.MonkeyPatch) -> None:
    stuck = Stuck()
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    root.handlers.clear()
    monkeypatch.setattr(sys, "stderr", stuck)
    try:
        with logging_to_stderr():
            logging.getLogger("velocity.test").info("one %s", "line")
            stuck.freed.set()  # only now: the caller went on while the line could not be written
    finally:
        root.handlers[:] = handlers
        root.setLevel(level)
    assert stuck.getvalue().endswith("INFO velocity.test: one line\n"), "the end waits for the last line"
