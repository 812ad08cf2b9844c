"""An attached medium as text: MEDIUM[:OPTION]... of `vm create`, `vm set` and apply files, its line in `vm show`."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import click
from msgspec import UNSET, structs

from velocity.cli import resolve
from velocity.cli.amounts import to_bytes
from velocity.cli.output import AmbiguousName, NameNotFound
from velocity.cli.words import clean
from velocity.client import Client
from velocity.contract.machines import Attachment, DiskLimits, MediaMode
from velocity.sizes import size


@dataclass(frozen=True)
class MediaScope:
    """Where media are looked for. `beyond`: also in other groups, if the group has none of that name."""

    client: Client
    gid: int | None
    beyond: bool = False


MediaNames = Callable[[UUID], str]
"""The name of a medium, for people."""


def with_names(message: str, called: MediaNames) -> str:
    """A message stored with a VM: the server names media in it by their ids, as all who may view the VM read it."""
    medium = r"\bmedium ([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})\b"
    return re.sub(medium, lambda found: f"medium {called(UUID(found[1]))}", message)


def _cache(text: str) -> dict[str, object]:
    if text.lower() not in CACHES:
        raise click.BadParameter(f"{clean(text)!r} is not a cache mode: write {' or '.join(CACHES)}")
    return {"cache": text.lower()}


def _operations(name: str) -> Callable[[str], dict[str, object]]:
    def read(text: str) -> dict[str, object]:
        if not text.isascii() or not text.isdigit():
            raise click.BadParameter(f"{clean(text)!r} is not a number of operations per second: write {name}=500")
        return {"limits": {_field(name): int(text)}}

    return read


def _bytes(name: str) -> Callable[[str], dict[str, object]]:
    return lambda text: {"limits": {_field(name): to_bytes(text)}}


def _field(name: str) -> str:
    return name.replace("-", "_")


def _sector_size(text: str) -> dict[str, object]:
    if text not in SECTORS:
        raise click.BadParameter(f"{clean(text)!r} is not a sector size: write {' or '.join(SECTORS)}")
    return {"sector_size": int(text)}


def _boot(text: str) -> dict[str, object]:
    if not text.isascii() or not text.isdigit():
        raise click.BadParameter(f"{clean(text)!r} is not a place in the boot order: write boot=1 for the first")
    return {"boot": int(text)}


SECTORS = ("512", "4096")
CACHES = ("writeback", "none")
FLAGS: Mapping[str, Mapping[str, object]] = {
    **{mode.value.lower(): {"mode": mode.value} for mode in MediaMode},
    "ro": {"readonly": True},
    "detect-zeroes": {"detect_zeroes": True},
}
VALUES: Mapping[str, Callable[[str], Mapping[str, Any]]] = {
    "cache": _cache,
    "sector-size": _sector_size,
    "boot": _boot,
    **{name: _operations(name) for name in ("iops", "read-iops", "write-iops")},
    **{name: _bytes(name) for name in ("bytes", "read-bytes", "write-bytes")},
}
"""Options with a value, such as `cache=none`, and the fields that they set. Raise `click.BadParameter`."""
KNOWN = ", ".join([*FLAGS, *(f"{name}=..." for name in VALUES)])


def _is_option(text: str) -> bool:
    name, equals, _ = text.lower().partition("=")
    return name in (VALUES if equals else FLAGS)


def medium_words(text: str) -> list[str]:
    """The possible names in the text: all of it, and what is left without options at the end."""
    words = [text]
    while ":" in words[-1] and _is_option(words[-1].rpartition(":")[2]):
        words.append(words[-1].rpartition(":")[0])
    return words


def to_attachment(place: MediaScope, text: str) -> Attachment:
    """Names may contain colons: what follows one is an option only if it is known, and the whole is not a name."""
    words = medium_words(text)
    try:
        found = resolve.medium(place.client, place.gid, *words, beyond=place.beyond)
    except NameNotFound as error:
        if ":" not in words[-1] or isinstance(error, AmbiguousName):
            raise
        raise NameNotFound(f"{error.message} (what may follow a name: {KNOWN})") from None
    written = found.name if found.name in words else words[-1]
    options = [option.lower() for option in text.removeprefix(written).split(":") if option]
    if len([one for one in options if one in FLAGS and "mode" in FLAGS[one]]) > 1:
        raise click.BadParameter(f"{clean(text)!r} has several modes: choose one of usb, block and virtio")
    said: dict[str, Any] = {"mode": MediaMode.VIRTIO.value}
    limits: dict[str, int] = {}
    for option in options:
        name, equals, value = option.partition("=")
        more = dict(VALUES[name](value) if equals else FLAGS[name])
        limits |= more.pop("limits", {})
        said |= more
    return Attachment(mid=found.id, limits=DiskLimits(**limits) if limits else UNSET, **said)


def shown(called: MediaNames, one: Attachment) -> str:
    """The attachment in words."""
    words = [f"{called(one.mid)} {one.mode}{' readonly' if one.readonly else ''}"]
    if one.boot is not UNSET:
        words.append(f"boots as {one.boot}")
    if one.cache is not UNSET:
        words.append(f"cache {one.cache}")
    if one.sector_size is not UNSET:
        words.append(f"sectors of {one.sector_size:,} bytes")
    if one.detect_zeroes is True:
        words.append("detects zeroes")
    if one.limits is not UNSET:
        words += [_at_most(name, most) for name, most in structs.asdict(one.limits).items() if most is not UNSET]
    return ", ".join(words)


def _at_most(name: str, most: int) -> str:
    which = {"read": " of reads", "write": " of writes"}.get(name.partition("_")[0], "")
    return f"at most {f'{size(most)}/s' if name.endswith('bytes') else f'{most:,} operations/s'}{which}"


def differ(wanted: Sequence[Attachment], has: Sequence[Attachment]) -> bool:
    """Whether a VM's media differ; unspecified sector sizes match any."""
    sizes = {one.mid: one.sector_size for one in has}
    said = [
        structs.replace(one, sector_size=sizes.get(one.mid, UNSET)) if one.sector_size is UNSET else one
        for one in wanted
    ]
    return said != [*has]
