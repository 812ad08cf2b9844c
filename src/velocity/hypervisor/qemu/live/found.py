"""The disks that QEMU has at present, as opposed to those that the run's note says it may have."""

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
"""The id of a device, or of a part of one."""


@dataclass
class Found:
    """`devices` are the ids of all devices; `nodes` the numbers of open disks, each with its fdset.

    `media`: device -> the number of the disk in it. `copied`: the targets of mirror jobs.
    """

    devices: set[str]
    objects: set[str]
    nodes: dict[int, int] = field(default_factory=dict)
    media: dict[str, int] = field(default_factory=dict)
    copied: dict[int, int] = field(default_factory=dict)


def read(peripherals: Any, objects: Any, opened: Any, blocks: Any) -> Found:
    """Parse QEMU's answers. Raises `HypervisorError` if they make no sense."""
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
        raise HypervisorError("QEMU's answers about its devices are invalid") from None
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
    """The number of the disk in a drive; None: it is empty."""
    return found.media.get(drive.device)
