"""`velocity user`: accounts and their permissions."""

from __future__ import annotations

import click
from msgspec import UNSET

from velocity.cli import connection, hints, password, resolve, seen, where
from velocity.cli.lazy import Group
from velocity.cli.output import (
    SETS,
    AmbiguousName,
    NameNotFound,
    as_json,
    confirm,
    done,
    held,
    json_option,
    listed,
    listing,
    made,
    planning,
    show_json,
    table,
)
from velocity.cli.paging import Page, paged
from velocity.cli.plan import changing
from velocity.cli.words import clean, program
from velocity.client import Client, ClientError
from velocity.contract.permissions import Permission
from velocity.contract.users import LIST, ListUsers

USER = click.argument("user_", metavar="USER", type=resolve.USER)
ON = click.option("--group", type=where.TYPE, required=True, metavar="GROUP", help="Its path, name or id.")
HOME = click.option(
    "--group", type=where.TYPE, metavar="GROUP",
    help="The home group: whoever can remove users there controls the account. Default: the one group where you have "
         "user.create yourself, else /.",
)  # fmt: skip
PERMISSIONS = click.argument("permissions", nargs=-1, shell_complete=resolve.complete_permissions)
WHOM = click.argument("whom", metavar="USER", shell_complete=resolve.USER.shell_complete)
NAMES = [one.value for one in Permission]


@click.group(cls=Group)
def user() -> None:
    """Users. USER is a name, or a uid (`id:3`); PERMISSION is one such as `vm.view`, or a set: viewer, operator, maker,
    admin."""


@user.command("list")
@paged()
@listing
def list_users(page: Page) -> None:
    """List all users."""
    listed(
        page.ask(connection.connect(), LIST, ListUsers()),
        "users",
        ("UID", "NAME"),
        lambda one: (one.uid, one.name),
        empty="no users",
        noun="user",
    )


@user.command()
@USER
@json_option
def show(user_: int) -> None:
    """Show USER with the permissions that you may see."""
    client = connection.connect()
    answer = client.show_user(uid=user_)
    if as_json():
        show_json(answer)
        return
    home = f", home group {where.path(client, answer.home)}" if isinstance(answer.home, int) else ""
    click.echo(f"{clean(answer.name)} (uid {answer.uid}){home}")
    rows = [(one.gid, where.path(client, one.gid), held(one.permissions)) for one in answer.memberships]
    table(("GID", "GROUP", "PERMISSIONS"), rows, "no permissions that you may see")


@user.command()
@click.argument("name")
@HOME
@password.STDIN
@changing
def create(name: str, group: int | None, password_stdin: bool) -> None:
    """Create the user NAME, who has no permissions yet."""
    gid = UNSET if group is None else group
    answer = connection.connect().create_user(name=name, password=password.new(password_stdin), gid=gid)
    made(answer, answer.uid, f"created user {clean(answer.name)} (uid {answer.uid}), who has no permissions yet")


@user.command("set")
@USER
@click.option("--group", type=where.TYPE, required=True, metavar="GROUP", help="The new home group.")
@changing
def set_user(user_: int, group: int) -> None:
    """Change the home group of USER. Whoever may remove users there controls the account."""
    client = connection.connect()
    client.change_user(uid=user_, gid=group)
    done(f"the home group of {seen.who(client, user_)} is {where.path(client, group)}")


@user.command()
@USER
@click.option("--yes", is_flag=True, help="Do not ask for confirmation.")
@changing
def rm(user_: int, yes: bool) -> None:
    """Remove USER permanently: users are not moved to the trash."""
    client = connection.connect()
    name = seen.who(client, user_)
    if not yes and not planning():
        confirm(f"Remove the user {name} (uid {user_}) permanently?")
    client.remove_user(uid=user_)
    done(f"removed user {name}")


