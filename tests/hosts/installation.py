"""An installation's hosts over a database of its own, and machines that join it: real certificates, gRPC over loopback.

The drivers and the storage are the fakes.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any
from uuid import UUID

from msgspec import UNSET
from msgspec.structs import replace

from tests.api.world import migrated
from tests.patience import asked_until
from velocity.changes import Changes
from velocity.config import Settings
from velocity.contract.joining import NodeToken
from velocity.contract.nodes import Joined, JoinNode, NodeInfo, SetNode
from velocity.controller import membership, own_host
from velocity.hosts.certainty import Certainty
from velocity.hosts.port import FIRST_HOST, AttachedHost, Blocklisting, Death, VmAtStake, VmWrites
from velocity.hypervisor.fake import FakeHypervisor
from velocity.hypervisor.port import HostId, Hypervisor
from velocity.node import agent, joining
from velocity.node.agent import RunningNode
from velocity.node.identity import NodeIdentity
from velocity.storage.fake import connect
from velocity.storage.fake.pools import FakeHost
from velocity.storage.port import MediaFiles
from velocity.store.database import Database
from velocity.store.hosts import claim_own

URL = "http://127.0.0.1:1"


class NoDisks:
    """Keeps `velocity.hosts.port.KeptDisks`, of hosts without VMs."""

    def __init__(self) -> None:
        self.clients: dict[HostId, dict[int, tuple[str, ...]]] = {}
        self.blocklisted: dict[HostId, Blocklisting] = {}
        self.pools = connect(FakeHost()).pools

    def writes(self, host: HostId) -> list[VmWrites]:
        return []

    async def blocklist(self, host: HostId, blocklisting: Blocklisting) -> None:
        self.blocklisted[host] = blocklisting

    async def confirm_some(self, host: HostId, machines: Collection[UUID], by: str) -> None:
        return None

    def answers(self, host: HostId) -> bool:
        return True

    async def give_up(self, host: HostId, mpid: int) -> None:
        return None

    async def off_blocklists(self, host: HostId) -> None:
        del self.blocklisted[host]


class NotedHosts:
    """Keeps `velocity.hosts.port.Attaching`, and only notes who is there."""

    def __init__(self) -> None:
        self.there: dict[HostId, AttachedHost] = {}
        self.doubted: list[HostId] = []
        self.silent: dict[HostId, int] = {}
        self.ahead: dict[HostId, int] = {}
        self.deaths: dict[HostId, Death] = {}
        self.expected: dict[HostId, str] = {}
        self.disks = NoDisks()

    async def attach(self, one: AttachedHost) -> None:
        self.there[one.host] = one

    def expect(self, host: HostId, name: str) -> None:
        self.expected[host] = name

    def doubt(self, host: HostId, words: str) -> None:
        self.doubted.append(host)

    def leaving(self, host: HostId) -> AbstractContextManager[None]:
        return nullcontext()

    async def detach(self, host: HostId) -> None:
        self.there.pop(host, None)

    def at_stake(self, host: HostId) -> list[VmAtStake]:
        return []

    async def confirm_dead(self, host: HostId, by: str) -> None:
        self.deaths[host] = Death(0, by)

    def noted(self, did: str, host: HostId) -> None:
        return None


class Machine:
    """One that may join."""

    def __init__(self, data: Path, name: str) -> None:
        self.name = name
        self.settings = Settings(data_dir=data / name, node_listen="127.0.0.1:0")
        self.fake = FakeHypervisor()
        self.pools = FakeHost((2, name))
        self.running: RunningNode | None = None

    def asks(self, word: str, address: str = "127.0.0.1:1") -> JoinNode:
        token = NodeToken.read(word)
        return joining.asked(joining.begin(self.settings.data_dir, token), token, self.name, address)

    def accept(self, word: str, answer: Joined) -> NodeIdentity:
        token = NodeToken.read(word)
        return joining.accept(self.settings.data_dir, joining.begin(self.settings.data_dir, token), token, answer)

    async def serve(self, own: NodeIdentity, port: int = 0) -> str:
        """Its address."""

        async def driver(_media: MediaFiles) -> Hypervisor:
            return self.fake

        settings = replace(self.settings, node_listen=f"127.0.0.1:{port}")
        self.running = await agent.begin(settings, own, driver, lambda _: connect(self.pools))
        return f"127.0.0.1:{self.running.port}"

    async def stop(self) -> None:
        if self.running is not None:
            await self.running.close()
            self.running = None


class Installation:
    """The controller's side. `now` is its clock."""

    def __init__(self, data: Path) -> None:
        self.data = data
        self.now = 1_800_000_000.0
        self.hosts = NotedHosts()
        self._machines: list[Machine] = []

    async def open(self, **more: Any) -> None:
        file = self.data / "velocity.db"
        if not file.exists():
            file.write_bytes(migrated())
        self.database = Database(f"sqlite:///{file}")
        self.database.open()
        claim_own(self.database, UUID(int=1))
        fake, settings = FakeHypervisor(), Settings(data_dir=self.data, listen="127.0.0.1:8090", **more)
        self.hosts = NotedHosts()
        self.certainty = Certainty()
        self.membership = membership(
            settings,
            self.database,
            own_host(settings, FIRST_HOST, fake, connect(FakeHost())),
            Changes(),
            self.hosts,
            self.certainty,
            lambda: self.now,
        )
        await self.membership.open()

    async def close(self) -> None:
        await self.membership.close()
        await self.database.close()
        for one in self._machines:
            await one.stop()

    async def reopen(self) -> None:
        await self.membership.close()
        await self.database.close()
        await self.open()

    def machine(self, name: str) -> Machine:
        self._machines.append(made := Machine(self.data, name))
        return made

    async def token(self, host: int | None = None) -> str:
        return (await self.membership.joining.make_token(UNSET if host is None else host, [URL])).token

    async def join(self, name: str) -> tuple[Machine, HostId]:
        """A machine that has joined, and serves."""
        one, word = self.machine(name), await self.token()
        answer = await self.membership.joining.join(one.asks(word))
        address = await one.serve(one.accept(word, answer))
        await self.membership.set(SetNode(host=answer.host, address=address))
        await self.until(answer.host, lambda now: now.state == "online")
        return one, HostId(answer.host)

    async def until(self, host: int, holds: Callable[[NodeInfo], bool]) -> NodeInfo:
        return await asked_until(lambda: self.membership.show(host), holds)
