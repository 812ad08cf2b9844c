"""The hypervisor of many hosts: each call goes to the host that it names."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable
from types import SimpleNamespace
from typing import Any, cast

from velocity.hypervisor.attached import AttachedHosts
from velocity.hypervisor.port import (
    Fact,
    FactCause,
    FactReport,
    HostFacts,
    HostId,
    Hypervisor,
    Incarnation,
    Unknown,
)

PARTS = ("machines", "mirrors", "mobility", "consoles", "screens", "meters", "guests", "hosts")
OBSERVING = ("news", "adopt", "facts", "acknowledge")
"""Calls that find out that a host answers again. Others are refused at once for a host known not to answer."""
FOLLOWED = ("news", "send")
"""Calls that return a stream. News have a reader of their own, which knows when a host is lost."""
NOTHING_KNOWN = HostFacts(
    accelerator="",
    accelerator_reason="the host is not known any more",
    hypervisor="",
    machine_type="",
    firmware="",
    hardware=(),
    cpu_models={},
    max_cpus=0,
    memory=0,
)


def routed(hosts: AttachedHosts) -> Hypervisor:
    """The hypervisor of all hosts attached at the moment of a call; `machines.close` is each host's own."""
    parts = {name: _Part(hosts, name) for name in PARTS}

    def about(host: HostId) -> HostFacts:
        one = hosts.by_id.get(host)
        return NOTHING_KNOWN if one is None else one.hypervisor.hosts.about(host)

    parts["hosts"].about = about
    return cast(Hypervisor, SimpleNamespace(**parts))


async def _absent(who: Incarnation) -> FactReport:
    """The answer for a host that is confirmed dead: that is proof, so no call is needed."""
    return FactReport(who, Fact.ABSENT, FactCause.UNKNOWN)


class _Part:
    """One part: the first argument of every call names its host, or an incarnation on it."""

    about: Any

    def __init__(self, hosts: AttachedHosts, name: str) -> None:
        self._hosts = hosts
        self._name = name

    def __getattr__(self, call: str) -> Any:
        def forwarded(named: Incarnation | HostId, *given: Any, **more: Any) -> Any:
            host = named.host if isinstance(named, Incarnation) else named
            one = self._hosts.by_id.get(host)
            if one is None:
                raise Unknown(
                    f"{self._hosts.called(host)} is not attached: `velocity node list` says why; it may be attached "
                    "again at the server's next start"
                )
            if call == "facts" and isinstance(named, Incarnation) and self._hosts.is_over(named):
                return _absent(named)
            does = getattr(getattr(one.hypervisor, self._name), call)
            if host == self._hosts.own.host or call == "news":
                return does(named, *given, **more)
            if call not in OBSERVING and (silence := self._hosts.silence(host)):
                raise Unknown(silence)
            if call in FOLLOWED:
                return self._followed(host, does(named, *given, **more))
            return self._elsewhere(host, does(named, *given, **more))

        self.__dict__[call] = forwarded
        return forwarded

    async def _followed(self, host: HostId, answers: AsyncGenerator[Any]) -> AsyncIterator[Any]:
        """The same for a stream; abandoning it abandons the host's."""
        try:
            async with contextlib.aclosing(answers):
                async for one in answers:
                    yield one
        except Unknown as unknown:
            raise Unknown(f"{self._hosts.called(host)}: {unknown}") from None

    async def _elsewhere(self, host: HostId, answer: Awaitable[Any]) -> Any:
        """Adds the host's name to `Unknown`."""
        try:
            return await answer
        except Unknown as unknown:
            raise Unknown(f"{self._hosts.called(host)}: {unknown}") from None
