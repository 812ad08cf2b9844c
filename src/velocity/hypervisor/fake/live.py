"""How the machines of the hypervisor in memory change while they run."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass
from uuid import UUID

from msgspec import structs

from velocity.hypervisor.disks import Key, keyed
from velocity.hypervisor.fake import growth
from velocity.hypervisor.port import Bus, DiskSpec, DisplaySpec, HypervisorError, MachineSpec, Wait
from velocity.hypervisor.waits import COLD_DISPLAY, COPIED, NO_SIZE, NOT_YET
from velocity.storage.port import MediaRef

OLD = "1"
"""The hardware into which no PCI device can be plugged."""


@dataclass(eq=False)
class Slot:
    """A disk, or a CD-ROM drive with or without a medium. `cold`: it was there at the start."""

    bus: Bus
    cdrom: bool
    disk: DiskSpec | None
    cold: bool = False
    leaving: bool = False


class FakeDevices:
    """The devices of one run. `lets_go`: whether the guest does its part: lets go of what is taken out, and follows."""

    def __init__(self, spec: MachineSpec) -> None:
        self.spec = self._begun = structs.replace(spec, held=False, setup=False)
        self.lets_go = True
        self._slots = [Slot(one.bus, one.cdrom, one, cold=True) for one in spec.disks]
        self._slots += [Slot(bus, True, None, cold=True) for bus in spec.drives]
        self._waits: list[Wait] = []
        self.sizes: dict[MediaRef, int] = {}
        """Of the disks that were made larger, in bytes."""
        self.copying: set[UUID] = set()
        """Its disks that are being copied to other objects, which stay meanwhile."""
        self.copied: dict[UUID, MediaRef] = {}
        """Of the disks that were copied to other objects, those."""

    def let_go(self) -> None:
        """Of what was to be taken out, whether it is wanted again or not."""
        self.lets_go = True
        self._slots = [one for one in self._slots if not one.leaving]
        self.spec = structs.replace(self.spec, disks=tuple(self._disks))

    def writes_to(self, media: MediaRef) -> bool:
        return any(one.media == media and not one.readonly for one in self._disks)

    def take(self, source: MediaRef, target: MediaRef) -> None:
        """Another object in the place of that one."""
        for slot in self._slots:
            if slot.disk is not None and slot.disk.media == source:
                slot.disk = structs.replace(slot.disk, media=target)
        self.copied[target.medium] = target
        self.spec = structs.replace(self.spec, disks=tuple(self._disks))

    def resize(self, media: MediaRef, size: int) -> None:
        """Raises `HypervisorError`."""
        if not self.writes_to(media):
            raise HypervisorError("the run has no such disk to write to")
        if size < self.sizes.get(media, 0):
            raise HypervisorError(f"the disk has {self.sizes[media]:,} bytes already: it cannot become smaller")
        self.sizes[media] = size

    def become(self, asked: MachineSpec, taken: Collection[int] = ()) -> tuple[MachineSpec, tuple[Wait, ...]]:
        """What it is made of from here on, and what waits. Other processes have `taken` ports of the host."""
        self._waits = []
        wanted = dict(keyed(asked.disks))
        has = [key for key, _ in keyed(self._disks)]
        coming = [disk for key, disk in wanted.items() if key not in has]
        full = [one for one in self._slots if one.disk is not None]
        leaving = [slot for key, slot in zip(has, full, strict=True) if key not in wanted]
        for disk in self._change_media(coming, [one for one in leaving if one.cdrom]):
            coming.remove(disk)
        for slot in leaving:
            if not slot.cdrom:
                self._unplug(slot)
        for disk in coming:
            self._plug(asked, disk)
        for bus in (Counter(asked.drives) - Counter(self._empty)).elements():
            self._slots.append(Slot(bus, True, None))
        self._set(wanted)
        grown, waits = growth.become(self._begun, self.spec, asked, clings=not self.lets_go, taken=taken)
        self._waits += waits
        grown = structs.replace(grown, displays=self._displays(asked))
        self.spec = structs.replace(grown, disks=tuple(self._disks), drives=tuple(self._empty))
        return self.spec, tuple(self._waits)

    def _displays(self, asked: MachineSpec) -> tuple[DisplaySpec, ...]:
        if len(asked.displays) != len(self.spec.displays):
            self._waits.append(Wait("displays", COLD_DISPLAY))
            return self.spec.displays
        if self.lets_go:
            return asked.displays
        has = self.spec.displays
        made = tuple(structs.replace(old, name=new.name) for old, new in zip(has, asked.displays, strict=True))
        self._waits += [Wait("displays", f"{one.name}: {NO_SIZE}") for one in asked.displays if one not in made]
        return made

    @property
    def _disks(self) -> list[DiskSpec]:
        return [one.disk for one in self._slots if one.disk is not None]

    @property
    def _empty(self) -> list[Bus]:
        return [one.bus for one in self._slots if one.disk is None]

    def _change_media(self, coming: list[DiskSpec], gone: list[Slot]) -> list[DiskSpec]:
        empty = [one for one in self._slots if one.disk is None]
        found = []
        for disk in coming:
            slot = next((one for one in [*gone, *empty] if disk.cdrom and one.bus is disk.bus), None)
            if slot is not None:
                (gone if slot in gone else empty).remove(slot)
                slot.disk = disk
                found.append(disk)
        for slot in gone:
            slot.disk = None
        return found

    def _unplug(self, slot: Slot) -> None:
        assert slot.disk is not None
        if slot.bus is Bus.BLOCK and slot.cold:
            self._waits.append(Wait("disks", "it was there at the start", slot.disk.media.medium))
        elif slot.disk.media.medium in self.copying:
            self._waits.append(Wait("disks", COPIED, slot.disk.media.medium))
        elif not self.lets_go:
            slot.leaving = True
            self._waits.append(Wait("disks", NOT_YET, slot.disk.media.medium))
        else:
            self._slots.remove(slot)

    def _plug(self, asked: MachineSpec, disk: DiskSpec) -> None:
        same = [one for one in self._disks if one.media == disk.media and not (one.readonly and disk.readonly)]
        if same or (disk.bus is Bus.BLOCK and self.spec.hardware == OLD):
            why = NOT_YET if same else "needs hardware 2"
            self._waits.append(Wait("disks", why, disk.media.medium))
        else:
            self._slots.append(Slot(disk.bus, disk.cdrom, disk))

    def _set(self, wanted: dict[Key, DiskSpec]) -> None:
        """Limits and the boot order at once; how a disk is cached and the like waits."""
        has = [key for key, _ in keyed(self._disks)]
        full = [one for one in self._slots if one.disk is not None]
        for key, slot in zip(has, full, strict=True):
            assert slot.disk is not None
            if (disk := wanted.get(key)) is None:
                continue
            slot.disk = structs.replace(slot.disk, limits=disk.limits, boot=disk.boot)
            if slot.disk != disk:
                self._waits.append(Wait("disks", "it is chosen when a disk is attached", disk.media.medium))
        order = list(wanted)
        places = {id(slot): order.index(key) for key, slot in zip(has, full, strict=True) if key in wanted}
        self._slots.sort(key=lambda one: places.get(id(one), len(order)))
