"""`velocity serve`: the server in the foreground."""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import errno
import gc
import ipaddress
import logging
import mmap
import os
import queue
import signal
import socket
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from logging.handlers import QueueHandler, QueueListener
from pathlib import Path

import click
import uvicorn
import uvloop
from argon2.exceptions import HashingError

from velocity import app, priority
from velocity.api import tls
from velocity.api.bounds import RequestLimits
from velocity.api.page import INDEX, STATIC
from velocity.api.server import Protocol, Server, WebSocketProtocol
from velocity.cli import hints, own_server
from velocity.cli.words import clean
from velocity.config import PREFIX, ConfigError, Settings, foreign, load
from velocity.hypervisor.attached import OWN_HOST
from velocity.hypervisor.port import HypervisorError
from velocity.hypervisor.qemu.driver import QemuHypervisor
from velocity.hypervisor.qemu.options import options
from velocity.media.catalogue import CatalogueError
from velocity.metrics.loop import LoopWatchdog
from velocity.storage.directory.threads import AT_ONCE
from velocity.storage.port import MediaFiles

log = logging.getLogger(__name__)

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3
GRACE = 5
"""Seconds that open requests get at the end."""
GATHERED = 0.05
"""Seconds for which lines of the log gather."""

OTHER_THREADS = 8
"""The store's, the log's, the event loop's."""
STACK = 8 << 20
"""Bytes of address space that a thread takes."""
HEADROOM = 64 << 20

OF_KUBERNETES = (f"{PREFIX}PORT", f"{PREFIX}SERVICE_")
"""What every container beside a service called velocity gets."""
LISTEN_CURES = {
    errno.EADDRINUSE: "stop the program that uses this address",
    errno.EADDRNOTAVAIL: "this host has no such address",
    errno.EACCES: "ports below 1024 need root",
}

NO_ROOM = (
    "the server needs more threads (about twenty, and eight for each pool) or more memory (a few hundred MiB): raise "
    "the limits of its user (ulimit -u and -v; with systemd LimitNPROC=, TasksMax= and MemoryMax=; in a container its "
    "pids and memory limits)"
)


@click.command()
@click.option("--config", "file", type=click.Path(dir_okay=False, path_type=Path), help="The settings file (TOML).")
def serve(file: Path | None) -> None:
    """Start the server. Ctrl-C ends the server only: guests keep running."""
    try:
        settings = load(file)
    except ConfigError as error:
        raise click.ClickException(str(error)) from None
    _warn_of_foreign()
    for number in (signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2):
        signal.signal(number, lambda *_: None)  # not SIG_IGN, which the programs that we start would inherit
    _keep_memory()
    try:
        with logging_to_stderr():
            uvloop.run(_serve(settings))
    except StartError as error:
        raise click.ClickException(str(error)) from None
    except (RuntimeError, MemoryError, HashingError) as error:
        if isinstance(error, RuntimeError) and "start new thread" not in str(error):
            raise
        raise click.ClickException(NO_ROOM) from None


def _warn_of_foreign() -> None:
    """One of them may be a setting that is spelled wrong."""
    for name in foreign():
        near = hints.meant(name.removeprefix(PREFIX).lower(), Settings.__struct_fields__)
        if near or not name.startswith(OF_KUBERNETES):
            click.secho(f"warning: {clean(name)} is no setting, and is ignored{near}", fg="yellow", err=True)


class StartError(Exception):
    """The server cannot start, or go on; the message has the cure."""


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
    gc.disable()  # of 10,000 VMs it would take a third of what follows, and find nothing
    try:
        asyncio.get_running_loop().set_default_executor(work_threads(of_pools=AT_ONCE * len(settings.media_pools) + 1))
        built = await app.build(settings, hypervisor, certificate=certificate)
    except (app.CannotStart, HypervisorError, CatalogueError) as error:
        raise StartError(str(error)) from None
    except OSError as error:
        raise StartError(f"{error.filename or settings.data_dir}: {error.strerror}") from None
    gc.freeze()  # what is loaded stays: of 10,000 VMs, each full collection would hold the loop for 0.2 seconds
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
        with contextlib.suppress(OSError):  # nobody reads there any more
            click.echo(f"\nThe server has ended; {what}.", err=True)
    if built.database.lost:
        raise StartError(
            "another server has taken over the database: stop one of the two, or give it a database of its own"
        )


def _check_room(threads: int) -> None:
    """Raises `MemoryError`: a thread that finds no memory as it begins dies, and Python waits for it for ever."""
    try:
        mmap.mmap(-1, threads * STACK + HEADROOM).close()
    except OSError:
        raise MemoryError from None


