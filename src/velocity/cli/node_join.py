"""`velocity node join`: makes this machine a host of the server that made the token."""

from __future__ import annotations

import shlex
import socket
import sys
from pathlib import Path

import click
import msgspec

from velocity.cli import own_server
from velocity.cli.node_serve import locked, run
from velocity.cli.output import answerable
from velocity.cli.waiting import waiting
from velocity.cli.words import called, clean, program
from velocity.client import ApiError, Client, ClientError, Unreachable
from velocity.config import ConfigError, Settings, load
from velocity.contract import names
from velocity.contract.joining import BadToken, NodeToken, is_here
from velocity.contract.nodes import JOIN, Joined
from velocity.installation import displaced, set_aside
from velocity.node import joining
from velocity.node.identity import NodeIdentity
from velocity.node.joining import BadAnswer, Draft


@click.command()
@click.argument("token", required=False)
@click.option("--name", metavar="NAME", help="The host's name (default: this machine's).")
@click.option(
    "--address", metavar="HOST:PORT", help="The address by which the server reaches this machine (default: detected)."
)
@click.option("--config", "file", type=click.Path(dir_okay=False, path_type=Path), help="The settings file (TOML).")
@click.option("--former-server", "former", is_flag=True, help="This machine was the server: set its database aside.")
@click.option("--serve", "serves", is_flag=True, help="Then serve, as `velocity node serve` does.")
def join(
    token: str | None, name: str | None, address: str | None, file: Path | None, former: bool, serves: bool
) -> None:
    """Make this machine a host of the server that made TOKEN.

    Without TOKEN, the command asks for it, or reads it from standard input, so that it appears in no process list.
    """
    try:
        settings = load(file)
        word = _word(token)
    except ConfigError as error:
        raise click.ClickException(str(error)) from None
    except BadToken:
        raise click.ClickException(
            "that is not a token: copy the whole word that `velocity node token` printed on the server"
        ) from None
    if not former:
        _check_no_server(settings)
    with locked(settings):
        own = _joined(settings, word, names.tidy(name or socket.gethostname(), "object"), address)
        if former:
            click.echo(f"what it was as a server is in {clean(set_aside(settings.data_dir))}", err=True)
    click.echo(f"this machine is now the host {clean(own.name)} of {clean(word.urls[0])}", err=True)
    if serves:
        run(settings)
        return
    command = own_server.command(settings) if file is None else called()
    config = "" if file is None else f" --config {shlex.quote(str(file))}"
    serve, kind = ("serve", "") if settings.standby else ("node serve", " --node")
    if settings.standby:
        click.echo("its server stands by: it leads when no other one does (`standby`)", err=True)
    click.echo(f"to run it in the foreground: {command} {serve}{config}", err=True)
    click.echo("to run it as a service:", err=True)
    click.echo(f"{command} service install{kind}{config}")


def _word(token: str | None) -> NodeToken:
    if token is None and sys.stdin.isatty():
        with answerable("`-` reads it from standard input"):
            token = str(click.prompt("Token", hide_input=True, err=True))
    elif token in (None, "-"):  # there is no terminal whose echo could be disabled
        token = sys.stdin.readline()
    return NodeToken.read(token)


def _check_no_server(settings: Settings) -> None:
    if displaced(settings.data_dir):
        raise click.ClickException(
            "this machine was the server: add --former-server, which sets its database aside; its guests keep running"
        )
    if (settings.database and not settings.standby) or (settings.data_dir / "velocity.db").exists():
        raise click.ClickException(
            f"{settings.data_dir} is the data directory of a server, and a machine is a server or a node: choose "
            "another `data_dir`, or move that data away; the VMs that are in it do not come along"
        )


def _joined(settings: Settings, token: NodeToken, name: str, address: str | None) -> NodeIdentity:
    try:
        draft = joining.begin(settings.data_dir, token)
        with waiting(f"asking {clean(' and '.join(token.urls))}"):
            answer = _ask(settings, token, draft, name, address)
        return joining.accept(settings.data_dir, draft, token, answer)
    except BadAnswer as error:
        raise click.ClickException(f"the answer is not genuine: {error}; nothing was changed") from None
    except msgspec.MsgspecError as error:
        raise click.ClickException(f"{settings.data_dir / 'node'} cannot be read: {error}") from None


def _ask(settings: Settings, token: NodeToken, draft: Draft, name: str, address: str | None) -> Joined:
    """Send the request to the first URL that responds. The token, not TLS, authenticates the server."""
    problems: list[str] = []
    for url in token.urls:
        try:
            own = address or joining.own_address(url, settings.node_listen)
            with Client(url, verify=False) as client:
                return client.call(JOIN, joining.asked(draft, token, name, own))
        except ApiError:
            raise
        except Unreachable:
            problems.append(f"{url} cannot be reached")
        except OSError as error:
            problems.append(f"{url}: {error.strerror}")
        except ClientError as error:
            problems.append(f"{url}: {error}")
    said = "; ".join(map(clean, problems))
    if all(is_here(url) for url in token.urls):
        raise click.ClickException(
            f"the token names this very machine ({said}): on the server, set `listen` so that others reach it, restart "
            "it, and make another token"
        )
    raise click.ClickException(
        f"no server answers: {said}; let its firewall pass this machine, or make a token there that names another "
        f"address (`{program()} node token --url`)"
    )
