"""The rule for names: what is seen is what there is. One for the server, the command line and the page.

Of objects: NFC, trimmed, without control and bidi-control characters; what is never seen stands only inside an emoji or
a joining sequence. Of users also: RFC 8265 (PRECIS), UsernameCasePreserved, and of one script. Requests are held to it;
names that were stored earlier load, and stay as they are until they are changed.
"""

from __future__ import annotations

import re
import unicodedata
from typing import Literal

Kind = Literal["object", "user"]

LONGEST = 1024
"""Characters of a text that is looked at as a name at all."""

_BIDI = "\\u061c\\u200e\\u200f\\u202a-\\u202e\\u2066-\\u2069"
_UNSEEN = (  # Default_Ignorable_Code_Point up to U+FFFF, but for what joins (below)
    "\\u00ad\\u034f\\u115f\\u1160\\u17b4\\u17b5\\u180b-\\u180f\\u200b\\u2060-\\u2065\\u206a-\\u206f\\u3164"
    "\\ufe00-\\ufe0d\\ufeff\\uffa0\\ufff0-\\ufff8"
)
PATTERN = rf"^(?=.*[^\s\u2800])[^\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff{_BIDI}{_UNSEEN}]+\Z"
"""What a regular expression that Python and browsers share can say of it; `problem` says all."""

_EMOJI = (
    "\u00a9\u00ae\u203c\u2049\u2122\u2139\u2190-\u21ff\u2300-\u23ff\u2460-\u24ff\u25a0-\u27bf\u2900-\u297f\u2b00-\u2bff"
    "\u3030\u303d\u3297\u3299\U0001f000-\U0001faff"
)
_JOINING = (  # letters and marks of scripts whose shapes joiners change
    "\u0620-\u06ff\u0710-\u08ff\u0900-\u0dff\u1000-\u109f\u1780-\u17b3\u17b6-\u17ff\u1820-\u18aa"
)
_JOINED = re.compile(
    f"(?<=[{_EMOJI}\ufe0f])\u200d(?=[{_EMOJI}])|(?<=[{_JOINING}])[\u200c\u200d](?=[{_JOINING}])"
    f"|(?<=[{_EMOJI}#*0-9])[\ufe0e\ufe0f]|(?<=\U0001f3f4)[\U000e0020-\U000e007e]+\U000e007f"
)
_UNSEEN_ANYWHERE = re.compile(
    f"[\\x00-\\x1f\\x7f-\\x9f\\u2028\\u2029\\ud800-\\udfff{_BIDI}{_UNSEEN}"
    "\u200c\u200d\ufe0e\ufe0f\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff]"
)


def tidy(name: str, kind: Kind = "object") -> str:
    """As it is kept: in NFC, without spaces around; of a user with narrow letters for wide ones (RFC 8265)."""
    if name.isascii():
        return name.strip()
    if len(name) > LONGEST:  # it is refused anyway, and to order its combining characters takes long
        return name
    if kind == "user":
        name = "".join(
            unicodedata.normalize("NFKC", one) if unicodedata.east_asian_width(one) in "FH" else one for one in name
        )
    return unicodedata.normalize("NFC", name).strip()


def problem(name: str, kind: Kind = "object") -> str | None:
    """What is wrong with a name that is tidy, in words, with the cure; None: nothing."""
    if name.isascii() and name.isprintable() and kind == "object":
        return None
    if unseen := _UNSEEN_ANYWHERE.search(_JOINED.sub("", name)):
        return f"{called(unseen[0])} cannot be seen in a name, or turns its text round: leave it out"
    return _user_problem(name) if kind == "user" else None


def called(character: str) -> str:
    """A character for people who cannot see it."""
    return f"U+{ord(character):04X} ({unicodedata.name(character, 'a control character').lower()})"


_LETTERS = frozenset({"Ll", "Lu", "Lo", "Nd", "Lm", "Mn", "Mc"})
_ALLOWED = frozenset("\u00df\u03c2\u06fd\u06fe\u0f0b\u3007")
_HANGUL_JAMO = re.compile("[\u1100-\u11ff\ua960-\ua97f\ud7b0-\ud7ff]")


def _user_problem(name: str) -> str | None:
    for place, one in enumerate(name):
        if not ("!" <= one <= "~" or one in _ALLOWED or _is_letter(one) or _joins(name, place)):
            word = "a space" if one == " " else f"{one!r}, {called(one)},"
            return f"{word} cannot stand in a user's name: use letters, digits and signs such as . - _ @"
    scripts = {script for one in name if (script := _script(one))}
    if len(scripts) > 1 and not any(scripts <= together for together in _TOGETHER):
        found = " and ".join(sorted(scripts))
        return f"a user's name is of one script, and this one is of {found}: look-alikes are kept out"
    return _direction_problem(name)


def _is_letter(one: str) -> bool:
    """RFC 8264, 9: letters and digits that are no other character's compatibility form."""
    return (
        unicodedata.category(one) in _LETTERS
        and unicodedata.normalize("NFKC", one) == one
        and not _HANGUL_JAMO.match(one)
    )


def _joins(name: str, place: int) -> bool:
    """RFC 8264, 9.6 (CONTEXTO): signs that belong between or beside certain letters."""
    one, before, after = name[place], name[place - 1 : place], name[place + 1 : place + 2]
    match one:
        case "\u00b7":
            return before == after == "l"
        case "\u0375":
            return _script(after) == "Greek"
        case "\u05f3" | "\u05f4":
            return _script(before) == "Hebrew"
        case "\u30fb":
            return any(_script(other) in ("Hiragana", "Katakana", "Cjk") for other in name)
        case _:
            return False


_TOGETHER = ({"Cjk", "Hiragana", "Katakana"}, {"Cjk", "Hangul"}, {"Cjk", "Bopomofo"})
"""Scripts that are written together (UTS 39, 5.1)."""


def _script(one: str) -> str | None:
    """The script of a letter, by its name in Unicode; None for what stands in all."""
    if not one or (one.isascii() and not one.isalpha()) or not unicodedata.category(one).startswith("L"):
        return None
    word = unicodedata.name(one, "UNKNOWN").partition(" ")[0].capitalize()
    return None if word in ("Modifier", "Masculine", "Feminine", "Katakana-hiragana") else word


def _direction_problem(name: str) -> str | None:
    """RFC 5893, 2: nothing of the name turns round what stands beside it."""
    ways = [unicodedata.bidirectional(one) for one in name]
    if not {"R", "AL", "AN"} & set(ways):
        return None
    last = next((way for way in reversed(ways) if way != "NSM"), "")
    if ways[0] not in ("R", "AL") or "L" in ways or last not in ("R", "AL", "EN", "AN") or {"EN", "AN"} <= set(ways):
        return "a user's name is written from one side: begin and end it with a letter of its script, or a digit"
    return None
