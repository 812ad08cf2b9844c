"""What media need of other servers."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Protocol

from msgspec import Struct

from velocity.contract.problems import Problem, Refused
from velocity.fetching.urls import Url


class Limits(Struct, frozen=True):
    """All in seconds, except `floor`, which is in bytes a second over `window` seconds."""

    lookup: float = 15
    connect: float = 10
    silence: float = 60
    """An attempt ends after this time without a byte."""
    floor: int = 4096
    window: float = 180
    patience: float = 300
    """Attempts end after this time without progress."""
    pause: float = 1
    """The pause before the second attempt, doubled for each further one."""


class Broken(Refused):
    """An attempt was interrupted, or the server is unavailable: another attempt may continue."""

    def __init__(self, message: str) -> None:
        super().__init__(Problem.UNAVAILABLE, message, field="url")


class Changed(Broken):
    """The file has changed: start over."""


class NotServed(Refused):
    """The server responds, but not with the file."""

    def __init__(self, message: str) -> None:
        super().__init__(Problem.UNAVAILABLE, message, field="url")


class Rest(Struct, frozen=True):
    """The rest of a file from `offset` on, if it is still the version that `validator` (ETag or date) identifies."""

    offset: int
    validator: str


class Answer(Struct, frozen=True):
    """`url`: after redirects. `offset`: where the pieces begin. `size`: of the whole file, if known."""

    url: Url
    offset: int
    size: int | None
    validator: str | None
    is_public: bool
    """Whether it comes from a public address."""
    pieces: AsyncGenerator[bytes, None]


@dataclass(frozen=True)
class Permitted:
    """Extra permissions of a request. `private`: may connect to addresses that are not public, at this moment.

    `plain`: may follow a redirect from https to http, as a checksum verifies the bytes.
    """

    private: Callable[[], bool]
    plain: bool
    where: str
    """Where the permission for `private` would be granted, in words."""


class Source(Protocol):
    """Where files are fetched from."""

    @property
    def limits(self) -> Limits: ...

    def check_literal(self, url: Url, permitted: Permitted) -> None:
        """Raises `Refused` if the URL's host is an address that may not be connected to."""

    def open(self, url: Url, permitted: Permitted, rest: Rest | None) -> AbstractAsyncContextManager[Answer]:
        """Request the file, or the rest of it. Raises `Refused`, and `Broken`, also while the pieces are read."""
