"""Words for a terminal. Nothing of the client is imported here: the server does without it."""

from __future__ import annotations

import os
import sys
import unicodedata


def clean(text: object) -> str:
    """Text from elsewhere, without control characters: an escape sequence in a name must not reach the terminal."""
    return "".join(one if one.isprintable() else "\ufffd" for one in str(text))


def isolated(text: str) -> str:
    """For a terminal: a name that is written from the right turns round nothing that stands beside it."""
    turned = any(unicodedata.bidirectional(one) in ("R", "AL", "AN") for one in text)
    return f"\u2068{text}\u2069" if turned else text


def program() -> str:
    """How the user called us, for hints that can be typed again."""
    called = sys.argv[0]
    name = os.path.basename(called)  # noqa: PTH119 - a word to print, not a path to open
    for directory in os.environ.get("PATH", "").split(os.pathsep):
        if os.path.join(directory, name) == os.path.abspath(called):  # noqa: PTH118, PTH100
            return name
    return called if name == "velocity" else "velocity"
