"""Translates messages of qemu-img."""

from __future__ import annotations

import re

from velocity.storage.whole import AGAIN

WORDS = (
    ("log that needs to be replayed",
     "it was not closed cleanly, and its log is to be written back first: `qemu-img check -r all IMAGE`"),
    ("after EOF|end of file|truncated", f"it is cut short: {AGAIN}"),
    ("error while reading|Input/output error", f"it is cut short or damaged: {AGAIN}"),
    ("not supported",
     "it uses features that are not supported here, or needs its parent: convert or merge it in the program that made "
     "it"),
)  # fmt: skip
"""Pattern -> meaning."""


def meaning(words: str) -> str:
    """The meaning of a message; if unknown, the message itself without the host's paths."""
    for pattern, meaning in WORDS:
        if re.search(pattern, words):
            return meaning
    lines = [line.strip().removeprefix("qemu-img: ") for line in words.strip().splitlines()]
    return re.sub(r"json:\{.*?\}\}|/proc/self/fd/\d+", "the image", "; ".join(lines))[:500] or "it is damaged"