@user.command()
@click.argument("user_", metavar="[USER]", type=resolve.USER, required=False)
@password.STDIN
@changing
def passwd(user_: int | None, password_stdin: bool) -> None:
    """Set the password of USER, or your own. It ends all sessions of the user, except the one that you use.

    With --password-stdin your own takes two lines: the old password, and the new one.
    """
    client = connection.connect()
    me = client.show_user()
    if user_ is not None and user_ != me.uid:
        client.change_user(uid=user_, password=password.new(password_stdin))
        done("the password is set")
        return
    old = password.line() if password_stdin else password.ask("Old password")
    new = password.new(password_stdin)
    kept, stays = connection.keeps(client), connection.by_key_file(client)
    client.change_user(uid=me.uid, password=new, old_password=old)
    if stays:
        done("the password is set; your sessions have ended, the key file is still valid")
    elif kept and _signs_in(client, me.name, new):
        done("the password is set; your other sessions have ended")
    else:
        done(f"the password is set, and your sessions have ended: sign in again with `{program()} login`")


def _signs_in(client: Client, name: str, given: str) -> bool:
    """Whether it was possible to sign in again, instead of with the saved session, which has ended."""
    try:
        connection.keep(client, client.sign_in(name=name, password=given), name)
    except ClientError:
        return False
    return True


@user.command()
@WHOM
@PERMISSIONS
@ON
@changing
def grant(whom: str, permissions: tuple[str, ...], group: int) -> None:
    """Give USER PERMISSIONS on a group and all groups below it."""
    client = connection.connect()
    uid = _whom(client, whom, permissions, group)
    for permission in expanded(permissions):
        client.grant_permission(uid=uid, gid=group, permission=permission)
    done(f"granted {', '.join(permissions)} to {seen.who(client, uid)} on {where.path(client, group)}")


@user.command()
@WHOM
@PERMISSIONS
@ON
@changing
def revoke(whom: str, permissions: tuple[str, ...], group: int) -> None:
    """Take PERMISSIONS on a group away from USER; all of them if none is given."""
    client = connection.connect()
    uid = _whom(client, whom, permissions, group)
    if not permissions:
        client.revoke_permission(uid=uid, gid=group)
    for permission in expanded(permissions) if permissions else ():
        client.revoke_permission(uid=uid, gid=group, permission=permission)
    what = ", ".join(permissions) or "everything"
    done(f"took {what} away from {seen.who(client, uid)} on {where.path(client, group)}")


def _whom(client: Client, whom: str, permissions: tuple[str, ...], group: int) -> int:
    """The user that is meant, with a hint for those who have typed the permissions first."""
    users = [word for word in permissions if not _known(word)]
    if _known(whom) and len(users) == 1 and not _is_user(client, whom):
        others = " ".join(word for word in (whom, *permissions) if word not in users)
        verb = f"{program()} user {click.get_current_context().info_name}"
        raise AmbiguousName(
            f"{clean(whom)!r} is not a user, and the user comes first: did you mean `{verb} {clean(users[0])} "
            f"{clean(others)}{where.option(client, group)}`?"
        )
    return resolve.USER.convert(whom, None, None)


def _is_user(client: Client, word: str) -> bool:
    try:
        resolve.uid(client, word)
    except (ClientError, NameNotFound):
        return False
    return True


def _known(word: str) -> bool:
    return word in SETS or resolve.permission(word) in NAMES


def expanded(words: tuple[str, ...]) -> list[str]:
    """The names of permissions, without duplicates; sets are expanded. Raises `NameNotFound`."""
    if not words:
        raise click.BadParameter(f"give permissions (`vm.view`), or a set of them: {', '.join(SETS)}")
    for word in words:
        if not _known(word):
            known = [*SETS, *(name.removeprefix("velocity.") for name in NAMES)]
            near = hints.meant(word, known) or f"; the permissions are: {', '.join(known)}"
            raise NameNotFound(f"there is no permission or set named {clean(word)!r}{near}")
    found = [one for word in words for one in sorted(SETS.get(word, {resolve.permission(word)}), key=NAMES.index)]
    return list(dict.fromkeys(found))
