"""What a terminal says of the keyboard, and what its keys then mean, in whatever order things happen."""

from __future__ import annotations

import io

import pytest

from velocity.cli.terminal import KEEP, TURN, KeyboardView
from velocity.client import Console
from velocity.contract.consoles import Holder, KeyboardStatus, Move


class Recorded(Console):
    """A console without a server: what was sent and asked of it."""

    def __init__(self) -> None:
        self.controlled = True
        self.sent: list[bytes] = []
        self.moves: list[Move] = []

    def send(self, data: bytes) -> None:
        self.sent.append(data)

    def move(self, move: Move) -> None:
        self.moves.append(move)


class Quick(io.StringIO):
    """A person who presses a key the moment that these words are read."""

    def __init__(self, place: KeyboardView, words: str, key: bytes) -> None:
        super().__init__()
        self._place, self._words, self._key = place, words, key

    def write(self, text: str) -> int:
        written = super().write(text)
        if self._words in text:
            self._place.typed(self._key)
        return written


MINE = Holder(holder="root", yours=True)
ASKED = KeyboardStatus(viewers=["root", "ann"], keyboard=MINE, asks="ann")


@pytest.mark.parametrize(("key", "move"), [(KEEP, "keep"), (TURN, "give")])
def test_a_key_pressed_at_once_answers_what_is_read(monkeypatch: pytest.MonkeyPatch, key: bytes, move: Move) -> None:
    console = Recorded()
    place = KeyboardView(console, interactive=True)
    monkeypatch.setattr("sys.stderr", Quick(place, "ann asks for the keyboard", key))
    place.hear(ASKED)
    assert (console.moves, console.sent) == ([move], []), "nothing of it is typed into the guest"


def test_who_asks_again_at_once_is_told_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """The server tells what holds, not each step to it: that nobody asked in between may never be heard."""
    said = io.StringIO()
    monkeypatch.setattr("sys.stderr", said)
    console = Recorded()
    place = KeyboardView(console, interactive=True)
    for _ in range(2):
        place.hear(ASKED)
        place.hear(ASKED)
        place.typed(KEEP)
    assert said.getvalue().count("ann asks for the keyboard") == 2
    assert console.moves == ["keep", "keep"]
