"""Storage that several hosts have mounted: one directory, which each sees where it has it, as long as it has it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from tests.api.world import World
from tests.hosts.together import AGAIN, Other, together
from velocity.config import PoolSetting
from velocity.hosts.port import OfferedPool
from velocity.storage.declared import open_directories
from velocity.storage.directory.places import MARK, Places, host_places
from velocity.storage.port import Storage

MPID, NAME = 7, "shared"


class Mount:
    """Where one host sees the storage: a link; without it, the empty directory that is below a mount."""

    def __init__(self, path: Path, storage: Path) -> None:
        self.path = path
        self._storage = storage
        self.below = path.with_name("below")
        self.below.mkdir(parents=True)
        (storage / MARK).parent.mkdir(parents=True, exist_ok=True)  # temporary files may be on the root file system

    def mount(self) -> None:
        self.path.unlink(missing_ok=True)
        self.path.symlink_to(self._storage)

    def unmount(self) -> None:
        self.path.unlink(missing_ok=True)
        self.path.symlink_to(self.below)


class Sharing(Other):
    """Another host with directories: a pool of its own, and the shared one."""

    def __init__(self, number: int, name: str, data: Path, storage: Path, **about: Any) -> None:
        own = number * 10
        pools = (OfferedPool(own, f"own-{name}"), OfferedPool(MPID, NAME, shared=True))
        super().__init__(number, name, **{"pools": pools, **about})
        self.data = data / name
        self.mounted = Mount(self.data / "shared", storage)
        self.mounted.mount()
        records = self.data / "pools"
        self._places = [
            host_places(self.data),
            Places(own, f"own-{name}", self.data / "own", records),
            Places(MPID, NAME, self.mounted.path, records, shared=True),
        ]

    def connect(self) -> Storage:
        return open_directories(self._places, None, AGAIN)


class Shared:
    """The storage, where the server's own host has it, and the other hosts."""

    def __init__(self, path: Path, *names: str) -> None:
        self.path = path
        self.storage = path / "storage"
        self.own = Mount(path / "own" / "shared", self.storage)
        self.own.mount()
        self.others = [
            Sharing(number, name, path, self.storage) for number, name in enumerate(names or ("b",), start=2)
        ]
        self.b = self.others[0]

    @asynccontextmanager
    async def server(self, *, own: bool = True, **more: Any) -> AsyncIterator[World]:
        """`own`: its own host declares the pool, too."""
        async with together(self.path / "data", *self.others, pools=self.pools(own=own), **more) as w:
            await w.server.hosts.shared.survey(MPID)
            yield w

    def pools(self, *, own: bool = True) -> list[PoolSetting]:
        """Those of the server's own host."""
        mine = [PoolSetting(MPID, NAME, self.own.path, shared=True)] if own else []
        return [PoolSetting(1, "default", self.path / "data" / "media"), *mine]

    def files(self, place: str = ".") -> set[str]:
        """The media in it."""
        directory = self.storage / place
        return {file.name for file in directory.iterdir() if file.is_file()} if directory.is_dir() else set()
