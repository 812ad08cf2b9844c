"""`velocity passwd`: sets a password in the data directory, without the server."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import click

from velocity import installation
from velocity.access.passwords import Passwords
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
        asyncio.run(_set(settings, name, lambda: password.new(password_stdin, f"New password of {clean(name)}")))
    except installation.CannotStart as error:
        raise click.ClickException(str(error)) from None
    click.echo(f"the password of {clean(name)} is set; all sessions of the user have ended", err=True)


async def _set(settings: Settings, name: str, ask: Callable[[], str]) -> None:
    """Asks for the password once it is certain that it can be set; no server starts until then."""
    lock = installation.leadership(settings)
    database = installation.database_of(settings)
    try:
        installation.open_database(database)
        store = SqlAccess(database)
        found = [user for user in store.load().users if user.name == name]
        if not found:
            raise click.ClickException(f"there is no user named {clean(name)!r}")
        await store.change_user(found[0].uid, await Passwords().hash(ask(), name), found[0].home)
    finally:
        await database.close()
        lock.close()
