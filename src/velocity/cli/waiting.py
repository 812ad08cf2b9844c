"""A line on stderr while a command waits."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.status import Status


def waiting(text: str) -> Status:
    """Within, a line with a spinner, on a terminal."""
    from rich.console import Console  # takes a tenth of a second

    return Console(file=sys.stderr).status(text)
