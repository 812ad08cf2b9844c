"""The process of a node: serves this machine's driver and pools, under its identity."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

import grpc.aio

from velocity import __version__
from velocity.config import Settings
from velocity.contract.problems import Problem, Refused
from velocity.hosts.members import API, CopyMark, CopyPiece, Hello
from velocity.hosts.port import FIRST_HOST, OfferedPool
from velocity.hypervisor.port import Hypervisor, HypervisorError, HypervisorFactory, Incarnation, Usage
from velocity.node import places
from velocity.node.copies import KeptCopies
from velocity.node.identity import NodeIdentity, OwnIdentity
from velocity.node.server import Node
from velocity.node.terms import Terms
from velocity.storage.declared import of_host
from velocity.storage.port import MediaFiles, MediaRef, Storage
from velocity.uninterrupted import in_thread

T = TypeVar("T")

GRACE = 2.0
"""Seconds that calls in progress get when it ends."""


class Agent:
    """Implements `velocity.hosts.members.NodeCalls`."""

    def __init__(self, settings: Settings, own: OwnIdentity, hypervisor: Hypervisor) -> None:
        self._settings = settings
        self._own = own
        self._hypervisor = hypervisor
        self._copies = KeptCopies(places.copies(settings.data_dir))
        self._copying = asyncio.Lock()

    async def hello(self, api: int, *, deadline: float) -> Hello:
        now = self._own.now
        return Hello(
            api=API,
            uuid=now.uuid,
            version=__version__,
            hostname=socket.gethostname(),
            facts=self._hypervisor.hosts.about(FIRST_HOST),
            pools=tuple(OfferedPool(one.mpid, one.name, one.is_shared) for one in self._settings.media_pools),
            nics={one.nicid: one.identifier for one in self._settings.nics},
            serial=now.serial,
            certificate_begins=now.begins,
            certificate_expires=now.expires,
            now=time.time(),
            uid_base=self._settings.uid_base,
        )

    async def request(self, *, deadline: float) -> bytes:
        return await asyncio.to_thread(self._own.request)

    async def renew(self, certificate: bytes, *, deadline: float) -> None:
        try:
            await asyncio.to_thread(self._own.renew, certificate)
        except ValueError as error:
            raise HypervisorError(f"the new certificate cannot be used: {error}") from None
        except OSError as error:
            raise HypervisorError(f"the new certificate cannot be kept: {error.strerror}") from None

    async def take_copy(self, piece: CopyPiece, *, deadline: float) -> None:
        await self._with_copies(lambda: self._copies.take(piece))

    async def confirm_copy(self, mark: CopyMark, at: int, *, deadline: float) -> bool:
        return await self._with_copies(lambda: self._copies.confirm(mark, at))

    async def drop_copies(self, *, deadline: float) -> None:
        await self._with_copies(self._copies.drop)

    async def measure(self, whos: tuple[Incarnation, ...], *, deadline: float) -> tuple[Usage | None, ...]:
        measure = self._hypervisor.meters.measure
        found = await asyncio.gather(*(measure(who, deadline=deadline) for who in whos), return_exceptions=True)
        return tuple(one if isinstance(one, Usage) else None for one in found)

    async def _with_copies(self, work: Callable[[], T]) -> T:
        async with self._copying:
            try:
                return await in_thread(work)  # one call at a time, also after one was given up
            except OSError as error:
                raise HypervisorError(f"the copy cannot be kept: {error.strerror}") from None
            except ValueError as error:  # msgspec's are such, too
                raise HypervisorError(f"the copy is not kept: {error}") from None


class LedFiles:
    """Implements `velocity.storage.port.MediaFiles` with the storage of the present leader."""

    def __init__(self, storage: Callable[[], Storage | None]) -> None:
        self._storage = storage

    def _files(self) -> MediaFiles:
        storage = self._storage()
        if storage is None:
            raise Refused(Problem.POOL_AWAY, "no controller has opened the pools of this host yet")
        return storage.files

    def open(self, media: MediaRef, *, readonly: bool, coming: bool = False) -> int:
        return self._files().open(media, readonly=readonly, coming=coming)

    def direct_lacks(self, media: MediaRef, descriptor: int, *, readonly: bool) -> str:
        return self._files().direct_lacks(media, descriptor, readonly=readonly)

    def is_shared(self, media: MediaRef) -> bool:
        return self._files().is_shared(media)

    def provide(self, ref: MediaRef, template: int) -> None:
        self._files().provide(ref, template)

    def remove(self, ref: MediaRef) -> None:
        self._files().remove(ref)


@dataclass
class RunningNode:
    node: Node
    server: grpc.aio.Server
    hypervisor: Hypervisor
    port: int

    async def close(self, grace: float = GRACE) -> None:
        """Guests keep running. `grace`: seconds for calls in progress, which those of an unreachable leader use up."""
        await self.node.close()
        await self.server.stop(grace)
        await self.hypervisor.machines.close()


async def begin(
    settings: Settings,
    own: NodeIdentity,
    hypervisor: HypervisorFactory,
    storage: Callable[[Settings], Storage],
) -> RunningNode:
    """Serve. Raises `RuntimeError` if the address cannot be used, `HypervisorError`, `OSError`."""
    settings, kept = of_host(settings, own.mpid, own.name), OwnIdentity(settings.data_dir, own)
    files = LedFiles(lambda: node.storage)
    driver = await hypervisor(files)
    terms = Terms(places.term(settings.data_dir))
    node = Node(driver, lambda: storage(settings), terms, Agent(settings, kept, driver))
    server, port = await node.listen(settings.node_listen, lambda: kept.now.shown)
    return RunningNode(node, server, driver, port)
