"""Which VMs media are attached to, updated in the step in which a VM claims or releases a medium."""

from __future__ import annotations

from collections.abc import Callable, Collection
from uuid import UUID

from msgspec import Struct

from velocity.access.directory import Directory
from velocity.access.naming import visible_name
from velocity.media.library import Library


class AttachedVm(Struct, frozen=True):
    """A VM that a medium is attached to. `writing`: it runs and may write; `reading`: it runs and may not; `writable`:
    it is attached writable.

    Without a vmid, the VM does not exist yet, or not any more.
    """

    gid: int
    name: str
    writing: bool
    vmid: int | None
    reading: bool = False
    writable: bool = False


class Attachments:
    """The VMs of all media."""

    def __init__(self, directory: Directory, library: Library) -> None:
        self._directory = directory
        self._library = library
        self._holders: dict[UUID, dict[UUID, Callable[[UUID], AttachedVm]]] = {}

    def attached_vms(self, mid: UUID) -> list[AttachedVm]:
        """The VMs that a medium is attached to, or about to be, as they are now."""
        return [describe(mid) for describe in self._holders.get(mid, {}).values()]

    def attach(self, uuid: UUID, media: Collection[UUID], describe: Callable[[UUID], AttachedVm]) -> None:
        """Attach media to a VM; `describe` is called when somebody asks how it uses one of them."""
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
        """Its name for the caller, for messages."""
        return visible_name(self._directory, "VM", vm.name, vm.gid)

    def medium_name(self, mid: UUID) -> str:
        """A medium's name for the caller, for messages."""
        return self._library.visible_name(self._library.known(mid))
