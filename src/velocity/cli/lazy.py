"""Groups of commands that are imported only when they are called, and their help."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Mapping
from typing import Any

import click


class Group(click.Group):
    """Shows the whole first sentence of each verb in its help, which click would truncate."""

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        commands = [(name, self.get_command(ctx, name)) for name in self.list_commands(ctx)]
        with formatter.section("Commands"):
            formatter.write_dl([(name, one.get_short_help_str(sys.maxsize)) for name, one in commands if one])


class LazyGroup(Group):
    """`verbs`: name -> `module:attribute`. Help and completion import them all."""

    def __init__(self, *args: Any, verbs: Mapping[str, str], **more: Any) -> None:
        super().__init__(*args, **more)
        self._verbs = verbs

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted([*self.commands, *self._verbs])

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
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
