"""Removes terminal queries from a guest's earlier output.

A terminal answers some sequences as if its user typed. Nobody waits for those answers any more, and they would be typed
into the guest. https://invisible-island.net/xterm/ctlseqs/ctlseqs.html
"""

from __future__ import annotations

import re

SEQUENCE = re.compile(
    rb"""
      (?: \x1b\[ | \xc2\x9b ) (?P<control> [0-?]* [ -/]* [@-~] )
    | (?: \x1b\] | \xc2\x9d ) (?P<command> (?: [^\x07\x1b\xc2] | \xc2(?![\x80-\x9f]) )* ) (?: \x07 | \x1b\\ | \xc2\x9c )
    | (?: \x1b[P_] | \xc2[\x90\x9f] ) (?P<string> (?: [^\x1b\xc2] | \xc2(?![\x80-\x9f]) )* ) (?: \x1b\\ | \xc2\x9c )
    | (?P<plain> \x1bZ | \x05 )
    """,
    re.X,
)
CONTROL = re.compile(
    rb"""
      [>=?]? [\d;]* c                    # what it is (DA)
    | \?? [\d;]* n                       # its state, the place of its cursor (DSR)
    | [\d;]* x                           # parameters (DECREQTPARM)
    | \?? [\d;]* \$p                     # a mode (DECRQM)
    | [\d;]* (?: \$w | \*y | &u | "v )   # settings, a checksum (DECRQPSR, DECRQCRA, DECRQUPSS, DECRQDE)
    | > [\d;]* q                         # its version (XTVERSION)
    | \? [\d;]* [muS]                    # modes of its keys, its graphics
    | (?: 1[1-9] | 2[01] ) [;\d]* t      # its window
    """,
    re.X,
)
COMMAND = re.compile(rb"(?!(?:[01278]|133);)\d+;[^?]*\?")
"""Colours, fonts, the clipboard (OSC); not titles, directories and links, which may contain question marks."""
STRING = re.compile(rb"[\d;]*[+$]q|G")
"""Capabilities and settings (DCS), graphics (APC)."""


def without_questions(said: bytes) -> bytes:
    """The output without sequences that a terminal would answer. Takes time linear in its length."""
    return SEQUENCE.sub(lambda found: b"" if _asks(found) else found[0], said)


def _asks(found: re.Match[bytes]) -> bool:
    control, command, string, _ = found.groups()
    if control is not None:
        return CONTROL.fullmatch(control) is not None
    if command is not None:
        return COMMAND.match(command) is not None
    return string is None or STRING.match(string) is not None
