"""A real HTTP server over the fake hypervisor, in a thread, and the command line against it."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from click.testing import CliRunner, Result

from tests.api.world import PASSWORD, quick_passwords
from tests.metrics.times import Hands
from velocity import app
from velocity.api.server import Protocol, Server, Sockets
from velocity.cli.main import velocity
from velocity.cli.output import complain
from velocity.client import Client, ClientError
from velocity.config import Settings
from velocity.hypervisor.fake import FakeHypervisor
from velocity.media.service import Library


@dataclass
class Host:
    url: str
    key: str
    data: Path
    hypervisor: FakeHypervisor
    environment: dict[str, str]
    app: app.App
    look: Callable[[], None]
    """Ten seconds pass, and the VMs are measured."""

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
    **settings: Any,
) -> Iterator[Host]:
    """A server on that directory; the guests of `fake` outlive it. `hands` hold the time of its metrics.

    Without a password it makes one, and a link, as at any first start.
    """
    fake = fake or FakeHypervisor()
    hands = hands or Hands()
    ready = threading.Event()
    listener = socket.create_server(("127.0.0.1", 0))
    running: list[uvicorn.Server] = []
    apps: list[app.App] = []
    looks: list[Callable[[], None]] = []

    async def factory(_library: Library) -> FakeHypervisor:
        return fake

    async def serve() -> None:
        chosen = Settings(data_dir=data, root_password=root_password, **settings)
        built = await app.build(chosen, factory, passwords=quick_passwords(), times=hands.times())
        loop = asyncio.get_running_loop()
        metrics = built.services.metrics
        looks.append(lambda: asyncio.run_coroutine_threadsafe(hands.look(metrics), loop).result(10))
        config = uvicorn.Config(
            built.asgi, http=Protocol, lifespan="off", log_level="error", ws=Sockets,
            timeout_graceful_shutdown=5,
        )  # fmt: skip
        server = Server(config, built.services.events.end)
        running.append(server)
        apps.append(built)
        ready.set()
        await server.serve(sockets=[listener])
        await built.close()

    thread = threading.Thread(target=lambda: asyncio.run(serve()))
    thread.start()
    assert ready.wait(10)
    url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    with Client(url) as client:
        key = client.sign_in(name="root", password=apps[0].root_password or root_password).authkey
    environment = {
        "VELOCITY_SERVER": url,
        "VELOCITY_AUTHKEY": key,
        "XDG_CONFIG_HOME": str(data.parent / "config"),
        "VELOCITY_DATA_DIR": str(data),
        "COLUMNS": "200",
    }
    try:
        yield Host(url, key, data, fake, environment, apps[0], looks[0])
    finally:
        running[0].should_exit = True
        thread.join()
        listener.close()
