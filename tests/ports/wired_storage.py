"""The storage's port behind an encode and decode, as each call would cross a wire."""

from __future__ import annotations

import inspect
import types
from collections.abc import AsyncIterator, Callable
from typing import Any, cast, get_args, get_origin, get_type_hints

from tests.ports.wired import passed
from velocity.contract.problems import Problem, Refused
from velocity.storage import port
from velocity.storage.port import Blobs, Incoming, Jobs, Outgoing, Pools, Stat, Storage, Trash, Unknown

STREAMS = (Incoming, Outgoing)
"""What a call gives that is called in its turn."""


def error(raised: Refused) -> Refused:
    problem, message, field, unknown = passed(
        (raised.problem.value, raised.message, raised.field, isinstance(raised, Unknown)),
        tuple[str, str, str | None, bool],
    )
    return Unknown(message) if unknown else Refused(Problem(problem), message, field=field)


def wired(inner: Storage) -> Storage:
    """The same storage, from the other end of the wire; the files of the host itself stay there."""
    return Storage(
        pools=cast(Pools, _all(inner.pools, Pools)),
        blobs=cast(Blobs, _all(inner.blobs, Blobs)),
        trash=cast(Trash, _all(inner.trash, Trash)),
        jobs=cast(Jobs, _all(inner.jobs, Jobs)),
        files=inner.files,
    )


def _all(inner: object, protocol: type) -> types.SimpleNamespace:
    declared = {name: one for name, one in vars(protocol).items() if inspect.isfunction(one) and name[0] != "_"}
    made = types.SimpleNamespace(**{name: _through(getattr(inner, name), one) for name, one in declared.items()})
    if protocol is Outgoing:
        made.stat = passed(inner.stat, Stat)  # type: ignore[attr-defined]
    return made


def _through(call: Callable[..., Any], declared: Any) -> Callable[..., Any]:
    hints, signature = get_type_hints(declared, vars(port)), inspect.signature(call)
    gives = hints["return"]

    def arguments(given: tuple[Any, ...], named: dict[str, Any]) -> dict[str, Any]:
        bound = signature.bind(*given, **named).arguments
        assert set(bound) == set(hints) - {"return"}, "a call names all that the port declares"
        return {name: passed(value, hints[name]) for name, value in bound.items()}

    async def asked(*given: Any, **named: Any) -> Any:
        try:
            answer = await call(**arguments(given, named))
        except Refused as raised:
            raise error(raised) from None
        return _all(answer, gives) if gives in STREAMS else passed(answer, gives)

    async def followed(*given: Any, **named: Any) -> AsyncIterator[Any]:
        (kind,) = get_args(gives)
        try:
            async for one in call(**arguments(given, named)):
                yield passed(one, kind)
        except Refused as raised:
            raise error(raised) from None

    return followed if get_origin(gives) is AsyncIterator else asked
