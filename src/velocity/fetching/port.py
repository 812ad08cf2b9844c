"""What media need of other servers."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Protocol

from velocity.contract.problems import Problem, Refused
from velocity.fetching.urls import Url


@dataclass(frozen=True)
class Limits:
    """Seconds, but for `floor`, which is bytes a second over `window` of them."""

    lookup: float = 15
    connect: float = 10
    silence: float = 60
    """Without a byte, this ends a try."""
    floor: int = 4096
    window: float = 180
    patience: float = 300
    """For which it is tried again after a cut, without a byte more than before."""
    pause: float = 1
    """Before the second try; twice as long before each further one."""


class Broken(Refused):
    """A try that broke off, or found the server out of service: another one may go on."""

    def __init__(self, message: str) -> None:
        super().__init__(Problem.UNAVAILABLE, message, field="url")


class Changed(Broken):
    """The file has no such part any more: it is to be fetched from its beginning."""


class NotServed(Refused):
    """The server answers, and not with the file."""

    def __init__(self, message: str) -> None:
        super().__init__(Problem.UNAVAILABLE, message, field="url")


@dataclass(frozen=True)
class Rest:
    """A file from `offset` on, as long as it is the one that `validator` (an ETag or a date) names."""

    offset: int
    validator: str


@dataclass(frozen=True)
class Answer:
    """`url`: where the redirects led. `offset`: where the pieces begin. `size`: of the whole file, if it is known."""

    url: Url
    offset: int
    size: int | None
    validator: str | None
    is_public: bool
    """Whether it comes from a public address."""
    pieces: AsyncGenerator[bytes, None]


@dataclass(frozen=True)
class Permitted:
    """What a request may do beyond the rest. `private`: connect to addresses that are not public, as of now.

    `plain`: follow a redirect from https to http, as a checksum proves the bytes.
    """

    private: Callable[[], bool]
    plain: bool
    where: str
    """Where `private` would be given, in words."""


class Source(Protocol):
    """Where files are fetched from."""

    @property
    def limits(self) -> Limits: ...

    def check_literal(self, url: Url, permitted: Permitted) -> None:
        """Of a URL whose host is an address. Raises `Refused` unless that may be connected to."""

    def open(self, url: Url, permitted: Permitted, rest: Rest | None) -> AbstractAsyncContextManager[Answer]:
        """Ask for it, or for the rest. Raises `Refused`; `Broken`, also while the pieces are read."""
