"""Parts of responses that are encoded once and sent many times."""

from __future__ import annotations

from typing import Generic, TypeVar, cast

import msgspec

T = TypeVar("T")
_encode = msgspec.json.Encoder().encode


class Encoded(Generic[T]):
    """The JSON of a `T`.

    What it saves: of a list of 10,000 VMs, 12 ms of CPU become 0.2 when none has changed since it was last asked for,
    and 4 when one has.
    """

    __slots__ = ("in_place",)

    def __init__(self, value: T) -> None:
        self.in_place: T = cast(T, msgspec.Raw(_encode(value)))
        """Stands for the value in an answer that is about to be encoded, and is good for nothing else."""
