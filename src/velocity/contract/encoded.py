"""Parts of responses that are encoded once and sent many times."""

from __future__ import annotations

from typing import Generic, TypeVar, cast

import msgspec

T = TypeVar("T")
_encode = msgspec.json.Encoder().encode


class Encoded(Generic[T]):
    """The JSON of a `T`.

    For a list of 10,000 VMs, this reduces 12 ms of CPU to 0.2 if none has changed since the last request, and to 4 if
    one has.
    """

    __slots__ = ("in_place",)

    def __init__(self, value: T) -> None:
        self.in_place: T = cast(T, msgspec.Raw(_encode(value)))
        """Takes the value's place in a response that is about to be encoded; of no other use."""
