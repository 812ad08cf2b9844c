"""Text for a terminal. Does not import the client, which the server does not load."""

from __future__ import annotations

import os
import shlex
import sys
import unicodedata
from collections.abc import Sequence
from datetime import datetime

import click
from click.core import ParameterSource


def clean(text: object) -> str:
    """Text without control characters: escape sequences in names must not reach the terminal."""
    return "".join(one if one.isprintable() else "\ufffd" for one in str(text))


def plain() -> bool:
    """Whether to print without colours and bold letters. https://no-color.org"""
    return bool(os.environ.get("NO_COLOR")) or os.environ.get("TERM") == "dumb"


def isolated(text: str) -> str:
    """Text isolated for a terminal, so that right-to-left names do not reorder what is beside them."""
    turned = any(unicodedata.bidirectional(one) in ("R", "AL", "AN") for one in text)
    return f"\u2068{text}\u2069" if turned else text


def program() -> str:
    """How the user called us, for hints that can be typed again, for the same server."""
    context = click.get_current_context(silent=True)
    root = context.find_root() if context else None
    if root is None or root.get_parameter_source("server") is not ParameterSource.COMMANDLINE:
        return called()
    return f"{called()} --server {shlex.quote(str(root.params['server']))}"


def called() -> str:
    """The same without options."""
    path = sys.argv[0]
    name = os.path.basename(path)  # noqa: PTH119 - a word to print, not a path to open
    for directory in os.environ.get("PATH", "").split(os.pathsep):
        if os.path.join(directory, name) == os.path.abspath(path):  # noqa: PTH118, PTH100
            return name
    return path if name == "velocity" else "velocity"


def moment(at: int) -> str:
    """Unix seconds as a date and time, with the zone."""
    return datetime.fromtimestamp(at).astimezone().isoformat(" ", "seconds")


def names(many: Sequence[str], most: int = 20) -> str:
    """Names beside each other; of very many the first."""
    more = f" and {len(many) - most} more" if len(many) > most else ""
    return ", ".join(map(clean, many[:most])) + more
