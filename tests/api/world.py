"""A whole server in memory: the real application over the fake hypervisor, without sockets."""

from __future__ import annotations

import asyncio
import functools
import json
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
from argon2 import PasswordHasher

from tests.answers import noting
from tests.api.asking import ask
from tests.patience import PATIENCE
from velocity import app
from velocity.access.passwords import Passwords
from velocity.app import StorageFactory
from velocity.config import NicSetting, Settings
from velocity.events.limits import StreamLimits
from velocity.fetching.port import Source
from velocity.hosts.port import Attaching
from velocity.hypervisor.fake import FakeHypervisor
from velocity.hypervisor.port import Hypervisor, HypervisorFactory
from velocity.machines.port import MachineStore
from velocity.metrics.service import Times
from velocity.storage.directory.files import PoolFiles
from velocity.storage.directory.images import Images
from velocity.storage.directory.jobs import DirectoryJobs
from velocity.storage.directory.places import MARK
from velocity.storage.directory.storage import DirectoryStorage
from velocity.storage.port import MediaFiles
from velocity.store.database import Database
from velocity.store.machines import SqlMachines

PASSWORD = "correct horse"


def quick_passwords() -> Passwords:
    """argon2id at its smallest: the tests are not about its cost."""
    return Passwords(PasswordHasher(time_cost=1, memory_cost=8, parallelism=1))


@dataclass
class Answer:
    status: int
    body: dict[str, Any]

    @property
    def code(self) -> int:
        return int(self.body["code"])

    def __getitem__(self, name: str) -> Any:
        return self.body[name]


@dataclass
class World:
    """`key` is root's; requests go with it unless another (or "" for none) is given."""

    server: app.App
    hypervisor: FakeHypervisor
    data: Path
    http: httpx.AsyncClient
    key: str = ""
    _users: dict[str, tuple[int, str]] = field(default_factory=dict)

    async def raw(self, method: str, path: str, content: Any = b"", **headers: str) -> Answer:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        status, said = await ask(self.server.asgi, method, path, content, named)
        return Answer(status, json.loads(said))

    async def call(self, method: str, path: str, /, _key: Any = None, **body: Any) -> Answer:
        key = self.key if _key is None else _key
        headers = {"authorization": f"Bearer {key}"} if key else {}
        return await self.raw(method, path, json.dumps(body).encode(), **headers)

    async def ok(self, method: str, path: str, /, _key: Any = None, **body: Any) -> Answer:
        answer = await self.call(method, path, _key, **body)
        assert answer.status == 200, answer
        return answer

    async def settle(self) -> None:
        """Returns when nothing is under way: what the guests did is heard, what was begun is done, written and told."""
        async with asyncio.timeout(PATIENCE):
            await self.hypervisor.heard()
            await self.server.settle()

    async def written(self) -> None:
        """Returns when the history is: what it writes is in nobody's count."""
        await self.server.services.history.settle()

    async def refused(
        self, method: str, path: str, /, _key: Any = None, _plan: Any = True, **body: Any
    ) -> tuple[int, int]:
        """How it is refused, as its plan is before; not where only the work itself finds out (`_plan`)."""
        plan = None if method == "POST" or not _plan else await self.call(method, path, _key, **body, plan=True)
        answer = await self.call(method, path, _key, **body)
        if plan is not None:
            assert (plan.status, plan.body) == (answer.status, answer.body), "what refuses a change refuses its plan"
        assert answer["error"] is True
        assert answer["message"] == answer["reason"]
        assert len(answer["message"]) > 5
        return answer.status, answer.code

    async def user(self, name: str, *grants: tuple[int, str], home: int = 0) -> str:
        """A user with these (gid, permission without its prefix), signed in: the authkey."""
        uid = (await self.ok("PUT", "/u/user", name=name, password=PASSWORD, gid=home))["uid"]
        for gid, permission in grants:
            await self.ok("PUT", "/u/user/permission", uid=uid, gid=gid, permission=f"velocity.{permission}")
        return str((await self.ok("POST", "/u/auth", "", name=name, password=PASSWORD))["authkey"])

    async def uid(self, name: str) -> int:
        users = (await self.ok("POST", "/u/user/list"))["users"]
        return next(int(one["uid"]) for one in users if one["name"] == name)

    async def group(self, name: str, parent: int = 0) -> int:
        return int((await self.ok("PUT", "/u/group", name=name, parent_gid=parent))["gid"])

    async def vm(self, name: str = "vm", gid: int = 0, **more: Any) -> int:
        body = {"name": name, "gid": gid, "cpus": 1, "memory_mib": 64, **more}
        return int((await self.ok("PUT", "/v/vm/efi", **body))["vmid"])

    async def medium(self, name: str = "disk", **more: Any) -> str:
        body = {"mpid": 1, "gid": 0, "name": name, "size": 1 << 20, **more}
        return str((await self.ok("PUT", "/m/media/create", **body))["mid"])

    async def upload(self, content: Any, _key: str | None = None, **headers: str) -> Answer:
        sent = {
            "x_velocity_authkey": self.key if _key is None else _key,
            "x_velocity_mpid": "1",
            "x_velocity_gid": "0",
            "x_velocity_name": "upload",
            "x_velocity_type": "ISO",
            "x_velocity_readonly": "false",
            **headers,
        }
        return await self.raw("PUT", "/m/media/upload", content, **{k: v for k, v in sent.items() if v is not None})

    def directory(self, mpid: int) -> PoolFiles:
        assert isinstance(self.server.storage, DirectoryStorage)
        return self.server.storage.directories.get(mpid).files

    @property
    def images(self) -> Images:
        """What the images of media are read with."""
        assert isinstance(self.server.storage.jobs, DirectoryJobs)
        return self.server.storage.jobs.images

    def files(self) -> list[str]:
        """Everything in the media pool but its mark, what comes and goes included."""
        pool = self.data / "media"
        files = [file for file in pool.rglob("*") if file.is_file() and file != pool / MARK]
        return sorted(str(file.relative_to(pool)) for file in files)


