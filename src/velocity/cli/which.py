"""The VM: argument and option of all commands about one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click

from velocity.cli import resolve
from velocity.cli.where import GROUP

Decorated = Callable[..., Any]


def which(command: Decorated) -> Decorated:
    """Adds the argument VM and the option --group."""
    return click.argument("vm_", metavar="VM", shell_complete=resolve.complete_vms)(GROUP(command))
