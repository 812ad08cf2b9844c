"""A hypervisor behind an encode and a decode of every argument, answer and error, as if a wire lay between."""

from __future__ import annotations

import inspect
import types
from collections.abc import AsyncIterator, Callable
from typing import Any, cast, get_args, get_type_hints

import msgspec

from velocity.hypervisor import port
from velocity.hypervisor.port import ByteStream, Hypervisor, HypervisorError, NotRunning, Unknown

ERRORS = {kind.__name__: kind for kind in (HypervisorError, NotRunning, Unknown)}
PARTS = {
    name: get_type_hints(declared.fget)["return"]
    for name, declared in vars(Hypervisor).items()
    if isinstance(declared, property)
}
"""All that the port consists of: the parts of a hypervisor, each with its Protocol."""


def passed(value: object, kind: Any) -> Any:
    """What arrives of it on the other side."""
    return msgspec.msgpack.decode(msgspec.msgpack.encode(value), type=kind)


def error(raised: HypervisorError) -> HypervisorError:
    kind, words = passed((type(raised).__name__, str(raised)), tuple[str, str])
    return ERRORS[kind](words)


class Stream:
    """A console: its bytes are passed on."""

    def __init__(self, inner: ByteStream) -> None:
        self._inner = inner

    async def read(self) -> bytes:
        return cast(bytes, passed(await self._inner.read(), bytes))

    async def write(self, data: bytes) -> None:
        await self._inner.write(passed(data, bytes))

    async def close(self) -> None:
        await self._inner.close()


def wired(inner: Hypervisor) -> Hypervisor:
    """The same hypervisor, from the other end of the wire."""
    parts = {name: _part(getattr(inner, name), protocol) for name, protocol in PARTS.items()}
    return cast(Hypervisor, types.SimpleNamespace(**parts))


def methods(protocol: type) -> dict[str, Any]:
    """The calls that it declares."""
    return {name: one for name, one in vars(protocol).items() if not name.startswith("_")}


def _part(inner: object, protocol: type) -> types.SimpleNamespace:
    calls = {name: _through(getattr(inner, name), one) for name, one in methods(protocol).items()}
    return types.SimpleNamespace(**calls)


def _through(call: Callable[..., Any], declared: Any) -> Callable[..., Any]:
    hints, signature = get_type_hints(declared), inspect.signature(call)

    def arguments(given: tuple[Any, ...], named: dict[str, Any]) -> dict[str, Any]:
        bound = signature.bind(*given, **named).arguments
        assert set(bound) == set(hints) - {"return"}, "a call names all that the port declares"
        return {name: passed(value, hints[name]) for name, value in bound.items()}

    def answer(value: Any) -> Any:
        return Stream(value) if hints["return"] is ByteStream else passed(value, hints["return"])

    async def asked(*given: Any, **named: Any) -> Any:
        try:
            return answer(await call(**arguments(given, named)))
        except HypervisorError as raised:
            raise error(raised) from None

    async def followed(*given: Any, **named: Any) -> AsyncIterator[Any]:
        (kind,) = get_args(hints["return"])
        try:
            async for one in call(**arguments(given, named)):
                yield passed(one, kind)
        except HypervisorError as raised:
            raise error(raised) from None

    if inspect.iscoroutinefunction(declared):
        return asked
    if hints["return"] is not port.HostFacts:
        return followed
    return lambda *given, **named: answer(call(**arguments(given, named)))
