"""`velocity serve --standby`: while another server leads the database, this machine is a node of it.

A free lock means that nobody leads, if it is free twice: a server that loses its connection for a moment takes the lock
again in between.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
import socket
from collections.abc import AsyncIterator

import click
import uvicorn

from velocity.api import tls
from velocity.api.server import Protocol, Server
from velocity.api.standby import standing_by
from velocity.api.turns import Turns
from velocity.api.websocket import WebSocketProtocol
from velocity.cli import node_serve, own_server
from velocity.cli.process import tell_systemd
from velocity.config import Settings
from velocity.installation import CannotStart, check_known, database_of, is_led, leader_of
from velocity.node import identity
from velocity.storage.declared import directories
from velocity.store.database import Database

log = logging.getLogger(__name__)

EVERY = 1.0
"""Seconds between checks; a server that has lost its lock checks as often."""
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGQUIT)


class Standby:
    """A waiting standby. `leader` is the name of the host that leads."""

    def __init__(self, settings: Settings, database: Database) -> None:
        self._settings = settings
        self._database = database
        self._trouble = ""
        self.leader = ""
        self.ends = asyncio.Event()

    async def is_free(self) -> bool:
        """Whether the lock is free; not if the database does not respond. Raises `CannotStart` if we cannot lead."""
        try:
            if not await asyncio.to_thread(is_led, self._database):
                return True
            leader, trouble = await asyncio.to_thread(leader_of, self._database), ""
        except CannotStart as error:
            leader, trouble = "", str(error)
        if trouble and trouble != self._trouble:
            log.warning("standing by: %s", trouble)
        self.leader, self._trouble = leader, trouble
        return False

    async def wait(self) -> None:
        """Returns when nobody leads, or this process is to end."""
        free = 0
        while free < 2 and not self.ends.is_set():
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(EVERY):
                    await self.ends.wait()
            free = free + 1 if await self.is_free() else 0


async def stand_by(settings: Settings, listener: socket.socket, certificate: tls.Certificate | None) -> bool:
    """Returns True when nobody leads, False if this process is to end. Raises `CannotStart`, `ClickException`."""
    database = database_of(settings)
    if not settings.database.startswith("postgres"):
        raise CannotStart(
            "standing by needs a database that both servers reach: set `database` to a PostgreSQL one; with SQLite, "
            "`velocity promote` makes a host that keeps a copy the server"
        )
    try:
        with node_serve.locked(settings):
            waits = Standby(settings, database)
            if await waits.is_free():
                return True
            await asyncio.to_thread(check_known, settings, database)
            async with answering(settings, listener, certificate, waits), _node(settings, waits.ends):
                click.echo(f"This server stands by; the one of {waits.leader or 'another host'} leads.", err=True)
                tell_systemd("READY=1\nSTATUS=standing by")
                await waits.wait()
            return not waits.ends.is_set()
    finally:
        await database.close()


@contextlib.asynccontextmanager
async def answering(
    settings: Settings, listener: socket.socket, certificate: tls.Certificate | None, waits: Standby
) -> AsyncIterator[None]:
    """Within, the API responds that this server does not lead. A signal ends the wait; later, it ends the process."""
    config = uvicorn.Config(
        standing_by(lambda: waits.leader), lifespan="off", log_level="warning", access_log=False, server_header=False,
        http=Protocol, ws=WebSocketProtocol, timeout_graceful_shutdown=1,
    )  # fmt: skip
    server = Server(config, lambda: None, lambda _: None, Turns(), tls=certificate.context if certificate else None)
    for number in SIGNALS:
        asyncio.get_running_loop().add_signal_handler(number, waits.ends.set)
    sockets = [listener.dup()]
    with contextlib.suppress(OSError):
        sockets.append(own_server.listen(settings))
    serving = asyncio.create_task(server.serve(sockets=sockets))
    try:
        yield
    finally:
        server.end()
        await asyncio.wait({serving})
        own_server.withdraw(settings)
        for number in SIGNALS:  # otherwise one that comes before the server serves would be lost
            asyncio.get_running_loop().remove_signal_handler(number)


@contextlib.asynccontextmanager
async def _node(settings: Settings, ends: asyncio.Event) -> AsyncIterator[None]:
    """Within, this machine is a host of the leading server, if it has joined. `ends`: this process is to end."""
    own = identity.read(settings.data_dir)
    if own is None:
        log.warning(
            "this machine has not joined the server that leads, which cannot reach its guests: on that one, "
            "`velocity node token --again HOST`, and `velocity node join` here"
        )
        yield
        return
    from velocity.node import agent

    running = await agent.begin(settings, own, lambda media: node_serve.driver(settings, media), directories)
    try:
        yield
    finally:
        # Otherwise nobody leads any more: calls of the former leader wait for nobody, and are not waited for.
        await (running.close() if ends.is_set() else running.close(grace=0))
