"""What somebody may have meant by an unknown word."""

from __future__ import annotations

from collections.abc import Iterable

import click

from velocity.cli.words import clean


def meant(word: str, known: Iterable[str]) -> str:
    """Put behind the word in an error; empty where nothing is near it."""
    from difflib import get_close_matches

    near = get_close_matches(word, known, n=1)
    return f" (did you mean {clean(near[0])!r}?)" if near else ""


def of_option(error: click.NoSuchOption, root: click.Context) -> click.NoSuchOption:
    """The error, with the options that there are: one that belongs before the verb, or all that the verb has."""
    name = error.option_name
    if name in _names(root.command):
        more = f"It goes before the verb: `{root.command_path} {name} ... VERB`."
    elif not error.possibilities and error.ctx is not None:
        more = f"Options: {', '.join([*_names(error.ctx.command), '--help'])}."
    else:
        return error
    return click.NoSuchOption(name, f"{error.message} {more}", ctx=error.ctx)


def _names(command: click.Command) -> list[str]:
    """Its options, each by its long names."""
    options = (one for one in command.params if isinstance(one, click.Option))
    return [name for one in options for name in (*one.opts, *one.secondary_opts) if name.startswith("--")]
