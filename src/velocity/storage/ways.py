"""The connections to the storages of all hosts: each call goes to the host of its pool."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Protocol

from velocity.storage.port import Incoming, MediaRef, Outgoing, Storage, Unknown


class Ways(Protocol):
    """Connections to the storages of all hosts."""

    def all(self) -> Sequence[Storage]: ...

    def storage_of(self, mpid: int) -> Storage:
        """The storage for calls about a pool."""

    def called_if_other(self, mpid: int) -> str:
        """The name of that host; empty if it is our own."""

    def host_of(self, mpid: int) -> int:
        """That host."""

    def called(self, host: int) -> str:
        """The name of a host; empty if it is gone."""

    def is_shared(self, mpid: int) -> bool:
        """Whether several hosts have the pool."""

    def silent_of(self, mpid: int) -> str:
        """Which host of a shared pool does not respond, and since when; empty if all do."""

    def openers(self, mpid: int) -> Sequence[int]:
        """The hosts that may open a shared pool, in the order in which to try."""

    def host_of_both(self, mpid: int, other: int) -> int | None:
        """A host with both pools; None if there is none."""

    def storage_on(self, host: int) -> Storage:
        """The storage of one host. Raises `Unknown`."""


Doubt = Callable[[MediaRef, int], None]
"""Called for an object in a shared pool if a call's outcome is unknown, with the host."""
Survey = Callable[[int], Awaitable[object]]
"""Asks the hosts of a shared pool which of them have it."""


class Part:
    """One part of the port. Each call is about a pool: its first argument is the mpid, or an object in the pool."""

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
        """Names a host that does not respond in the error, and notes the doubt if another host can take over."""
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
"""Calls that return something to continue with."""


class Held:
    """Something on another host: names the host in errors if it does not respond."""

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
    """The error with the host's name, unless it contains it."""
    return unknown if not host or unknown.message.startswith(host) else Unknown(f"{host}: {unknown.message}")
