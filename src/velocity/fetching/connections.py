"""Which addresses connections to other servers may use, and how servers are verified."""

from __future__ import annotations

import asyncio
import logging
import ssl
from collections.abc import Awaitable, Callable
from ipaddress import ip_address

from velocity.contract.permissions import Permission
from velocity.contract.problems import Problem, Refused
from velocity.fetching.port import Broken, Limits, Permitted
from velocity.fetching.urls import Url

log = logging.getLogger(__name__)

Resolve = Callable[[str, int], Awaitable[list[str]]]


class Connections:
    """Decides about each connection before it is made."""

    def __init__(
        self,
        ca: str,
        limits: Limits,
        resolve: Resolve,
        is_public: Callable[[str], bool],
        is_own: Callable[[str], bool],
    ) -> None:
        self.limits = limits
        self._ca = ca
        self._resolve = resolve
        self._is_public = is_public
        self._is_own = is_own

    def check_literal(self, url: Url, permitted: Permitted) -> None:
        """Check a host that is an address, as `addresses` would. Raises `Refused`."""
        try:
            ip_address(url.host)
        except ValueError:
            return
        if not self.is_public(url.host) and not permitted.private():
            raise _not_public(url, permitted)

    def is_public(self, address: str) -> bool:
        """Whether connecting to it needs no permission."""
        return self._is_public(address) and not self._is_own(address)

    async def addresses(self, url: Url, permitted: Permitted) -> list[str]:
        """The host's addresses that may be connected to. Raises `Refused`.

        Without the permission, the message is the same as for a name that does not exist, so that it reveals nothing
        about the host's own network.
        """
        found = await self._resolve(url.host, url.port)
        if permitted.private():
            if not found:
                raise Broken(f"{url.host} has no address: check the name in the URL")
            return found
        public = [one for one in found if self.is_public(one)]
        if not public:
            raise _not_public(url, permitted)
        return public

    async def context(self) -> ssl.SSLContext:
        """The TLS context: the system's authorities, and those of the setting. Raises `Refused`."""
        return await asyncio.to_thread(self._context)

    def _context(self) -> ssl.SSLContext:
        try:
            context = ssl.create_default_context()
            if self._ca:
                context.load_verify_locations(self._ca)
        except (OSError, ValueError) as error:
            log.warning("the authorities in %s (fetch_ca) cannot be used: %s", self._ca, error)
            raise Refused(
                Problem.UNAVAILABLE, "the file that the setting fetch_ca names cannot be used: see the server's log"
            ) from None
        return context


def _not_public(url: Url, permitted: Permitted) -> Refused:
    return Refused(
        Problem.NO_PERMISSION,
        f"{url.host} has no public address: check the name in the URL; to fetch from other addresses takes "
        f"{Permission.HOST_REACH.value} on {permitted.where}",
        field="url",
    )
