"""docs/features.md names each command, and none that there is not."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import click

from velocity.cli.main import velocity

FEATURES = Path(__file__).parents[2] / "docs/features.md"


def commands(one: click.Command, *words: str) -> Iterator[str]:
    if not isinstance(one, click.Group):
        yield " ".join(words)
        return
    context = click.Context(one)
    for name in one.list_commands(context):
        found = one.get_command(context, name)
        assert found is not None
        yield from commands(found, *words, name)


def test_each_command_has_a_row() -> None:
    named = re.findall(r"`(velocity [a-z -]+)`", FEATURES.read_text())
    assert sorted({*commands(velocity, "velocity")} ^ {*named}) == []
