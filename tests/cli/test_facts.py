"""Facts about one thing stand in a terminal as a label, and lines beside it."""

from __future__ import annotations

import pytest

from velocity.cli.facts import wrapped


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ("", [""]),
        ("short", ["short"]),
        ("one two three four", ["one two", "three four"]),
        ("/a/path/that/is/longer then", ["/a/path/that/is/longer", "then"]),
        ("then /a/path/that/is/longer", ["then", "/a/path/that/is/longer"]),
        ("名前名前 名前", ["名前名前", "名前"]),
    ],
)
@pytest.mark.holds("CLI-45")
def test_a_text_is_broken_at_spaces_by_what_its_letters_take(text: str, lines: list[str]) -> None:
    assert wrapped(text, 10) == lines