@functools.cache
def migrated() -> bytes:
    """An empty SQLite database as the migrations leave it: they take a tenth of a second, and are tested elsewhere."""
    with tempfile.TemporaryDirectory() as directory:
        file = Path(directory) / "velocity.db"
        database = Database(f"sqlite:///{file}")
        database.open()
        database.engine.dispose()
        return file.read_bytes()


def prepare(settings: Settings) -> None:
    """At the first start of an installation of its own, the tables are there."""
    file = settings.data_dir / "velocity.db"
    if not settings.database and not settings.data_dir.exists():
        settings.data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        file.touch(mode=0o600)
        file.write_bytes(migrated())


@asynccontextmanager
async def world(
    data: Path,
    hypervisor: FakeHypervisor | None = None,
    limits: StreamLimits | None = None,
    *,
    times: Times | None = None,
    signs_in: bool = True,
    driver: HypervisorFactory | None = None,
    machines: Callable[[Database], MachineStore] = SqlMachines,
    storage: StorageFactory = app.directories,
    source: Source | None = None,
    attach: Callable[[Database, Attaching], Awaitable[None]] | None = None,
    **settings: Any,
) -> AsyncIterator[World]:
    """`driver` makes another hypervisor than the fake one, `machines` another store of machines, `storage` another.

    `source` is where files are fetched from, in the place of the whole internet; `attach` tells of other hosts.
    """
    fake = hypervisor or FakeHypervisor()

    async def factory(media: MediaFiles) -> Hypervisor:
        return fake if driver is None else await driver(media)

    nics = [NicSetting(nicid=5, identifier="br0", description="a bridge")]
    chosen = Settings(**{"data_dir": data, "root_password": PASSWORD, "nics": nics, **settings})
    prepare(chosen)
    server = await app.build(
        chosen,
        factory,
        passwords=quick_passwords(),
        times=times,
        stream_limits=limits,
        machines=machines,
        storage=storage,
        source=source,
        attach=attach,
    )
    server.asgi = noting(server.asgi)
    try:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(server.asgi)) as http:
            made = World(server, fake, data, http)
            if signs_in:
                made.key = (await made.ok("POST", "/u/auth", "", name="root", password=PASSWORD))["authkey"]
            yield made
    finally:
        await server.close()
