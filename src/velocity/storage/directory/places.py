"""Where the files of a pool are: no other module names files."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from velocity.storage.port import HOST_POOL, MediaRef, ObjectKind

MARK = Path(".velocity/pool")
"""In a folder of its own, as nothing but objects stands in the pool itself."""
LED = Path(".velocity/term")
"""In a shared pool: the term of the last server that has opened it."""
MOVING, TRASH = ".moving", ".trash"
EVERYWHERE = (".", MOVING, TRASH)
"""Where the files of objects are, from the pool's directory."""


@dataclass(frozen=True)
class Places:
    """One pool's. `records` is where the data directory keeps what each pool's mark has to be."""

    mpid: int
    name: str
    path: Path
    records: Path
    shared: bool = False
    """Other hosts work in it, too."""

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
        """Of the record, while the mark is made."""
        return self.records / f"{self.mpid}.draft"

    @property
    def moving(self) -> Path:
        """What comes or goes."""
        return self.path / MOVING

    @property
    def trash(self) -> Path:
        return self.path / TRASH

    def kept(self, name: str) -> Path:
        """The file of this name, in its place."""
        return self.path / name


@dataclass(frozen=True)
class HostPlaces(Places):
    """Those of the host's own pool: each object lies in the directory of its machine, beside its logs."""

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
    """Of our making: nothing that a user sent becomes part of it."""
    kind = "" if ref.kind is ObjectKind.MEDIUM else f".{ref.kind.value}"
    return f"{ref.medium}{kind}.{ref.format}"
