"""`velocity session`: where you are signed in."""

from __future__ import annotations

import time

import click

from velocity.cli.connection import connect
from velocity.cli.lazy import Group
from velocity.cli.output import done, listed, listing
from velocity.cli.paging import Page, paged
from velocity.cli.plan import changing
from velocity.contract.sessions import LIST, ListSessions


@click.group(cls=Group)
def session() -> None:
    """Your sessions. SID is the id of a session."""


@session.command("list")
@paged()
@listing
def list_sessions(page: Page) -> None:
    """List your sessions, newest first; pages by SID."""
    listed(
        page.ask(connect(), LIST, ListSessions()),
        "sessions",
        ("SID", "SINCE", "UNTIL", "FROM", "CURRENT", "WITH"),
        lambda one: (
            one.sid, _minute(one.created), _minute(one.expires), one.address,
            "this one" if one.current else "", one.agent,
        ),
        empty="no sessions: the key file is not a session",
        noun="session",
    )  # fmt: skip


@session.command()
@click.argument("sids", metavar="[SID]...", nargs=-1)
@click.option("--others", is_flag=True, help="All sessions except the one that this command uses.")
@changing
def end(sids: tuple[str, ...], others: bool) -> None:
    """End sessions: their clients are signed out immediately."""
    client = connect()
    if bool(sids) is others:
        raise click.UsageError("give the SIDs of the sessions (`session list`), or end all --others")
    if others:
        sids = tuple(one.sid for one in client.list_sessions().sessions if not one.current)
    for sid in sids:
        client.end_session(sid=sid)
    done(f"ended {len(sids)} session{'' if len(sids) == 1 else 's'}")


def _minute(at: int) -> str:
    return time.strftime("%Y-%m-%d %H:%M", time.localtime(at))