def work_threads(of_pools: int) -> ThreadPoolExecutor:
    """All threads for files and hashes, started: if they cannot be had, no request meets that later.

    There is room for those `of_pools`, too, which storage starts.
    """
    count = min(32, (os.cpu_count() or 1) + 4)
    _check_room(count + of_pools + OTHER_THREADS)
    threads = ThreadPoolExecutor(count, "work")
    together = threading.Barrier(count + 1)
    try:
        for _ in range(count):
            threads.submit(together.wait)
    except BaseException:
        together.abort()
        raise
    together.wait()
    return threads


def _reload(certificate: tls.Certificate | None) -> None:
    """Read again what can be read while the server runs: the certificate. One that is wrong changes nothing."""
    if certificate is None:
        log.info("SIGHUP: nothing to reload, as there is no certificate; all other settings are read at the start")
        return
    try:
        certificate.renew()
    except tls.BadCertificate as error:
        log.error("the certificate was not renewed: %s", error)
    else:
        log.info("the certificate was renewed")


class _Journal(logging.Formatter):
    """A line with its priority in front, as a journal reads it; it knows the time itself. sd-daemon(3)"""

    def format(self, record: logging.LogRecord) -> str:
        priority = 3 if record.levelno >= logging.ERROR else 4 if record.levelno >= logging.WARNING else 6
        return "\n".join(f"<{priority}>{line}" for line in super().format(record).splitlines())


class _Queued(QueueHandler):
    """Hands lines on as they are: they stay in this process, and are made text in the thread that writes them."""

    def prepare(self, record: logging.LogRecord) -> logging.LogRecord:
        return record


class _Writer(QueueListener):
    """Writes together what comes together: a thread that wakes for each line takes the interpreter from a request."""

    queue: queue.SimpleQueue[logging.LogRecord]

    def dequeue(self, block: bool) -> logging.LogRecord:
        first = self.queue.empty()
        record = self.queue.get(block)
        if first and block:
            time.sleep(GATHERED)
        return record


@contextlib.contextmanager
def logging_to_stderr() -> Iterator[None]:
    """Log to stderr, from a thread: who reads there, or does not, holds up no request."""
    handler = logging.StreamHandler(sys.stderr)
    if os.environ.get("JOURNAL_STREAM"):
        handler.setFormatter(_Journal("%(name)s: %(message)s"))
    else:
        handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    lines: queue.SimpleQueue[logging.LogRecord] = queue.SimpleQueue()
    logging.basicConfig(level=logging.INFO, handlers=[_Queued(lines)])
    logging.getLogger("qemu.qmp").setLevel(logging.CRITICAL)
    logging.getLogger("alembic").setLevel(logging.WARNING)
    writer = _Writer(lines, handler)
    writer.start()
    try:
        yield
    finally:
        writer.stop()


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
    """For the command line of this machine and account; none where the file system has no sockets."""
    try:
        return [own_server.listen(settings)]
    except OSError as error:
        log.warning("the command line of this machine has to come by %s: %s", settings.base_url, error)
        return []


def greet(settings: Settings, built: app.App) -> None:
    facts = built.hypervisor.hosts.about(OWN_HOST)
    lines = [f"Velocity serves on {settings.base_url}   (data: {settings.data_dir})"]
    if built.root_password is not None:
        lines.append(f"User root, password {built.root_password}   (it is not shown again; `passwd` sets another)")
        lines.append(f"Or open {settings.base_url}/#/welcome/{built.welcome}   (works once, within a day)")
    lines.append(f"{facts.hypervisor}, accelerator {facts.accelerator}: {facts.accelerator_reason}")
    if not (STATIC / INDEX).exists():
        lines.append("The web page is not built: `make web` says why. The API and the command line need none.")
    lines.append(f"Next, in a second terminal: {own_server.command(settings)} demo")
    with contextlib.suppress(OSError):  # whoever read there has gone
        click.echo("\n".join(lines))
        sys.stdout.flush()
    _tell_systemd("READY=1")


def _tell_systemd(state: str) -> None:
    """Where it has started us. sd_notify(3)"""
    place = os.environ.get("NOTIFY_SOCKET", "")
    if place.startswith(("/", "@")):
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as way:
            way.sendto(state.encode(), place.replace("@", "\0", 1) if place.startswith("@") else place)


def _keep_memory() -> None:
    """Let glibc keep the buffers of uploads instead of mapping and unmapping each one. mallopt(3)"""
    with contextlib.suppress(OSError, AttributeError):
        libc = ctypes.CDLL(None)
        libc.mallopt(M_MMAP_THRESHOLD, 32 << 20)
        libc.mallopt(M_TRIM_THRESHOLD, 64 << 20)
