"""The ports of a host that cannot be reached: it is shown in its last known state, and every call fails."""

from __future__ import annotations

from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import Any, cast

from velocity.hypervisor import port as machines
from velocity.hypervisor.port import HostFacts, HostId, Hypervisor
from velocity.hypervisor.routed import PARTS
from velocity.storage import port as storage
from velocity.storage.port import Storage


def absent(known: HostFacts, words: str) -> tuple[Hypervisor, Storage]:
    """Its ports, with the facts last `known`. Every other call raises `Unknown(words)`: why, and what to do."""
    parts = {name: _Part(machines.Unknown(words)) for name in PARTS}
    parts["hosts"].about = lambda _host: known
    kept = {name: _Part(storage.Unknown(words)) for name in ("pools", "blobs", "trash", "jobs", "files")}
    return cast(Hypervisor, SimpleNamespace(**parts)), Storage(**cast(Any, kept))


class _Part:
    """A port whose calls all raise that error. Closing it does nothing."""

    about: Any

    def __init__(self, error: Exception) -> None:
        self._error = error

    async def close(self) -> None:
        pass

    async def news(self, _host: HostId) -> AsyncIterator[Any]:
        raise self._error
        yield

    def __getattr__(self, _call: str) -> Any:
        async def fail(*_given: Any, **_named: Any) -> Any:
            raise self._error

        return fail
