"""Which VMs media are attached to, updated in the step in which a VM claims or releases a medium."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from uuid import UUID

from velocity.access.directory import Directory
from velocity.access.naming import visible_name
from velocity.media.library import Library


@dataclass(frozen=True)
class AttachedVm:
    """A machine that a medium is attached to; `writing` says that it runs and may write, `reading` that it runs with it
    and may not, `writable` that it is attached so.

    Without a vmid it is not there yet, or no more.
    """

    gid: int
    name: str
    writing: bool
    vmid: int | None
    reading: bool = False
    writable: bool = False


class Attachments:
    """The holders of all media."""

    def __init__(self, directory: Directory, library: Library) -> None:
        self._directory = directory
        self._library = library
        self._holders: dict[UUID, dict[UUID, Callable[[UUID], AttachedVm]]] = {}

    def attached_vms(self, mid: UUID) -> list[AttachedVm]:
        """The machines that a medium is attached to, or is about to be, as they are now."""
        return [describe(mid) for describe in self._holders.get(mid, {}).values()]

    def attach(self, uuid: UUID, media: Collection[UUID], describe: Callable[[UUID], AttachedVm]) -> None:
        """To a machine; `describe` says how it holds one of them, whenever that is asked."""
        for mid in media:
            self._holders.setdefault(mid, {})[uuid] = describe
            self._library.touched(mid)

    def detach(self, uuid: UUID, media: Collection[UUID]) -> None:
        for mid in media:
            del self._holders[mid][uuid]
            if not self._holders[mid]:
                del self._holders[mid]
            self._library.touched(mid)

    def visible_name(self, vm: AttachedVm) -> str:
        """What the caller may call it, for a message."""
        return visible_name(self._directory, "VM", vm.name, vm.gid)

    def medium_name(self, mid: UUID) -> str:
        """The same of a medium."""
        return self._library.visible_name(self._library.known(mid))
