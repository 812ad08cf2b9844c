"""Other servers over HTTP. The HTTP code is loaded with the first fetch."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from importlib import import_module

from velocity.fetching import addresses
from velocity.fetching.connections import Connections, Resolve
from velocity.fetching.port import Answer, Limits, Permitted, Rest
from velocity.fetching.urls import Url


class HttpSource:
    """Implements `velocity.fetching.port.Source`.

    Proxies in the environment are ignored: they would resolve names to unchecked addresses.
    """

    def __init__(
        self,
        ca: str = "",
        limits: Limits | None = None,
        resolve: Resolve | None = None,
        is_public: Callable[[str], bool] = addresses.is_public,
        is_own: Callable[[str], bool] = addresses.is_own,
    ) -> None:
        """`ca`: a file of authorities (PEM) that are trusted besides the system's."""
        self.limits = limits or Limits()
        resolve = resolve or addresses.Resolver(self.limits.lookup)
        self._connections = Connections(ca, self.limits, resolve, is_public, is_own)

    def check_literal(self, url: Url, permitted: Permitted) -> None:
        self._connections.check_literal(url, permitted)

    @asynccontextmanager
    async def open(self, url: Url, permitted: Permitted, rest: Rest | None) -> AsyncIterator[Answer]:
        await asyncio.to_thread(import_module, "velocity.fetching.http")  # slow to import
        from velocity.fetching import http

        async with http.ask(self._connections, url, permitted, rest) as answer:
            yield answer
