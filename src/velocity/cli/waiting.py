"""The line on stderr while the command waits."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.status import Status


def waiting(text: str) -> Status:
    """A line with a spinner, on a terminal; within `with`."""
    from rich.console import Console  # a tenth of a second that only who waits has to pay

    return Console(file=sys.stderr).status(text)
