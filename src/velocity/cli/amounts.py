"""Amounts as people write them. A bare number is MiB for memory, and bytes for media, in all commands and files."""

from __future__ import annotations

import math
import re

import click

from velocity.cli.words import clean

MEMORY = "Such as 512M or 4G; a bare number is MiB."
SIZE = "Such as 512M or 20G; a bare number is bytes."
LONGEST = 10**8
"""Seconds; three years."""
UNITS = {"": 0, "K": 10, "M": 20, "G": 30, "T": 40}


def to_bytes(text: str) -> int:
    """10G, 512M, 64K or plain bytes; units are binary. Raises `BadParameter`."""
    found = _read(text, bare="")
    if found is None:
        raise click.BadParameter(f"{clean(text)!r} is not a size: write 10G, 512M, or bytes")
    return found


def to_mebibytes(text: str) -> int:
    """4G, 512M, or plain MiB. Raises `BadParameter`, also if it is not a whole number of MiB."""
    found = _read(text, bare="M")
    if found is None:
        raise click.BadParameter(f"{clean(text)!r} is not an amount of memory: write 4G, 512M, or MiB")
    if found % (1 << 20):
        raise click.BadParameter(f"{clean(text)!r} is not a whole number of MiB")
    return found >> 20


def to_quota(text: str) -> int:
    """Bytes; 0 for `none`."""
    return 0 if text == "none" else to_bytes(text)


class Seconds(click.ParamType[float]):
    """Seconds to wait; one that never compares (nan), or that no timer takes, would wait forever, or not at all."""

    name = "seconds"

    def convert(self, value: str | float, param: click.Parameter | None, ctx: click.Context | None) -> float:
        try:
            seconds = float(value)
        except ValueError:
            seconds = math.nan
        if not 0 <= seconds <= LONGEST:
            self.fail(f"{clean(value)!r} is not a number of seconds from 0 to {LONGEST}", param, ctx)
        return seconds


SECONDS = Seconds()


def _read(text: str, bare: str) -> int | None:
    """The amount in bytes; None if it is none. `bare` is the unit of a number without one."""
    match = re.fullmatch(r"([0-9]{1,19})\s*(?:([KMGT])(?:i?B)?|(B))?", text.strip(), re.IGNORECASE | re.ASCII)
    if match is None:
        return None
    unit = (match[2] or "").upper() or ("" if match[3] else bare)
    return int(match[1]) << UNITS[unit]
