"""The rules for names: what is displayed is what is stored. The server, the command line and the page share them.

Objects: NFC, trimmed, without control and bidi-control characters; invisible characters only within emoji and joining
sequences. Users also: RFC 8265 (PRECIS), UsernameCasePreserved, and a single script. Requests must follow the rules;
names that were stored earlier remain valid until they are changed.
"""

from __future__ import annotations

import contextlib
import re
import unicodedata
from collections.abc import Iterable
from typing import Literal

Kind = Literal["object", "user"]

LONGEST = 1024
"""The longest text that is checked as a name at all."""

_BIDI = "\\u061c\\u200e\\u200f\\u202a-\\u202e\\u2066-\\u2069"
_UNSEEN = (  # Default_Ignorable_Code_Point up to U+FFFF, except for joiners (below)
    "\\u00ad\\u034f\\u115f\\u1160\\u17b4\\u17b5\\u180b-\\u180f\\u200b\\u2060-\\u2065\\u206a-\\u206f\\u3164"
    "\\ufe00-\\ufe0d\\ufeff\\uffa0\\ufff0-\\ufff8"
)
PATTERN = rf"^(?=.*[^\s\u2800])[^\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff{_BIDI}{_UNSEEN}]+\Z"
"""What a regular expression of both Python and browsers can check; `problem` checks everything."""

_EMOJI = (
    "\u00a9\u00ae\u203c\u2049\u2122\u2139\u2190-\u21ff\u2300-\u23ff\u2460-\u24ff\u25a0-\u27bf\u2900-\u297f\u2b00-\u2bff"
    "\u3030\u303d\u3297\u3299\U0001f000-\U0001faff"
)
_JOINING = (  # letters and marks of scripts in which joiners change shapes
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
    """The name as it is stored: NFC, trimmed; users' names also width-mapped (RFC 8265)."""
    if name.isascii():
        return name.strip()
    if len(name) > LONGEST:  # it is refused anyway, and normalizing it could take long
        return name
    name = unicodedata.normalize("NFC", name).strip()
    if kind == "user":
        with contextlib.suppress(UnicodeEncodeError):  # `problem` reports it
            return _enforced(name)
    return name


def problem(name: str, kind: Kind = "object") -> str | None:
    """What is wrong with a normalized name, with the cure; None if it is valid."""
    if name.isascii() and name.isprintable() and kind == "object":
        return None
    if unseen := _UNSEEN_ANYWHERE.search(_JOINED.sub("", name)):
        return f"{called(unseen[0])} is invisible, or reverses the text of a name: leave it out"
    return _user_problem(name) if kind == "user" else None


def path(parts: Iterable[str]) -> str:
    """Names of groups below the root as one path: `team/web`. A `/` in a name is written `\\/`."""
    return "/".join(_escaped(one) for one in parts)


def parts(path: str) -> list[str]:
    """The names in such a path."""
    return [re.sub(r"\\([/\\])", r"\1", one) for one in re.findall(r"(?:\\[/\\]|[^/])+", path)]


def _escaped(name: str) -> str:
    """A backslash is escaped only where it would be ambiguous."""
    if "/" not in name and not name.endswith("\\"):
        return name
    return name.replace("\\", "\\\\").replace("/", "\\/")


def called(character: str) -> str:
    """The name of a character, for messages."""
    return f"U+{ord(character):04X} ({unicodedata.name(character, 'a control character').lower()})"


def _enforced(name: str) -> str:
    """A user's name, enforced by RFC 8265. Raises `UnicodeEncodeError`."""
    from precis_i18n import get_profile  # slow to import, and only needed for users' names

    return str(get_profile("UsernameCasePreserved").enforce(name))


def _user_problem(name: str) -> str | None:
    try:
        _enforced(name)
    except UnicodeEncodeError as error:
        if error.reason == "DISALLOWED/bidi_rule":
            return "a user's name is written in one direction: begin and end it with a letter of its script, or a digit"
        one = error.object[error.start : error.end]
        word = "a space" if one == " " else f"{one!r}, {called(one)}," if len(one) == 1 else "what is there"
        return f"{word} is not allowed in a user's name: use letters, digits and signs such as . - _ @"
    scripts = {script for one in name if (script := _script(one))}
    if len(scripts) > 1 and not any(scripts <= together for together in _TOGETHER):
        found = " and ".join(sorted(scripts))
        return f"a user's name has letters of one script, and this one has {found}: use one of them"
    return None


_TOGETHER = ({"Cjk", "Hiragana", "Katakana"}, {"Cjk", "Hangul"}, {"Cjk", "Bopomofo"})
"""Scripts that may be mixed (UTS 39, 5.1)."""


def _script(one: str) -> str | None:
    """A letter's script, from its Unicode name; None for characters that all scripts share."""
    if not one or (one.isascii() and not one.isalpha()) or not unicodedata.category(one).startswith("L"):
        return None
    word = unicodedata.name(one, "UNKNOWN").partition(" ")[0].capitalize()
    return None if word in ("Modifier", "Masculine", "Feminine", "Katakana-hiragana") else word
