"""The connections to the storages of all hosts: each call goes to the host of its pool."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Protocol

from velocity.storage.port import Incoming, MediaRef, Outgoing, Storage, Unknown


class Ways(Protocol):
    """To the storages of all hosts that there are."""

    def all(self) -> Sequence[Storage]: ...

    def storage_of(self, mpid: int) -> Storage:
        """The one that calls for a pool go to."""

    def called_if_other(self, mpid: int) -> str:
        """The host of that, for people; empty: our own."""

    def host_of(self, mpid: int) -> int:
        """That host."""

    def called(self, host: int) -> str:
        """For people; empty: it is no more."""

    def is_shared(self, mpid: int) -> bool:
        """Whether several hosts have the pool."""

    def silent_of(self, mpid: int) -> str:
        """That a host of a shared pool does not answer, and since when; empty: all do."""

    def openers(self, mpid: int) -> Sequence[int]:
        """The hosts that are to open a shared pool, one after the other, until one has it."""

    def host_of_both(self, mpid: int, other: int) -> int | None:
        """A host that has both pools; None: there is none."""

    def storage_on(self, host: int) -> Storage:
        """That of one host. Raises `Unknown`."""


Doubt = Callable[[MediaRef, int], None]
"""Hears of a call about an object in a shared pool whose outcome is unknown, and which host was asked."""
Survey = Callable[[int], Awaitable[object]]
"""Asks the hosts of a shared pool which of them have it."""


class Part:
    """One part: every call names its pool first, by an object or by itself."""

    def __init__(self, ways: Ways, name: str, doubt: Doubt = lambda ref, host: None) -> None:
        self._ways = ways
        self._name = name
        self._doubt = doubt

    def __getattr__(self, call: str) -> Any:
        def forwarded(named: MediaRef | int, *given: Any, **more: Any) -> Any:
            mpid = named.pool if isinstance(named, MediaRef) else named
            host = self._ways.called_if_other(mpid)
            if host or self._ways.is_shared(mpid):
                return self._watched(host, call, named, given, more)
            return getattr(getattr(self._ways.storage_of(mpid), self._name), call)(named, *given, **more)

        self.__dict__[call] = forwarded
        return forwarded

    async def _watched(
        self, host: str, call: str, named: MediaRef | int, given: tuple[Any, ...], more: dict[str, Any]
    ) -> Any:
        """What does not answer is told with the host's name, and is in doubt where another host can go on."""
        mpid = named.pool if isinstance(named, MediaRef) else named
        at, storage = self._ways.host_of(mpid), self._ways.storage_of(mpid)
        try:
            answer = await getattr(getattr(storage, self._name), call)(named, *given, **more)
        except Unknown as unknown:
            if isinstance(named, MediaRef) and self._ways.is_shared(mpid):
                self._doubt(named, at)
            raise told_of(host, unknown) from None
        return Held(answer, host) if host and call in HELD else answer


HELD = ("put", "resume", "get")
"""The calls that give something to go on with."""


class Held:
    """What is held on another host: what does not answer any more is told with the host's name."""

    def __init__(self, held: Incoming | Outgoing, host: str) -> None:
        self._held = held
        self._host = host

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._held, name)
        if not callable(found):
            return found

        async def named(*given: Any) -> Any:
            try:
                return await found(*given)
            except Unknown as unknown:
                raise told_of(self._host, unknown) from None

        self.__dict__[name] = named
        return named


def told_of(host: str, unknown: Unknown) -> Unknown:
    """With the host's name, unless it is said already."""
    return unknown if not host or unknown.message.startswith(host) else Unknown(f"{host}: {unknown.message}")
