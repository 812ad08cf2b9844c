"""What media need of the store."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol
from uuid import UUID

from velocity.access.rules import Discarded
from velocity.media.rules import Assignment, Medium, StoredUpload


class MediaStore(Protocol):
    """Each call is one transaction, durable when it returns."""

    def load(self) -> Sequence[Medium]: ...

    def load_assignments(self) -> Mapping[tuple[int, int], Assignment]:
        """By (gid, mpid)."""

    async def assign(self, gid: int, mpid: int, assignment: Assignment) -> None:
        """Sets or updates."""

    async def unassign(self, gid: int, mpid: int) -> None: ...

    async def add(self, medium: Medium) -> None: ...

    async def update(self, medium: Medium) -> None:
        """Update a medium, by its mid."""

    def load_discarded(self) -> Sequence[Medium]:
        """The media in the trash, on their own or with their groups."""

    async def remove(self, mid: UUID, discarded: Discarded | None = None) -> None:
        """Into the trash, or permanently (None)."""


class UploadStore(Protocol):
    """The stored uploads over several requests. Each call is one transaction, durable when it returns."""

    def load_uploads(self) -> Sequence[StoredUpload]: ...

    async def add_upload(self, upload: StoredUpload) -> None: ...

    async def note_upload(self, name: str, received: int, heard: int) -> None: ...

    async def remove_upload(self, name: str) -> None: ...
