"""Asks for a new password: typed twice, or a line of standard input."""

from __future__ import annotations

import os
import sys
from typing import Any

import click

from velocity.cli.output import answerable
from velocity.contract.fields import PASSWORD_LENGTH

STDIN = click.option("--password-stdin", is_flag=True, help="Read the password from standard input.")


def line() -> str:
    """A password from standard input."""
    return sys.stdin.readline().rstrip("\n")


def new(from_stdin: bool, prompt: str = "New password") -> str:
    if from_stdin:
        given = line()
        if wrong := _wrong(given):
            raise click.ClickException(wrong)
        return given
    return ask(prompt, confirmation_prompt=True, value_proc=_checked)


def ask(prompt: str, **more: Any) -> str:
    """Ask for it, on stderr. Raises `NoTerminal` if nobody can answer."""
    with answerable("--password-stdin reads the password from standard input"):
        return str(click.prompt(prompt, hide_input=_has_terminal(), err=True, **more))


def _has_terminal() -> bool:
    """Whether there is an echo to disable: `getpass` warns where there is none, as in a job of cron."""
    try:
        os.close(os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY))
    except OSError:
        return sys.stdin.isatty()
    return True


def _checked(password: str) -> str:
    if wrong := _wrong(password):
        raise click.UsageError(wrong)
    return password


def _wrong(password: str) -> str | None:
    if len(password) in PASSWORD_LENGTH:
        return None
    if len(password) < PASSWORD_LENGTH.start:
        return f"a password has at least {PASSWORD_LENGTH.start} characters"
    return f"a password has at most {PASSWORD_LENGTH.stop - 1:,} characters"
