"""Settings that are declared once; types of requests, responses and rows are derived from them."""

from __future__ import annotations

import enum
import typing
from collections.abc import Callable, Iterator
from typing import Annotated, Any, TypeVar

import msgspec
from msgspec import NODEFAULT, UNSET, Struct, UnsetType

from velocity.contract.operation import Change, Wire

Type = TypeVar("Type", bound=Wire)


class Setting(Struct, frozen=True):
    """What is declared of a setting beside its type.

    `waits`: while the VM runs, a change takes effect at the next start. `shown`: the type in responses, if they do not
    show everything.
    """

    waits: bool = True
    shown: type[Wire] | None = None


class Form(enum.Enum):
    """How a derived type contains the settings."""

    DECLARED = "as they are declared"
    OPTIONAL = "each may be absent: it stays as it is"
    KEPT = "without bounds, which may have been others once; one that was not known then has its default"
    SHOWN = "without bounds; each is always there"


def with_settings(settings: type[Wire], form: Form, *, after: str | None = None) -> Callable[[type[Type]], type[Type]]:
    """A class decorator that adds the settings to the fields of a type: behind the field `after`, or first.

    A type whose settings are read as attributes also inherits from `settings`, for mypy.
    """

    def derive(kind: type[Type]) -> type[Type]:
        among = {one.name: one for one in msgspec.structs.fields(settings)}
        fields = [_field(one, one.type) for one in msgspec.structs.fields(kind) if one.name in kind.__annotations__]
        place = 0 if after is None else [name for name, *_ in fields].index(after) + 1
        fields[place:place] = [_formed(one, form) for one in among.values()]
        derived = msgspec.defstruct(
            kind.__name__,
            fields,
            bases=tuple(Wire if base is settings else base for base in kind.__bases__),
            module=kind.__module__,
            namespace={"__doc__": kind.__doc__},
            frozen=True,
            kw_only=not issubclass(kind, Change),  # otherwise `plan` would come first
        )
        return typing.cast("type[Type]", derived)

    return derive


def settings_of(settings: type[Wire], value: object) -> dict[str, Any]:
    """The settings that `value` has: all, or those that are not absent."""
    return {name: one for name in settings.__struct_fields__ if (one := getattr(value, name)) is not UNSET}


def waiting(settings: type[Wire]) -> Iterator[str]:
    """The settings whose change takes effect at the next start."""
    for one in msgspec.structs.fields(settings):
        if all(about.waits for about in _about(one)):
            yield one.name


def _formed(one: msgspec.structs.FieldInfo, form: Form) -> tuple[Any, ...]:
    if form is Form.OPTIONAL:
        return one.name, one.type | UnsetType, UNSET
    if form is Form.DECLARED:
        return _field(one, one.type)
    plain = one.type.__origin__ if typing.get_origin(one.type) is Annotated else one.type
    if form is Form.SHOWN:
        return one.name, next((about.shown for about in _about(one) if about.shown), plain)
    return _field(one, plain)


def _about(one: msgspec.structs.FieldInfo) -> list[Setting]:
    return [said for said in getattr(one.type, "__metadata__", ()) if isinstance(said, Setting)]


def _field(one: msgspec.structs.FieldInfo, kind: Any) -> tuple[Any, ...]:
    """A field in the form that `defstruct` expects."""
    if one.required:
        return one.name, kind
    return one.name, kind, one.default if one.default is not NODEFAULT else one.default_factory()
