"""The words of an entry for a change: `cpus=2->4`, `media=+MID,-MID`, `changed=notes`.

Numbers and choices are recorded with their values. Lists are recorded by the items that were added (`+`), removed
(`-`), replaced (`->`), or changed in details that the word does not show (`~`). Of all else, only the name is recorded.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Sequence
from typing import Any, NamedTuple

from msgspec import UNSET, structs

from velocity.contract.vm_settings import Attachment, Display, Forward, Interface, Nic
from velocity.plan import FieldChanges

VALUES = (
    "cpus", "max_cpus", "memory_mib", "max_memory_mib", "autostart", "ha", "start_order", "balloon", "rosetta", "size",
    "readonly", "quota", "write", "manage", "vms", "forward_ports", "keeps_copy",
)  # fmt: skip
"""Fields recorded with their values."""
LISTS = ("media", "nics", "interfaces", "displays", "forwards")
"""Fields recorded by their items; `interfaces` are what the server keeps of NICs."""


class Item(NamedTuple):
    """An item of a list: what identifies it, its word in the history, and its content without its place."""

    key: Hashable
    word: str
    content: object


def words(changes: FieldChanges) -> Iterator[tuple[str, object]]:
    """The changed fields, as (name, value)."""
    differs = {name for name, pair in changes.items() if pair is None or pair[0] != pair[1]}
    for name in VALUES:
        if name in differs and (pair := changes[name]):
            yield name, f"{_value(pair[0])}->{_value(pair[1])}"
    before, after = _devices(changes, 0), _devices(changes, 1)
    for name, items in before.items():
        if told := list(_told(items, after[name])):
            yield name, ",".join(told)
    others = [name for name in changes if name in differs and name not in (*VALUES, *LISTS)]
    if _boots_otherwise(_places(changes, 0), _places(changes, 1)):
        others.append("boot_order")
    if others:
        yield "changed", "+".join(others)


def _value(value: object) -> str:
    if value is None or value is UNSET:
        return "none"
    return str(value).lower() if isinstance(value, bool) else str(value)


def _listed(changes: FieldChanges, name: str, at: int) -> Sequence[Any]:
    """A list before (0) or after (1) the change."""
    pair: tuple[Any, Any] = changes.get(name) or ((), ())
    return pair[at]  # type: ignore[no-any-return]


def _devices(changes: FieldChanges, at: int) -> dict[str, list[Item]]:
    media, displays, forwards = (_listed(changes, name, at) for name in ("media", "displays", "forwards"))
    nics = zip(_listed(changes, "nics", at), _listed(changes, "interfaces", at), strict=True)
    return {
        "media": [_medium(one) for one in media],
        "nics": [_nic(*one) for one in nics],
        "displays": [_display(one) for one in displays],
        "forwards": [_forward(one) for one in forwards],
    }


def _medium(one: Attachment) -> Item:
    return Item(one.mid, str(one.mid), structs.replace(one, boot=UNSET))


def _nic(nic: Nic, interface: Interface) -> Item:
    words = [
        nic.type.lower(),
        *([] if nic.host is UNSET else [str(nic.host)]),
        *(["down"] if nic.link == "down" else []),
    ]
    return Item(interface.id, ":".join(words), (structs.replace(nic, id=UNSET, mac=UNSET, boot=UNSET), interface.mac))


def _display(one: Display) -> Item:
    return Item(one.name, f"{one.width}x{one.height}", one)


def _forward(one: Forward) -> Item:
    at = "" if one.host_address is UNSET else f"{one.host_address}:"
    return Item(one, f"{at}{one.host_port}:{one.guest_port}{'' if one.protocol == 'tcp' else '/udp'}", one)


def _told(before: Sequence[Item], after: Sequence[Item]) -> Iterator[str]:
    had, has = {one.key: one for one in before}, {one.key: one for one in after}
    for key, now in has.items():
        was = had.get(key)
        if was is None:
            yield f"+{now.word}"
        elif was.content != now.content:
            yield f"~{now.word}" if was.word == now.word else f"{was.word}->{now.word}"
    for key, was in had.items():
        if key not in has:
            yield f"-{was.word}"


def _places(changes: FieldChanges, at: int) -> list[tuple[Hashable, object]]:
    """What may boot, with its place in the boot order: media as listed, and NICs, whose own order does not count."""
    nics = zip(_listed(changes, "interfaces", at), _listed(changes, "nics", at), strict=True)
    places = sorted((one.id, nic.boot or 0) for one, nic in nics)
    return [*((one.mid, one.boot) for one in _listed(changes, "media", at)), *places]


def _boots_otherwise(before: Sequence[tuple[Hashable, object]], after: Sequence[tuple[Hashable, object]]) -> bool:
    """Whether the items that are there before and after are tried in another order."""
    stays = {key for key, _ in before} & {key for key, _ in after}
    return [one for one in before if one[0] in stays] != [one for one in after if one[0] in stays]
