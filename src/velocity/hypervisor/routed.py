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
"""The calls by which a host is found to answer again: nobody waits with any other for one that is known not to."""
FOLLOWED = ("news", "send")
"""The calls that give one answer after the other. News have a reader of their own, which knows when a host is lost."""
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
    """That of all hosts that are attached at the moment of a call; `machines.close` is each host's own."""
    parts = {name: _Part(hosts, name) for name in PARTS}

    def about(host: HostId) -> HostFacts:
        one = hosts.by_id.get(host)
        return NOTHING_KNOWN if one is None else one.hypervisor.hosts.about(host)

    parts["hosts"].about = about
    return cast(Hypervisor, SimpleNamespace(**parts))


async def _absent(who: Incarnation) -> FactReport:
    """Its host is confirmed dead: that is proof, and nobody has to be asked."""
    return FactReport(who, Fact.ABSENT, FactCause.UNKNOWN)


class _Part:
    """One part: every call names its host first, by an incarnation or by itself."""

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
                    f"{self._hosts.called(host)} is not attached: `velocity node list` tells why, or it may be known "
                    "again after the server's next start"
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
        """The same; who abandons it abandons them."""
        try:
            async with contextlib.aclosing(answers):
                async for one in answers:
                    yield one
        except Unknown as unknown:
            raise Unknown(f"{self._hosts.called(host)}: {unknown}") from None

    async def _elsewhere(self, host: HostId, answer: Awaitable[Any]) -> Any:
        """What does not answer is told with the host's name."""
        try:
            return await answer
        except Unknown as unknown:
            raise Unknown(f"{self._hosts.called(host)}: {unknown}") from None
