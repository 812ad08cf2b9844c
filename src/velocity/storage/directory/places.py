"""The paths of a pool's files: no other module makes them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from velocity.storage.port import HOST_POOL, MediaRef, ObjectKind

MARK = Path(".velocity/pool")
"""In a folder of its own, as only objects are in the pool's directory itself."""
LED = Path(".velocity/term")
"""In a shared pool: the term of the last server that has opened it."""
MOVING, TRASH = ".moving", ".trash"
EVERYWHERE = (".", MOVING, TRASH)
"""The directories with objects, relative to the pool's."""


@dataclass(frozen=True)
class Places:
    """One pool's paths. `records` is the part of the data directory that stores which mark each pool must have."""

    mpid: int
    name: str
    path: Path
    records: Path
    shared: bool = False
    """Whether other hosts use it, too."""

    @property
    def mark(self) -> Path:
        return self.path / MARK

    @property
    def led(self) -> Path:
        return self.path / LED

    @property
    def record(self) -> Path:
        return self.records / str(self.mpid)

    @property
    def draft(self) -> Path:
        """The record's draft, while the mark is being made."""
        return self.records / f"{self.mpid}.draft"

    @property
    def moving(self) -> Path:
        """For objects that come or go."""
        return self.path / MOVING

    @property
    def trash(self) -> Path:
        return self.path / TRASH

    def kept(self, name: str) -> Path:
        """The path of an object in its place."""
        return self.path / name


@dataclass(frozen=True)
class HostPlaces(Places):
    """The paths of the host's own pool: each object is in its machine's directory, beside the logs."""

    @property
    def moving(self) -> Path:
        return self.records / "host.moving"

    @property
    def trash(self) -> Path:
        return self.records / "host.trash"

    def kept(self, name: str) -> Path:
        machine, _, rest = name.partition(".")
        return self.path / machine / rest


def host_places(data_dir: Path) -> HostPlaces:
    return HostPlaces(HOST_POOL, "host", data_dir / "machines", data_dir / "pools")


def file_name(ref: MediaRef) -> str:
    """A name that we make: no part of it comes from a user."""
    kind = "" if ref.kind is ObjectKind.MEDIUM else f".{ref.kind.value}"
    return f"{ref.medium}{kind}.{ref.format}"
