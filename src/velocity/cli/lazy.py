"""Groups of commands that are imported only when they are called, and their help."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Any

import click

HYPHEN = "\u2011"
"""One at which lines are not broken; it is never written."""


class Formatter(click.HelpFormatter):
    """Never breaks a word at its hyphen: `--new-key` can be copied from a line's end."""

    def write(self, string: str) -> None:
        super().write(string.replace(HYPHEN, "-"))

    def write_text(self, text: str) -> None:
        super().write_text(text.replace("-", HYPHEN))

    def write_dl(self, rows: Iterable[tuple[str, str]], col_max: int = 30, col_spacing: int = 2) -> None:
        super().write_dl([(name, text.replace("-", HYPHEN)) for name, text in rows], col_max, col_spacing)


click.Context.formatter_class = Formatter


class Group(click.Group):
    """Shows the whole first sentence of each verb in its help, which click would truncate."""

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        commands = [(name, self.get_command(ctx, name)) for name in self.list_commands(ctx)]
        with formatter.section("Commands"):
            formatter.write_dl([(name, one.get_short_help_str(sys.maxsize)) for name, one in commands if one])


class LazyGroup(Group):
    """`verbs`: name -> `module:attribute`. Help and completion import them all.

    `former`: earlier names of verbs, which scripts may still use, but nothing lists.
    """

    def __init__(
        self, *args: Any, verbs: Mapping[str, str], former: Mapping[str, str] = MappingProxyType({}), **more: Any
    ) -> None:
        super().__init__(*args, **more)
        self._verbs = verbs
        self._former = former

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted([*self.commands, *self._verbs])

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        cmd_name = self._former.get(cmd_name, cmd_name)
        if cmd_name not in self._verbs:
            return super().get_command(ctx, cmd_name)
        module, _, attribute = self._verbs[cmd_name].partition(":")
        command = getattr(importlib.import_module(module), attribute)
        assert isinstance(command, click.Command)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        try:
            return super().resolve_command(ctx, args)
        except click.NoSuchCommand as error:
            raise click.NoSuchCommand(error.command_name, possibilities=self.list_commands(ctx), ctx=ctx) from None
