"""`velocity user`: accounts, and what they may do where."""

from __future__ import annotations

import sys
from collections.abc import Callable

import click
from msgspec import UNSET

from velocity.cli import resolve, session, where
from velocity.cli.output import (
    SETS,
    as_json,
    clean,
    done,
    held,
    json_option,
    listing,
    made,
    planning,
    show_json,
    table,
)
from velocity.cli.plan import changing
from velocity.contract.permissions import Permission

USER = click.argument("user_", metavar="USER", type=resolve.UserType())
ON = click.option("--group", type=where.GroupType(), required=True, metavar="GROUP", help="Its id, name or path.")
PERMISSIONS = click.argument("permissions", nargs=-1, shell_complete=resolve.complete_permissions)
PASSWORD = click.option("--password-stdin", is_flag=True, help="Read the password from standard input.")


@click.group()
def user() -> None:
    """Users. USER is a name, or a uid; PERMISSION is such as `vm.view`, or a set: viewer, operator, maker, admin."""


@user.command("list")
@listing
def list_users() -> None:
    """List all users."""
    answer = session.connect().list_users()
    if as_json():
        show_json(answer)
        return
    table(("UID", "NAME"), [(one.uid, one.name) for one in answer.users], "no users")


@user.command()
@USER
@json_option
def show(user_: int) -> None:
    """Show USER with the permissions that you may see."""
    client = session.connect()
    answer = client.show_user(uid=user_)
    if as_json():
        show_json(answer)
        return
    click.echo(f"{clean(answer.name)} (uid {answer.uid})")
    rows = [(one.gid, where.path(client, one.gid), held(one.permissions)) for one in answer.memberships]
    table(("GID", "GROUP", "PERMISSIONS"), rows, "holds nothing that you may see")


@user.command()
@click.argument("name")
@PASSWORD
@changing
def create(name: str, password_stdin: bool) -> None:
    """Create the user NAME, who holds no permission yet."""
    answer = session.connect().create_user(name=name, password=_new_password(password_stdin))
    made(answer, answer.uid, f"created user {clean(answer.name)} (uid {answer.uid}), who holds nothing yet")


@user.command()
@USER
@click.option("--yes", is_flag=True, help="Do not ask.")
@changing
def rm(user_: int, yes: bool) -> None:
    """Remove USER, for good: users do not go into the trash."""
    client = session.connect()
    name = resolve.who(client, user_)
    if not yes and not planning():
        click.confirm(f"Remove the user {name} (uid {user_}) for good?", abort=True, err=True)
    client.remove_user(uid=user_)
    done(f"removed user {name}")


@user.command()
@click.argument("user_", metavar="[USER]", type=resolve.UserType(), required=False)
@PASSWORD
@changing
def passwd(user_: int | None, password_stdin: bool) -> None:
    """Set the password of USER, or your own. Every session of that user ends."""
    client = session.connect()
    oneself = user_ is None or user_ == client.show_user().uid
    old = (_line() if password_stdin else str(click.prompt("Old password", hide_input=True))) if oneself else UNSET
    new = _new_password(password_stdin)
    client.change_user(uid=UNSET if user_ is None else user_, password=new, old_password=old)
    done("the password is set; sign in again: `velocity login`" if oneself else "the password is set")


@user.command()
@USER
@PERMISSIONS
@ON
@changing
def grant(user_: int, permissions: tuple[str, ...], group: int) -> None:
    """Give USER PERMISSIONS on a group and all below it."""
    client = session.connect()
    for permission in expanded(permissions):
        client.grant_permission(uid=user_, gid=group, permission=permission)
    done(f"granted {', '.join(permissions)} to {resolve.who(client, user_)} on {where.path(client, group)}")


@user.command()
@USER
@PERMISSIONS
@ON
@changing
def revoke(user_: int, permissions: tuple[str, ...], group: int) -> None:
    """Take PERMISSIONS on a group away from USER; all, if none is named."""
    client = session.connect()
    if not permissions:
        client.revoke_permission(uid=user_, gid=group)
    for permission in expanded(permissions) if permissions else ():
        client.revoke_permission(uid=user_, gid=group, permission=permission)
    what = ", ".join(permissions) or "everything"
    done(f"took {what} away from {resolve.who(client, user_)} on {where.path(client, group)}")


def expanded(words: tuple[str, ...]) -> list[str]:
    """Permissions by their names, each once; sets are taken apart."""
    if not words:
        raise click.BadParameter(f"name permissions (`vm.view`), or a set of them: {', '.join(SETS)}")
    order = [one.value for one in Permission]
    found = [resolve.permission(one) for word in words for one in sorted(SETS.get(word, (word,)), key=_place(order))]
    return list(dict.fromkeys(found))


def _place(order: list[str]) -> Callable[[str], int]:
    return lambda word: order.index(word) if word in order else -1


def _new_password(from_stdin: bool) -> str:
    if from_stdin:
        return _line()
    return str(click.prompt("New password", hide_input=True, confirmation_prompt=True))


def _line() -> str:
    return sys.stdin.readline().rstrip("\n")
