"""The files of media on another host: none can be opened here."""

from __future__ import annotations

from velocity.contract.problems import Problem, Refused
from velocity.storage.port import MediaRef


class NoFiles:
    """Implements `velocity.storage.port.MediaFiles`."""

    def open(self, media: MediaRef, *, readonly: bool, coming: bool = False) -> int:
        raise Refused(Problem.POOL_AWAY, "its bytes are on another host")

    def direct_lacks(self, media: MediaRef, descriptor: int, *, readonly: bool) -> str:
        return "its bytes are on another host"

    def is_shared(self, media: MediaRef) -> bool:
        return False

    def provide(self, ref: MediaRef, template: int) -> None:
        raise Refused(Problem.POOL_AWAY, "its bytes are on another host")

    def remove(self, ref: MediaRef) -> None:
        raise Refused(Problem.POOL_AWAY, "its bytes are on another host")
