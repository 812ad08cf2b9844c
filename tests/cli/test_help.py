"""The help of every command, as it stands in a terminal of 80 columns."""

from __future__ import annotations

import re
from collections.abc import Iterator

import click
import pytest

from velocity.cli.main import velocity

WIDTH = 80


def every_command(context: click.Context) -> Iterator[click.Context]:
    """The command, and all below it."""
    yield context
    command = context.command
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            below = command.get_command(context, name)
            assert below is not None
            yield from every_command(click.Context(below, parent=context, info_name=name))


def spread(text: str) -> str:
    return " ".join(text.split())


@pytest.mark.holds("CLI-41")
def test_every_command_and_option_has_help_that_fits_and_is_not_cut() -> None:
    for context in every_command(click.Context(velocity, info_name="velocity", terminal_width=WIDTH)):
        help_, path = context.command.get_help(context), context.command_path
        assert max(map(len, help_.splitlines())) <= WIDTH, path
        assert [line for line in help_.splitlines() if line.endswith("-")] == [], (path, "a word is broken")
        assert re.findall(r" (?:INTEGER RANGE|FLOAT RANGE|FLOAT)\b", help_) == [], (path, "words of the library")
        options = [one for one in context.command.get_params(context) if isinstance(one, click.Option)]
        assert [one.opts for one in options if not one.hidden and not one.help] == [], path
        assert context.command.help, path
        if isinstance(context.command, click.Group) and context.parent is not None:
            for name in context.command.list_commands(context):
                below = context.command.get_command(context, name)
                assert below is not None and below.help is not None
                first = spread(below.help.partition("\n\n")[0]).partition(". ")[0].removesuffix(".")
                assert f"{name} {first}" in spread(help_), (path, name)


@pytest.mark.holds("CLI-66")
def test_one_verb_removes_and_the_former_one_still_does() -> None:
    top = click.Context(velocity, info_name="velocity")
    verbs = {one.info_name for one in every_command(top)}
    assert "rm" in verbs and not verbs & {"remove", "delete"}
    node = velocity.get_command(top, "node")
    assert isinstance(node, click.Group)
    context = click.Context(node, parent=top, info_name="node")
    assert node.get_command(context, "remove") is node.get_command(context, "rm") is not None
