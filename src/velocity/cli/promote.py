"""`velocity promote`: this machine becomes the server of its installation."""

from __future__ import annotations

import shlex
import time
from pathlib import Path

import click
import msgspec

from velocity import promotion
from velocity.cli import own_server
from velocity.cli.node_serve import locked
from velocity.cli.output import answerable
from velocity.cli.waiting import waiting
from velocity.cli.words import called, clean, moment
from velocity.client import ApiError, Client, ClientError
from velocity.config import ConfigError, Settings, load
from velocity.hosts.members import Member
from velocity.installation import CannotStart
from velocity.node import identity
from velocity.node.copies import CopyNote
from velocity.node.identity import NodeIdentity


@click.command()
@click.option("--config", "file", type=click.Path(dir_okay=False, path_type=Path), help="The settings file (TOML).")
@click.option("--as", "named", metavar="HOST", help="Take the place of this host, which is gone.")
@click.option("--force", is_flag=True, help="Promote even though a server answers at the former address.")
@click.option("--yes", is_flag=True, help="Do not ask for confirmation.")
def promote(file: Path | None, named: str | None, force: bool, yes: bool) -> None:
    """Make this machine the server.

    On a node whose server is gone, it uses the copy of the database that the node keeps (`velocity node set HOST
    --keeps-copy`). On a server that gave way to another one, or with a database that was moved here, it uses that
    machine's own database.
    """
    try:
        settings = load(file)
        with locked(settings):
            was = identity.read(settings.data_dir)
            own = _by_own(settings, named, yes) if was is None else _by_copy(settings, was, force, yes)
    except (ConfigError, CannotStart) as error:
        raise click.ClickException(str(error)) from None
    except msgspec.MsgspecError as error:
        raise click.ClickException(f"{settings.data_dir / 'node'} cannot be read: {error}") from None
    except OSError as error:
        raise click.ClickException(f"{error.filename or settings.data_dir}: {error.strerror}") from None
    click.echo(f"this machine is now the server, as the host {clean(own.name)}", err=True)
    command = own_server.command(settings) if file is None else called()
    config = "" if file is None else f" --config {shlex.quote(str(file))}"
    click.echo(f"to run it in the foreground: {command} serve{config}", err=True)
    click.echo("to run it as a service:", err=True)
    click.echo(
        f"systemctl disable --now velocity-node; {command} service install{config} && systemctl daemon-reload && "
        "systemctl enable --now velocity.service velocity-guests.service"
    )


def _by_copy(settings: Settings, was: NodeIdentity, force: bool, yes: bool) -> Member:
    if settings.database:
        raise click.ClickException(
            "`database` is set: with PostgreSQL a second server stands by (`velocity serve --standby`), without a copy"
        )
    copy = promotion.newest_copy(settings.data_dir)
    if copy is None:
        raise click.ClickException(
            "this host keeps no copy of the database (on the server, `velocity node set HOST --keeps-copy` lets it): "
            "restore a backup instead (velocity db import, docs/backup.md)"
        )
    with waiting(f"looking for a server at {clean(', '.join(was.controllers))}"):
        answering = [url for url in was.controllers if _answers(url)]
    if answering and not force:
        raise click.ClickException(
            f"a server answers at {clean(answering[0])}: stop it for good there (systemctl disable --now velocity), or "
            "say --force if that is not the server of this node"
        )
    _tell(was, copy, answering)
    _confirm(yes)
    return promotion.promote_node(settings, was, copy)


def _tell(was: NodeIdentity, copy: CopyNote, answering: list[str]) -> None:
    at = moment(copy.at)
    age = max(0, int(time.time() - copy.at))
    silent = "No server answers at the former address; this machine cannot know whether it is still running."
    heard = f"A server answers at {clean(', '.join(answering))}." if answering else silent
    click.echo(
        f"{clean(was.name)} becomes the server, with the database as of {at} ({_words(age)} ago).\n"
        "- Changes made since then are lost. VMs and media created since then have no entry; their files remain.\n"
        f"- {heard}\n"
        "- VMs of the former server's own host are shown as unreachable. They may be running: start none of them "
        "elsewhere until you are sure that the machine is off.\n"
        "- The former server ends by itself when it reaches this machine again. Until then it continues to lead its "
        "own host.",
        err=True,
    )


def _words(seconds: int) -> str:
    for size, word in ((86_400, "days"), (3600, "hours"), (60, "minutes")):
        if seconds >= 2 * size:
            return f"{seconds // size} {word}"
    return f"{seconds} seconds"


def _by_own(settings: Settings, named: str | None, yes: bool) -> Member:
    if not settings.database and not (settings.data_dir / "velocity.db").exists():
        raise click.ClickException(
            f"there is neither a node nor a database in {settings.data_dir}: set VELOCITY_DATA_DIR to the right one"
        )
    click.echo(
        "This machine leads, with its own database"
        + (f", in the place of the host {clean(named)}. " if named else ". ")
        + "Hosts refuse the server that led meanwhile, and changes made there are lost: stop it for good before this.",
        err=True,
    )
    _confirm(yes)
    return promotion.promote_server(settings, named)


def _confirm(yes: bool) -> None:
    if yes:
        return
    with answerable("`--yes` answers it"):
        sure = click.confirm("Continue?", err=True)
    if not sure:
        raise click.ClickException("nothing was changed")


def _answers(url: str) -> bool:
    """Whether any server responds. The connection need not be trusted for that."""
    try:
        with Client(url, verify=False) as client:
            client.list_nodes()
    except ApiError:
        return True
    except ClientError:
        return False
    return True
