"""The `velocity` command. Commands are imported when they are called, which keeps each call fast."""

from __future__ import annotations

import importlib
import os
import sys

import click

from velocity import __version__
from velocity.cli import hints, inherited
from velocity.cli.lazy import LazyGroup
from velocity.cli.words import plain

VERBS: dict[str, tuple[str, str]] = {
    "serve": ("velocity.cli.serve", "Start the server"),
    "service": ("velocity.cli.service", "systemd units: install, uninstall, stop-guests"),
    "doctor": ("velocity.cli.doctor", "Show what this host can do, and how to enable what is missing"),
    "promote": ("velocity.cli.promote", "Make this machine the server, after the server is lost"),
    "demo": ("velocity.cli.demo.command", "Build and boot a small guest, up to its console"),
    "passwd": ("velocity.cli.passwd", "Set a user's password in the data directory, without the server"),
    "db": ("velocity.cli.db", "Export and import the database"),
    "login": ("velocity.cli.account", "Sign in and save the session"),
    "logout": ("velocity.cli.account", "End the saved session"),
    "whoami": ("velocity.cli.account", "Show who you are and your permissions"),
    "session": ("velocity.cli.sessions", "Your sessions: list, end"),
    "user": ("velocity.cli.user", "Users: list, show, create, set, rm, passwd, grant, revoke"),
    "group": ("velocity.cli.group", "Groups: list, show, create, rm, quota"),
    "apply": ("velocity.cli.apply.command", "Change an installation to match a file"),
    "why": ("velocity.cli.why", "Explain why a user may or may not do something"),
    "vm": (
        "velocity.cli.vm",
        "Virtual machines: create, list, show, set, start, stop, pause, resume, rm, console, screen, log, metrics, ...",
    ),
    "launch": ("velocity.cli.launch", "Create a VM from an image, and wait until it can be logged in to"),
    "media": (
        "velocity.cli.media",
        "Media: catalogue, fetch, upload, import, create, clone, download, list, rm, ...",
    ),
    "pool": ("velocity.cli.pool", "Media pools: list, show, assign, revoke"),
    "trash": ("velocity.cli.trash", "Deleted objects: list, restore, rm, empty"),
    "history": ("velocity.cli.history", "Changes and refused requests, with user and time"),
    "events": ("velocity.cli.events", "Changes as they happen"),
    "task": ("velocity.cli.task", "Tasks: list, show, wait, cancel"),
    "host": ("velocity.cli.host", "The hosts' load and memory: show"),
    "node": ("velocity.cli.node", "The hosts: list, show, token, join, serve, set, drain, fence, rm, ..."),
    "nic": ("velocity.cli.nic", "Host NICs: list"),
    "api": ("velocity.cli.api", "Call any endpoint of the API"),
    "completion": ("velocity.cli.completion", "Print the completion script of a shell"),
}

EXITS = """\b
Exit status:
  0    done
  1    refused or failed
  2    wrong usage
  3    not signed in, or not allowed
  4    not found
  5    no server responds
  6    the server is not trusted, or TLS fails
  130  interrupted
"""


class Velocity(LazyGroup):
    """Lists the verbs in the order of `VERBS`, with their help, without importing them."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(VERBS)

    def invoke(self, ctx: click.Context) -> object:
        try:
            return super().invoke(ctx)
        except click.NoSuchOption as error:
            raise hints.of_option(error, ctx) from None

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in VERBS.items()])


@click.group(
    cls=Velocity,
    verbs={name: f"{module}:{name}" for name, (module, _) in VERBS.items()},
    epilog=EXITS,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(__version__, message="velocity %(version)s")
@click.option(
    "--server",
    envvar="VELOCITY_SERVER",
    metavar="URL",
    help="The server to use (default: that of the last login, or this machine's).",
)
@click.option(
    "--ca",
    envvar="VELOCITY_CA",
    metavar="FILE",
    help="Certificates (PEM) to trust instead of this machine's: the server's authority, or the server's own.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the JSON of the API.")
@click.pass_context
def velocity(context: click.Context, server: str | None, ca: str | None, as_json: bool) -> None:
    """Virtual machines for small teams and homelabs."""
    context.obj = {"json": as_json}  # commands connect when they need to: `connection.connect`


def main() -> None:
    """Runs the command, and reports errors without a traceback."""
    inherited.settle()
    if "_VELOCITY_COMPLETE" in os.environ:
        importlib.import_module("velocity.cli.completion")  # registers our completion with click
    sys.modules.setdefault("httpx._main", None)  # type: ignore[arg-type]  # its own command line, which loads rich
    color = False if plain() else None
    with click.Context(velocity, color=color).scope(cleanup=False):  # errors are printed outside of any other context
        _run(color)


def _run(color: bool | None) -> None:
    try:
        status = velocity.main(standalone_mode=False, color=color)
    except (click.exceptions.Abort, KeyboardInterrupt) as error:
        for note in getattr(error.__cause__ or error, "__notes__", ()):  # what was left half done
            click.echo(note, err=True)
        sys.exit(130)
    except click.UsageError as error:
        error.show()
        sys.exit(error.exit_code)
    except click.ClickException as error:  # reported like all other errors
        click.secho(f"velocity: {error.message}", fg="red", err=True)
        sys.exit(error.exit_code)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(141)
    except Exception as error:
        from velocity.cli.output import complain  # imports the client, which the server does not need

        sys.exit(complain(error))
    sys.exit(status if isinstance(status, int) else 0)
