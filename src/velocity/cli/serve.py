"""`velocity serve`: the server in the foreground."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import gc
import ipaddress
import logging
import signal
import socket
import sys
from pathlib import Path

import click
import msgspec
import uvicorn
import uvloop
from argon2.exceptions import HashingError

from velocity import app, priority
from velocity.api import tls
from velocity.api.bounds import RequestLimits
from velocity.api.page import INDEX, STATIC
from velocity.api.server import Protocol, Server
from velocity.api.websocket import WebSocketProtocol
from velocity.cli import own_server
from velocity.cli.process import (
    NO_ROOM,
    bound_umask,
    heard_by_systemd,
    keep_memory,
    logging_to_stderr,
    raise_file_limit,
    tell_systemd,
    warn_of_foreign,
    work_threads,
)
from velocity.config import ConfigError, Settings, load
from velocity.hypervisor.port import HypervisorError
from velocity.hypervisor.qemu.driver import QemuHypervisor
from velocity.hypervisor.qemu.options import options
from velocity.installation import displaced
from velocity.media.catalogue import CatalogueError
from velocity.metrics.loop import LoopWatchdog
from velocity.storage.directory.threads import AT_ONCE
from velocity.storage.port import MediaFiles

log = logging.getLogger(__name__)

GRACE = 5
"""Seconds for open requests at the end."""
LISTEN_CURES = {
    errno.EADDRINUSE: "stop the program that uses this address",
    errno.EADDRNOTAVAIL: "this host has no such address",
    errno.EACCES: "ports below 1024 need root",
}


@click.command()
@click.option("--config", "file", type=click.Path(dir_okay=False, path_type=Path), help="The settings file (TOML).")
@click.option("--standby", is_flag=True, help="Wait while another server leads the database, then take over.")
def serve(file: Path | None, standby: bool) -> None:
    """Start the server. Ctrl-C ends the server only: guests keep running."""
    try:
        settings = load(file)
        settings = msgspec.structs.replace(settings, standby=standby or settings.standby)
    except ConfigError as error:
        raise click.ClickException(str(error)) from None
    warn_of_foreign()
    for number in (signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2):
        signal.signal(number, lambda *_: None)  # not SIG_IGN, which the programs that we start would inherit
    keep_memory()
    raise_file_limit()
    bound_umask()
    try:
        with logging_to_stderr():
            uvloop.run(heard_by_systemd(_serve(settings)))
    except StartError as error:
        raise (GaveWay if displaced(settings.data_dir) else click.ClickException)(str(error)) from None
    except (RuntimeError, MemoryError, HashingError) as error:
        if isinstance(error, RuntimeError) and "start new thread" not in str(error):
            raise
        raise click.ClickException(NO_ROOM) from None


class GaveWay(click.ClickException):
    """The server gave way to another one: restarting it is useless. sysexits(3)"""

    exit_code = 78


class StartError(Exception):
    """The server cannot start, or continue; the message has the cure."""


async def _serve(settings: Settings) -> None:
    async def hypervisor(media: MediaFiles) -> QemuHypervisor:
        driver = QemuHypervisor(options(settings), media)
        await driver.prepare()
        return driver

    try:
        certificate = tls.Certificate(settings.tls_cert, settings.tls_key) if settings.tls_cert else None
    except tls.BadCertificate as error:
        raise StartError(str(error)) from None
    listener = _listen(settings)
    if settings.standby and not await _stand_by(settings, listener, certificate):
        return
    gc.disable()  # with 10,000 VMs, collections would take a third of the start, and free nothing
    try:
        asyncio.get_running_loop().set_default_executor(work_threads(of_pools=AT_ONCE * len(settings.media_pools) + 1))
        built = await app.build(settings, hypervisor, certificate=certificate)
    except (app.CannotStart, HypervisorError, CatalogueError) as error:
        listener.close()
        raise StartError(str(error)) from None
    except OSError as error:
        raise StartError(f"{error.filename or settings.data_dir}: {error.strerror}") from None
    gc.freeze()  # what is loaded stays; with 10,000 VMs, each full collection would hold the loop for 0.2 seconds
    gc.enable()
    priority.lower_session()
    config = uvicorn.Config(
        built.asgi,
        lifespan="off",
        log_level="warning",
        access_log=False,
        server_header=False,
        http=Protocol,
        ws=WebSocketProtocol,
        ws_max_size=1 << 20,
        timeout_graceful_shutdown=GRACE,
    )
    bounds = RequestLimits(trusted=tuple(settings.proxies))
    services = built.services
    find, turns = services.access.sessions.find, services.turns
    server = Server(
        config, services.events.readers.end, find, turns, bounds, certificate.context if certificate else None
    )
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGQUIT):
        loop.add_signal_handler(number, server.end)
    loop.add_signal_handler(signal.SIGHUP, _reload, certificate)
    loop.call_soon(greet, settings, built)
    watch = LoopWatchdog(built.services.lag, stacks=settings.log_stalls)
    try:
        watch.open()
        built.database.watch(server.end)
        await server.serve(sockets=[listener, *_own_sockets(settings)])
    finally:
        watch.close()
        own_server.withdraw(settings)
        running = await built.close()
        what = "no guest is running" if not running else f"{running} guest{'s' if running > 1 else ''} still running"
        with contextlib.suppress(OSError):  # nobody reads stderr any more
            click.echo(f"\nThe server has ended; {what}.", err=True)
    if built.database.lost:
        raise StartError(
            displaced(settings.data_dir)
            or "another server has taken over the database: stop one of the two, or give it a database of its own"
        )


async def _stand_by(settings: Settings, listener: socket.socket, certificate: tls.Certificate | None) -> bool:
    from velocity.cli.standby import stand_by  # loads gRPC, which a server that leads alone does not need

    leads = False
    gc.enable()  # this may last for days
    try:
        leads = await stand_by(settings, listener, certificate)
    except (app.CannotStart, HypervisorError) as error:
        raise StartError(str(error)) from None
    finally:
        if not leads:
            listener.close()
    return leads


def _reload(certificate: tls.Certificate | None) -> None:
    """Reload what can change while the server runs: the certificate. An unusable one changes nothing."""
    if certificate is None:
        log.info("SIGHUP: nothing to reload, as there is no certificate; all other settings are read at the start")
        return
    try:
        certificate.renew()
    except tls.BadCertificate as error:
        log.error("the certificate was not renewed: %s", error)
    else:
        log.info("the certificate was renewed")


def _listen(settings: Settings) -> socket.socket:
    host, port = settings.address
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        listener = socket.socket(family, kind, protocol)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(2048)
    except OSError as error:
        cure = LISTEN_CURES.get(error.errno or 0, "correct it")
        raise StartError(
            f"cannot listen on {settings.listen} ({error.strerror}): {cure}, or choose another address (`listen`, "
            "VELOCITY_LISTEN)"
        ) from None
    with contextlib.suppress(ValueError):
        if not ipaddress.ip_address(address[0]).is_loopback and not settings.tls_cert:
            click.secho(
                f"warning: {settings.listen} is open to the network without TLS: passwords and authkeys can be read "
                "on the way. Set tls_cert and tls_key.",
                fg="yellow",
                err=True,
            )
    return listener


def _own_sockets(settings: Settings) -> list[socket.socket]:
    """The sockets for the command line of this account; none if the file system does not support them."""
    try:
        return [own_server.listen(settings)]
    except OSError as error:
        log.warning(
            "the command line on this machine has to connect to %s, as its socket cannot be used: %s",
            settings.base_url,
            error,
        )
        return []


def greet(settings: Settings, built: app.App) -> None:
    facts = built.hypervisor.hosts.about(built.hosts.hosts.own.host)
    lines = [f"Velocity serves on {settings.base_url}   (data: {settings.data_dir})"]
    if built.root_password is not None:
        lines.append(f"User root, password {built.root_password}   (shown once)")
        lines.append(f"Or open {settings.base_url}/#/welcome/{built.welcome}   (works once, within a day)")
    lines.append(f"{facts.hypervisor}, accelerator {facts.accelerator}: {facts.accelerator_reason}")
    if not (STATIC / INDEX).exists():
        lines.append("The web page is not built: `make web` says why. The API and the command line need none.")
    lines.append(f"Next, in a second terminal: {own_server.command(settings)} demo")
    with contextlib.suppress(OSError):  # nobody reads stderr any more
        click.echo("\n".join(lines))
        sys.stdout.flush()
    tell_systemd("READY=1")
