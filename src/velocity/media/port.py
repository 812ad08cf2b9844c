"""What media need to be kept."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol
from uuid import UUID

from velocity.media.rules import Medium


class MediaStore(Protocol):
    """Each call is one transaction; what returns is durable."""

    def load(self) -> Sequence[Medium]: ...

    async def add(self, medium: Medium) -> None: ...

    async def remove(self, mid: UUID) -> None: ...
