"""Suggestions for unknown words."""

from __future__ import annotations

from collections.abc import Iterable

import click

from velocity.cli.words import clean


def meant(word: str, known: Iterable[str]) -> str:
    """A suggestion to append to an error; empty if nothing is similar."""
    from difflib import get_close_matches

    near = get_close_matches(word, known, n=1)
    return f" (did you mean {clean(near[0])!r}?)" if near else ""


def of_option(error: click.NoSuchOption, root: click.Context) -> click.NoSuchOption:
    """The error with the options that exist: one that belongs before the verb, or those of the verb."""
    name = error.option_name
    if name in _names(root.command):
        more = f"It goes before the verb: `{root.command_path} {name} ... VERB`."
    elif not error.possibilities and error.ctx is not None:
        more = f"Options: {', '.join([*_names(error.ctx.command), '--help'])}."
    else:
        return error
    return click.NoSuchOption(name, f"{error.message} {more}", ctx=error.ctx)


def _names(command: click.Command) -> list[str]:
    """The long names of its options."""
    options = (one for one in command.params if isinstance(one, click.Option))
    return [name for one in options for name in (*one.opts, *one.secondary_opts) if name.startswith("--")]
