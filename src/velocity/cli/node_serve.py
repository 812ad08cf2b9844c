"""`velocity node serve`: serves this machine's VMs and pools to the server that it has joined."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import click
import msgspec

from velocity import priority
from velocity.cli.process import (
    bound_umask,
    heard_by_systemd,
    keep_memory,
    logging_to_stderr,
    raise_file_limit,
    tell_systemd,
    warn_of_foreign,
)
from velocity.config import ConfigError, Settings, load
from velocity.file_lock import Busy, FileLock
from velocity.hypervisor.port import Hypervisor, HypervisorError, HypervisorFactory
from velocity.node import agent, identity, places
from velocity.node.identity import NodeIdentity
from velocity.storage.declared import directories
from velocity.storage.port import MediaFiles, Storage

ARENAS = 1
"""A buffer goes through several threads of gRPC: each would keep 64 MiB and more for itself."""


@click.command()
@click.option("--config", "file", type=click.Path(dir_okay=False, path_type=Path), help="The settings file (TOML).")
def serve(file: Path | None) -> None:
    """Serve this machine to the server that it has joined. Ctrl-C ends this only: guests keep running."""
    try:
        settings = load(file)
    except ConfigError as error:
        raise click.ClickException(str(error)) from None
    warn_of_foreign()
    run(settings)


def run(settings: Settings) -> None:
    """Serve until a signal. Raises `ClickException`."""
    for number in (signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2):
        signal.signal(number, lambda *_: None)  # not SIG_IGN, which the programs that we start would inherit
    keep_memory(ARENAS)
    raise_file_limit()
    bound_umask()
    with logging_to_stderr(), locked(settings):
        own = joined(settings)
        try:
            serving = serve_node(settings, own, lambda media: driver(settings, media), directories)
            asyncio.run(heard_by_systemd(serving))
        except (HypervisorError, RuntimeError) as error:
            raise click.ClickException(_words(settings, error)) from None
        except msgspec.DecodeError as error:
            file = places.term(settings.data_dir)
            raise click.ClickException(f"{file} cannot be read ({error}): let this node join again") from None
        except OSError as error:
            raise click.ClickException(f"{error.filename or settings.data_dir}: {error.strerror}") from None


def joined(settings: Settings) -> NodeIdentity:
    """This machine's identity as a node. Raises `ClickException` if it has joined no server."""
    try:
        own = identity.read(settings.data_dir)
    except (OSError, msgspec.MsgspecError) as error:
        raise click.ClickException(
            f"this node's identity cannot be read ({error}): let it join again (velocity node join)"
        ) from None
    if own is None:
        raise click.ClickException(
            f"this machine has not joined a server (there is no node in {settings.data_dir}): "
            "make a token there (velocity node token), and give it to `velocity node join` here"
        )
    return own


@contextlib.contextmanager
def locked(settings: Settings) -> Iterator[None]:
    """The lock of the data directory. Raises `ClickException`."""
    settings.data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    lock = FileLock(settings.data_dir / "lock")
    try:
        lock.take()
    except Busy:
        raise click.ClickException(
            f"a Velocity server or node runs on {settings.data_dir} already: stop it first (systemctl stop "
            "velocity-node, or velocity); a machine is the one or the other"
        ) from None
    try:
        yield
    finally:
        lock.close()


async def serve_node(
    settings: Settings, own: NodeIdentity, hypervisor: HypervisorFactory, storage: Callable[[Settings], Storage]
) -> None:
    running = await agent.begin(settings, own, hypervisor, storage)
    try:
        ended = asyncio.Event()
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGQUIT):
            asyncio.get_running_loop().add_signal_handler(number, ended.set)
        gc.collect()
        gc.freeze()
        priority.lower_session()
        host = settings.node_listen.rpartition(":")[0]
        with contextlib.suppress(OSError):  # nobody reads it any more
            click.echo(f"The node {own.name} serves on {host}:{running.port}   (data: {settings.data_dir})")
            sys.stdout.flush()
        tell_systemd("READY=1")
        await ended.wait()
    finally:
        await running.close()
    with contextlib.suppress(OSError):
        click.echo("\nThe node has ended; its guests keep running.", err=True)


async def driver(settings: Settings, media: MediaFiles) -> Hypervisor:
    from velocity.hypervisor.qemu.driver import QemuHypervisor
    from velocity.hypervisor.qemu.options import options

    driver = QemuHypervisor(options(settings), media)
    await driver.prepare()
    return driver


def _words(settings: Settings, error: Exception) -> str:
    if isinstance(error, HypervisorError) or "bind" not in str(error).lower():
        return str(error)
    return (
        f"cannot listen on {settings.node_listen}: stop the program that uses this address, or choose another one "
        "(`node_listen`, VELOCITY_NODE_LISTEN)"
    )
