"""`velocity login`, `logout`, `whoami`."""

from __future__ import annotations

import click

from velocity.cli import connection, password, where
from velocity.cli.output import answerable, as_json, done, held, json_option, show_json, table
from velocity.cli.words import clean


def _choose(context: click.Context, parameter: click.Parameter, value: str | None) -> None:
    if value is not None:
        context.find_root().params[parameter.name] = value


SERVER = click.option(
    "--server",
    metavar="URL",
    expose_value=False,
    callback=_choose,
    help="The server, as with --server before the command.",
)
CA = click.option(
    "--ca",
    metavar="FILE",
    expose_value=False,
    callback=_choose,
    help="The certificates to trust there, as with --ca before the command; they are kept with the session.",
)


@click.command()
@click.argument("name", required=False)
@SERVER
@CA
@password.STDIN
@json_option
def login(name: str | None, password_stdin: bool) -> None:
    """Sign in as NAME and save the session in this account's configuration."""
    client = connection.connect()
    if name is None:
        with answerable("give NAME"):
            name = str(click.prompt("Name", default="root", err=True))
    given = password.line() if password_stdin else password.ask("Password")
    answer = client.sign_in(name=name, password=given)
    connection.keep(client, answer, name)
    done(f"signed in to {client.server} as {clean(name)}")


@click.command()
@SERVER
@json_option
def logout() -> None:
    """End the saved session."""
    kept = connection.read()
    client = connection.connect()
    authkey = kept.authkeys.get(client.server)
    if authkey is None:
        done("there is no saved session")
        return
    client.authkey = authkey
    client.sign_out()
    connection.forget(client.server)
    done(f"signed out of {client.server}")


@click.command()
@SERVER
@json_option
def whoami() -> None:
    """Show who you are and your permissions."""
    client = connection.connect()
    user = client.show_user()
    if as_json():
        show_json(user)
        return
    click.echo(f"{clean(user.name)} (uid {user.uid})")
    rows = [(member.gid, where.path(client, member.gid), held(member.permissions)) for member in user.memberships]
    table(("GID", "GROUP", "PERMISSIONS"), rows, "no permissions yet: ask an administrator for some")
