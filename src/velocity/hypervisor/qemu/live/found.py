"""What QEMU has of a run's disks just now, beside what the note of the run says that there may be."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from velocity.hypervisor.port import HypervisorError
from velocity.hypervisor.qemu.disk_options import MIRROR, Drive, number_of

NODE = re.compile(r"disk(\d{1,6})")
FDSET = re.compile(r"/dev/fdset/(\d{1,6})")
DEVICE = re.compile(r"(?:.*/)?(dev\d{1,6})(?:/.*)?")
"""A device, or a part of it, as QEMU calls it."""


@dataclass
class Found:
    """`devices` are the ids of all devices; `nodes` the numbers of open disks, each with the set of its descriptor.

    `media`: device -> the number of the disk that it has. `copied`: those that others are copied to.
    """

    devices: set[str]
    objects: set[str]
    nodes: dict[int, int] = field(default_factory=dict)
    media: dict[str, int] = field(default_factory=dict)
    copied: dict[int, int] = field(default_factory=dict)


def read(peripherals: Any, objects: Any, opened: Any, blocks: Any) -> Found:
    """Of QEMU's answers. Raises `HypervisorError`: they make no sense."""
    try:
        found = Found({one["name"] for one in peripherals}, {one["name"] for one in objects})
        for one in opened:
            number, match = _number(one["node-name"]), FDSET.search(str(one.get("file", "")))
            if number is not None:
                found.nodes[number] = int(match[1]) if match else -1
            if copy := MIRROR.fullmatch(str(one["node-name"])):
                found.copied[int(copy[2])] = int(copy[1])
        found.media = dict(_media(blocks))
    except (TypeError, KeyError, AttributeError):
        raise HypervisorError("QEMU's answers about its devices make no sense") from None
    return found


def _number(name: object) -> int | None:
    match = NODE.fullmatch(str(name))
    return int(match[1]) if match else None


def _media(blocks: Any) -> Iterator[tuple[str, int]]:
    for one in blocks:
        number = number_of(one["inserted"]["node-name"]) if "inserted" in one else None
        device = DEVICE.fullmatch(str(one.get("qdev", "")))
        if number is not None and device:
            yield device[1], number


def number_in(drive: Drive, found: Found) -> int | None:
    """The disk that a drive has; None: it is empty."""
    return found.media.get(drive.device)
