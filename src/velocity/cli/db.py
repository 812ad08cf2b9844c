"""`velocity db`: export and import of the database."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import click

from velocity import durable, installation
from velocity.cli.lazy import Group
from velocity.cli.output_file import is_special, replacing
from velocity.cli.words import clean
from velocity.config import ConfigError, Settings, load
from velocity.store import transfer
from velocity.store.database import Database
from velocity.store.errors import DatabaseError

T = TypeVar("T")


@click.group(cls=Group)
def db() -> None:
    """The database of this installation: everything except the bytes of media and firmware variables."""


CONFIG = click.option(
    "--config", "config", type=click.Path(dir_okay=False, path_type=Path), help="The settings file (TOML)."
)


@db.command("export")
@click.argument("file", type=click.Path(path_type=Path))
@CONFIG
def export(file: Path, config: Path | None) -> None:
    """Write everything to FILE (`-` for standard output). The server may be running.

    The file holds the hashes of passwords and authkeys: it is made readable to you alone.
    """
    settings = _settings(config)
    if not settings.database and not (settings.data_dir / "velocity.db").exists():
        raise click.ClickException(
            f"there is no installation in {settings.data_dir}: set VELOCITY_DATA_DIR to its data directory"
        )
    lines = _with(settings, transfer.export)
    data = b"".join(line + b"\n" for line in lines)
    if str(file) == "-":
        sys.stdout.buffer.write(data)
        sys.stdout.buffer.flush()
    elif is_special(file):
        with replacing(file) as out:
            out.write(data)
    else:
        durable.write(file.resolve(), data)
    click.echo(f"exported {len(lines) - 2} rows; a complete backup also needs these directories:", err=True)
    for directory, what in _beside(settings, "; stop the VMs that write there first"):
        click.echo(f"  {clean(directory)}  ({what})", err=True)


@db.command("import")
@click.argument("file", type=click.Path(path_type=Path))
@CONFIG
def import_(file: Path, config: Path | None) -> None:
    """Fill an empty database with the content of FILE (`-` for standard input). No server may be using it."""
    settings = _settings(config)
    data = sys.stdin.buffer.read() if str(file) == "-" else file.read_bytes()

    def work(database: Database) -> int:
        lock = installation.leadership(settings)
        try:
            installation.open_database(database)
            return transfer.load(database, data.splitlines())
        finally:
            lock.close()

    settings.data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    try:
        count = _with(settings, work)
    except transfer.TransferError as error:
        raise click.ClickException(f"{clean(file)}: {error}") from None
    click.echo(f"imported {count} rows; before the server starts, these directories have to be in place:")
    for directory, what in _beside(settings):
        click.echo(f"  {clean(directory)}  ({what})")


def _beside(settings: Settings, before: str = "") -> list[tuple[Path, str]]:
    """What else belongs to an installation beside its database, and what it contains; of pools what to do `before`."""
    return [
        (settings.data_dir / "machines", "firmware variables and logs of the VMs"),
        (settings.data_dir / "firmware", "the firmware builds that VMs use"),
        (settings.data_dir / "pools", "the identities of the pools"),
        *(
            (pool.path, f"the media of pool {clean(pool.name)}{before}")
            for pool in settings.media_pools
            if pool.kind == "directory"
        ),
    ]


def _settings(config: Path | None) -> Settings:
    try:
        return load(config)
    except ConfigError as error:
        raise click.ClickException(str(error)) from None


def _with(settings: Settings, work: Callable[[Database], T]) -> T:
    try:
        database = installation.database_of(settings)
        try:
            return work(database)
        finally:
            asyncio.run(database.close())
    except (installation.CannotStart, DatabaseError) as error:
        raise click.ClickException(str(error)) from None
