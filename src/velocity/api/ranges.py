"""Byte ranges that a client requests. RFC 9110, 14."""

from __future__ import annotations

MOST = 100
"""A request for this many ranges or more gets everything."""


class Malformed(Exception):
    """Not a valid Range header; the message says why."""


class NotSatisfiable(Exception):
    """The ranges begin behind the end."""


def parse(header: str, size: int) -> list[tuple[int, int]]:
    """The ranges as (first, end) with `end` exclusive, in order and without overlaps. Empty: send everything.

    Raises `Malformed`, `NotSatisfiable`.
    """
    unit, is_one, text = header.partition("=")
    if not is_one:
        raise Malformed("Malformed range header.")
    if unit.strip().lower() != "bytes":
        raise Malformed("Only support bytes range")
    if text.count(",") >= MOST:
        return []
    ranges = [one for part in text.split(",") if (one := _range(part.strip(), size)) is not None]
    if not ranges:
        raise Malformed("Range header: range must be requested")
    if any(not 0 <= first < size for first, _ in ranges):
        raise NotSatisfiable
    if any(first >= end for first, end in ranges):
        raise Malformed("Range header: start must be less than end")
    return _merged(ranges)


def _range(part: str, size: int) -> tuple[int, int] | None:
    """None if the text is not a range."""
    first, is_one, last = (word.strip() for word in part.partition("-"))
    if not is_one or part == "-":
        return None
    try:
        begins = int(first) if first else max(size - int(last), 0)
        ends = int(last) + 1 if first and last and int(last) < size else size
    except ValueError:
        return None
    return begins, ends


def _merged(ranges: list[tuple[int, int]]) -> list[tuple[int, int]]:
    merged: list[tuple[int, int]] = []
    for first, end in sorted(ranges):
        if merged and first <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(merged[-1][1], end))
        else:
            merged.append((first, end))
    return merged
