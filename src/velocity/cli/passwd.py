"""`velocity passwd`: sets a password in the data directory, without the server."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

import click

from velocity import installation
from velocity.access.passwords import Passwords
from velocity.access.rules import User
from velocity.cli import password
from velocity.cli.words import clean
from velocity.config import ConfigError, Settings, load
from velocity.store.access import SqlAccess


@click.command()
@click.argument("name", default="root")
@password.STDIN
def passwd(name: str, password_stdin: bool) -> None:
    """Set the password of the user NAME (root) in the data directory. The server must not be running."""
    try:
        settings = load()
    except ConfigError as error:
        raise click.ClickException(str(error)) from None
    if not (settings.data_dir if settings.database else settings.data_dir / "velocity.db").exists():
        raise click.ClickException(
            f"there is no installation in {settings.data_dir}: set VELOCITY_DATA_DIR to its data directory"
        )
    try:
        lock = installation.leadership(settings)  # no server starts from here on
        try:
            user = asyncio.run(_found(settings, name))
            chosen = password.new(
                password_stdin, f"New password of {clean(name)}"
            )  # no loop: it would hold Ctrl-C back
            asyncio.run(_set(settings, user, chosen))
        finally:
            lock.close()
    except installation.CannotStart as error:
        raise click.ClickException(str(error)) from None
    click.echo(f"the password of {clean(name)} is set; all sessions of the user have ended", err=True)


async def _found(settings: Settings, name: str) -> User:
    async with _opened(settings) as store:
        found = [user for user in store.load().users if user.name == name]
    if not found:
        raise click.ClickException(f"there is no user named {clean(name)!r}")
    return found[0]


async def _set(settings: Settings, user: User, chosen: str) -> None:
    async with _opened(settings) as store:
        await store.change_user(user.uid, await Passwords().hash(chosen, user.name), user.home)


@contextlib.asynccontextmanager
async def _opened(settings: Settings) -> AsyncIterator[SqlAccess]:
    database = installation.database_of(settings)
    try:
        installation.open_database(database)
        yield SqlAccess(database)
    finally:
        await database.close()
