"""Hot-plug of disks and CD-ROM drives, and change of media in drives.

What QEMU has is queried each time; what it may have is noted before the command is sent.
https://www.qemu.org/docs/master/interop/qemu-qmp-ref.html
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Coroutine, Mapping, Sequence
from typing import Any

from msgspec import structs

from velocity.hypervisor.boot import place
from velocity.hypervisor.disks import Key, keyed
from velocity.hypervisor.port import Bus, DiskLimits, DiskSpec, Fact, HypervisorError, NotRunning, Unknown
from velocity.hypervisor.qemu.command import is_nic, thread_of
from velocity.hypervisor.qemu.disk_limits import limit
from velocity.hypervisor.qemu.disk_options import Drive, as_arguments, devices, node_name
from velocity.hypervisor.qemu.layout import BEHIND
from velocity.hypervisor.qemu.live import nodes, places, unplug
from velocity.hypervisor.qemu.live.change import Change
from velocity.hypervisor.qemu.live.found import Found, number_in, read
from velocity.hypervisor.waits import COPIED, NOT_YET, WHEN_ATTACHED

NOT_KNOWN = -1
FIXED = "a BLOCK disk that was attached at the start cannot be removed while it runs"


async def alter(change: Change) -> None:
    """Implements `velocity.hypervisor.qemu.live.Kind`."""
    found = await look(change)
    coming, leaving = _compare(change, found)
    if coming or leaving or _lacking(change, found):
        coming = await _change_media(change, found, coming, leaving)
        for drive in leaving:
            if not drive.cdrom:
                await _try(change, _disk(change, found, drive), _unplug(change, found, drive))
        for disk in coming:
            await _try(change, disk, _plug(change, found, disk))
        for bus in _lacking(change, found):
            await _try(change, None, _plug_drive(change, found, bus))
        found = await look(change)
    await _set_limits(change, found)


async def _try(change: Change, disk: DiskSpec | None, work: Coroutine[Any, Any, None]) -> None:
    """What QEMU or the guest refuses has to wait; the rest is done."""
    try:
        await work
    except (Unknown, NotRunning):
        raise
    except HypervisorError as error:
        change.wait("disks" if disk is not None else "drives", str(error), disk)


async def look(change: Change) -> Found:
    """Find the disks that are there, and remove the remains of others."""
    found = read(
        await change.execute("qom-list", path="/machine/peripheral"),
        await change.execute("qom-list", path="/objects"),
        await change.execute("query-named-block-nodes", flat=True),
        await change.execute("query-block"),
    )
    gone = {one.outer for one in change.drives if one.device not in found.devices and one.outer not in found.devices}
    for device in gone:
        change.qemu.releases.over(device)
    there = tuple(one for one in change.drives if one.outer not in gone)
    used = {number for one in there if (number := number_in(one, found)) is not None} | found.copied.keys()
    await nodes.sweep(change, found, used)
    stay = (one for one in change.run.plugged.items() if one[0] in found.devices or is_nic(one[0]))
    plugged = dict(stay)  # of a NIC that is gone, `nics` has more to clear
    opened = {number: disk for number, disk in change.run.nodes.items() if number in found.nodes}
    mirrors = {number: one for number, one in change.run.mirrors.items() if number in found.nodes}
    await change.note(drives=there, nodes=opened, plugged=plugged, mirrors=mirrors)
    _take(change, found)
    return found


def _take(change: Change, found: Found) -> None:
    """What the run is made of, in the order in which it has it."""
    has = [disk for one in change.drives if (disk := _disk(change, found, one)) is not None]
    change.made = structs.replace(change.made, disks=tuple(has), drives=tuple(_empty(change, found)))


def _disk(change: Change, found: Found, drive: Drive) -> DiskSpec | None:
    number = number_in(drive, found)
    return None if number is None else change.run.nodes.get(number)


def _empty(change: Change, found: Found) -> list[Bus]:
    return [one.bus for one in change.drives if one.cdrom and number_in(one, found) is None]


def _lacking(change: Change, found: Found) -> list[Bus]:
    """The wanted empty drives that are missing."""
    return list((Counter(change.asked.drives) - Counter(_empty(change, found))).elements())


def _compare(change: Change, found: Found) -> tuple[list[DiskSpec], list[Drive]]:
    """What has to be added, and the drives whose media have to be removed."""
    full = [one for one in change.drives if _disk(change, found, one) is not None]
    has = [key for key, _ in keyed(change.made.disks)]
    wanted = dict(keyed(change.asked.disks))
    coming = [disk for key, disk in wanted.items() if key not in has]
    return coming, [drive for key, drive in zip(has, full, strict=True) if key not in wanted]


async def _change_media(
    change: Change, found: Found, coming: Sequence[DiskSpec], leaving: Sequence[Drive]
) -> list[DiskSpec]:
    """Into CD-ROM drives, and out of them; returns what no drive can take."""
    gone = [one for one in leaving if one.cdrom]
    empty = [one for one in change.drives if one.cdrom and number_in(one, found) is None]
    rest = []
    for disk in coming:
        drive = next((one for one in [*gone, *empty] if disk.cdrom and one.bus is disk.bus), None)
        if drive is None:
            rest.append(disk)
            continue
        (gone if drive in gone else empty).remove(drive)
        await _try(change, disk, _insert(change, found, drive, disk))
    for drive in gone:
        await _try(change, _disk(change, found, drive), _insert(change, found, drive, None))
    return rest


async def _insert(change: Change, found: Found, drive: Drive, disk: DiskSpec | None) -> None:
    """Replace the medium in the drive; None: leave it empty. Forced, even if the guest has locked the tray."""
    number = next_number(change, found)
    before = _disk(change, found, drive)
    if disk is not None:
        limits = DiskLimits() if before is None else before.limits  # limits belong to the drive, whatever is in it
        await change.note(nodes={**change.run.nodes, number: structs.replace(disk, limits=limits)})
        await nodes.add(change, disk, number)
        found.nodes[number] = NOT_KNOWN
    await change.execute("blockdev-open-tray", id=drive.device, force=True)
    await change.execute("blockdev-remove-medium", id=drive.device)
    found.media.pop(drive.device, None)
    if disk is not None:
        await change.execute("blockdev-insert-medium", id=drive.device, **{"node-name": node_name(number)})
        found.media[drive.device] = number
    await change.execute("blockdev-close-tray", id=drive.device)


async def _unplug(change: Change, found: Found, drive: Drive) -> None:
    if drive.bus is Bus.BLOCK and not drive.at:
        raise HypervisorError(FIXED)
    if number_in(drive, found) in found.copied.values():
        raise HypervisorError(COPIED)
    if not await unplug.unplug(change, drive.outer):
        runs = change.qemu.observed.does(Fact.RUNNING)
        raise HypervisorError(NOT_YET if runs else f"{NOT_YET}, as it does not run")
    found.devices -= {drive.outer, drive.device}


async def _plug(change: Change, found: Found, disk: DiskSpec) -> None:
    held = [one for one in change.drives if one.device in found.devices and _disk(change, found, one) is not None]
    for other in (_disk(change, found, one) for one in held):
        if other is not None and other.media == disk.media and not (other.readonly and disk.readonly):
            raise HypervisorError(f"{NOT_YET} on {other.bus.value}")
    number = next_number(change, found)
    drive = await places.place(change, found, disk.bus, number, cdrom=disk.cdrom, sector_size=disk.sector_size)
    plain = structs.replace(disk, limits=DiskLimits())
    await change.note(drives=(*change.drives, drive), nodes={**change.run.nodes, number: plain})
    found.nodes[number] = NOT_KNOWN
    await nodes.add(change, disk, number)
    await _add_devices(change, found, drive, disk)


async def _plug_drive(change: Change, found: Found, bus: Bus) -> None:
    number = next_number(change, found)
    drive = await places.place(change, found, bus, number, cdrom=True)
    await change.note(drives=(*change.drives, drive))
    await _add_devices(change, found, drive, None)


async def _add_devices(change: Change, found: Found, drive: Drive, disk: DiskSpec | None) -> None:
    port = change.run.plugged.get(drive.device)
    where = f"bus={drive.at}.0" if port is None else change.hardware.place(port)
    for number, text in enumerate(devices(drive, disk, where, BEHIND + drive.number, thread_of(change.hardware))):
        try:
            await _add_device(change, text, places.ports_to_try(change, drive) if number == 0 else [""])
        except (Unknown, NotRunning):
            raise
        except HypervisorError:
            if drive.outer in found.devices:
                await change.execute("device_del", id=drive.outer)
            raise
        found.devices.add(as_arguments(text)["id"])
    if disk is not None:
        found.media[drive.device] = drive.number


async def _add_device(change: Change, text: str, ports: Sequence[str]) -> None:
    """At the first of these ports that is free."""
    for port in ports:
        try:
            await change.execute("device_add", **as_arguments(text + port))
        except (Unknown, NotRunning):
            raise
        except HypervisorError as error:
            if port == ports[-1] or "port" not in str(error):
                raise
        else:
            return


def next_number(change: Change, found: Found) -> int:
    """A number that nothing uses."""
    taken = [*(one.number for one in change.drives), *change.run.nodes, *found.nodes]
    return max(taken, default=-1) + 1


async def _set_limits(change: Change, found: Found) -> None:
    """And say what stays as it is although it should change."""
    wanted = dict(keyed(change.asked.disks))
    for key, drive in _by_key(change, found).items():
        has, disk, number = _disk(change, found, drive), wanted.get(key), number_in(drive, found)
        if disk is None or has is None or number is None:
            continue
        if structs.replace(has, limits=disk.limits, boot=disk.boot) != disk:
            change.wait("disks", WHEN_ATTACHED, disk)
        if has.limits != disk.limits:
            await limit(change.qemu.execute, {number: disk.limits}, change.left)
        has = structs.replace(has, limits=disk.limits, boot=disk.boot)
        if has != change.run.nodes[number]:
            await change.note(nodes={**change.run.nodes, number: has})
    await _sort(change, found, wanted)
    _take(change, found)
    await change.note()


async def _sort(change: Change, found: Found, wanted: Mapping[Key, DiskSpec]) -> None:
    """In the wanted order; the rest goes to the end, also of the boot order."""
    by_key = _by_key(change, found)
    places = {by_key[key].number: place for place, key in enumerate(wanted) if key in by_key}
    await change.note(drives=tuple(sorted(change.drives, key=lambda one: places.get(one.number, len(wanted)))))
    boots = {by_key[key].number: place(disk, change.asked.first) for key, disk in wanted.items() if key in by_key}
    change.bootable = [(boots.get(one.number, 0), one.device) for one in change.drives]


def _by_key(change: Change, found: Found) -> dict[Key, Drive]:
    full = [one for one in change.drives if _disk(change, found, one) is not None]
    return {key: drive for (key, _), drive in zip(keyed(change.made.disks), full, strict=True)}
