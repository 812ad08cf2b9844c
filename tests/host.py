"""A real HTTP server over the fake hypervisor, in a thread, and the command line against it."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from click.testing import CliRunner, Result

from tests.answers import noting
from tests.api.world import PASSWORD, prepare, quick_passwords
from tests.metrics.times import Hands
from tests.patience import PATIENCE, at_last
from velocity import app
from velocity.api import tls
from velocity.api.server import Protocol, Server
from velocity.api.websocket import WebSocketProtocol
from velocity.cli import own_server
from velocity.cli.main import velocity
from velocity.cli.output import complain
from velocity.client import Client, ClientError
from velocity.config import Settings
from velocity.hosts.port import Attaching
from velocity.hypervisor.fake import FakeHypervisor
from velocity.storage.port import MediaFiles
from velocity.store.database import Database


@dataclass
class Host:
    settings: Settings
    key: str
    hypervisor: FakeHypervisor
    environment: dict[str, str]
    app: app.App
    look: Callable[[], None]
    """Ten seconds pass, and the VMs are measured."""
    loop: asyncio.AbstractEventLoop

    @property
    def url(self) -> str:
        return self.settings.base_url

    @property
    def data(self) -> Path:
        return self.settings.data_dir

    def say(self, words: bytes) -> None:
        """The only guest that runs says something on its serial console."""
        (run,) = self.hypervisor.runs.values()
        self.loop.call_soon_threadsafe(run.say, words)

    def run(self, *words: str, typed: str | None = None, **environment: str) -> Result:
        """The command line, as `main` calls it: the exit status is the process's."""
        result = CliRunner().invoke(velocity, words, input=typed, env=self.environment | environment)
        if isinstance(result.exception, ClientError):
            result.exit_code = complain(result.exception)
        return result

    def ok(self, *words: str, typed: str | None = None) -> str:
        result = self.run(*words, typed=typed)
        assert result.exit_code == 0, (result.output, result.stderr, result.exception)
        return result.stdout


@pytest.fixture
def host(tmp_path: Path) -> Iterator[Host]:
    with hosting(tmp_path / "data") as made:
        yield made


@contextmanager
def hosting(
    data: Path,
    fake: FakeHypervisor | None = None,
    hands: Hands | None = None,
    root_password: str = PASSWORD,
    attach: Callable[[Database, Attaching], Awaitable[None]] | None = None,
    **more: Any,
) -> Iterator[Host]:
    """A server on that directory; the guests of `fake` outlive it. `hands` hold the time of its metrics,
    and `attach` tells of other hosts.

    Without a password it makes one, and a link, as at any first start; the command line is then its owner's, who has
    the key file.
    """
    fake = fake or FakeHypervisor()
    hands = hands or Hands()
    ready, over = threading.Event(), threading.Event()
    listener = socket.create_server(("127.0.0.1", 0))
    begun: list[tuple[uvicorn.Server, app.App, Callable[[], None], asyncio.AbstractEventLoop]] = []
    listens = f"127.0.0.1:{listener.getsockname()[1]}"
    settings = Settings(data_dir=data, root_password=root_password, listen=listens, **more)

    prepare(settings)

    async def factory(_media: MediaFiles) -> FakeHypervisor:
        return fake

    async def serve() -> None:
        shown = tls.Certificate(settings.tls_cert, settings.tls_key) if settings.tls_cert else None
        built = await app.build(
            settings, factory, passwords=quick_passwords(), times=hands.times(), certificate=shown, attach=attach
        )
        loop = asyncio.get_running_loop()
        metrics = built.services.metrics

        def look() -> None:
            asyncio.run_coroutine_threadsafe(hands.look(metrics), loop).result(PATIENCE)

        config = uvicorn.Config(
            noting(built.asgi), http=Protocol, lifespan="off", log_level="error", ws=WebSocketProtocol,
            timeout_graceful_shutdown=5,
        )  # fmt: skip
        services = built.services
        find, turns = services.access.sessions.find, services.turns
        server = Server(config, services.events.readers.end, find, turns, tls=shown.context if shown else None)
        begun.append((server, built, look, loop))
        if over.is_set():  # nobody waits for it any more
            server.should_exit = True
        own = own_server.listen(settings)
        ready.set()
        await server.serve(sockets=[listener, own])
        own_server.withdraw(settings)
        await built.close()

    thread = threading.Thread(target=lambda: asyncio.run(serve()))
    thread.start()
    try:
        at_last(lambda: ready.is_set() or not thread.is_alive(), "the server")
        server, built, look, loop = begun[0]
        environment = {
            "XDG_CONFIG_HOME": str(data.parent / "config"),
            "VELOCITY_DATA_DIR": str(data),
            "COLUMNS": "200",
        }
        key = settings.key_file.read_text().strip()
        if root_password:
            with own_server.way(settings) as way, Client(settings.base_url, uds=way) as client:
                key = client.sign_in(name="root", password=root_password).authkey
            environment |= {"VELOCITY_SERVER": settings.base_url, "VELOCITY_AUTHKEY": key}
        else:
            environment |= {"VELOCITY_LISTEN": listens}
        yield Host(settings, key, fake, environment, built, look, loop)
    finally:  # also where it has not come so far: its thread would keep the process of the tests from ending
        over.set()
        for server, *_ in begun:
            server.should_exit = True
        thread.join()
        listener.close()
