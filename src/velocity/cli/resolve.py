"""From what a person types to ids: verbs take names as well."""

from __future__ import annotations

from uuid import UUID

import click
from click.shell_completion import CompletionItem

from velocity.cli import session
from velocity.cli.output import clean, program
from velocity.client import Client, ClientError
from velocity.contract.groups import GroupSummary
from velocity.contract.machines import VmSummary
from velocity.contract.media import MediumInfo
from velocity.contract.permissions import Permission
from velocity.contract.users import UserSummary

Named = VmSummary | MediumInfo | GroupSummary | UserSummary


class Missing(click.ClickException):
    """A name that means nothing here."""

    exit_code = 4

    def show(self, file: object = None) -> None:
        click.secho(f"velocity: {self.message}", fg="red", err=True)


class GroupType(click.ParamType[int]):
    """A group: its id, its name where that is unique, or its path of names, such as `team/web`."""

    name = "group"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> int:
        word = str(value)
        if word.isdigit():
            return int(word)
        with session.connect() as client:
            return gid(client, word)

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        return _complete(ctx, incomplete, lambda client, _: client.list_groups().groups)


class UserType(click.ParamType[int]):
    """A user: the name, or the uid."""

    name = "user"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> int:
        word = str(value)
        if word.isdigit():
            return int(word)
        with session.connect() as client:
            return uid(client, word)

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        return _complete(ctx, incomplete, lambda client, _: client.list_users().users)


def paths(client: Client) -> dict[int, str]:
    """The groups that the caller sees, by their path of names from below the root group."""
    groups = {one.gid: one for one in client.list_groups().groups}
    found: dict[int, str] = {0: "/"} if 0 in groups else {}
    for one in groups.values():
        names, at = [], one
        while at.gid != 0 and at.parent_gid in groups:
            names.append(at.name)
            at = groups[at.parent_gid]
        if names:
            found[one.gid] = "/".join(reversed(names))
    return found


def gid(client: Client, word: str) -> int:
    """The group of that path or name."""
    known = paths(client)
    wanted = word.strip("/") or "/"
    found = [one for one, path in known.items() if path == wanted]
    found = found or [one for one, path in known.items() if path.rpartition("/")[2] == wanted]
    if len(found) == 1:
        return found[0]
    if found:
        choices = ", ".join(clean(known[one]) for one in found)
        raise Missing(f"several groups are named {clean(word)!r}: name one by its path ({choices})")
    raise Missing(f"there is no group {clean(word)!r} that you see: `{program()} group list`")


def uid(client: Client, word: str) -> int:
    """The user of that name; oneself is known without velocity.user.list."""
    me = client.show_user()
    found = [me.uid] if me.name == word else [one.uid for one in client.list_users().users if one.name == word]
    if not found:
        raise Missing(f"there is no user {clean(word)!r}: `{program()} user list`")
    return found[0]


def permission(word: str) -> str:
    """A permission's full name; `vm.view` will do."""
    return word if word.startswith("velocity.") else f"velocity.{word}"


def vmid(client: Client, gid: int, word: str) -> int:
    """The VM of that name in the group, or with that id."""
    found = [one for one in client.list_vms(gid=gid).vms if one.name == word]
    if found:
        return found[0].vmid
    if word.isdigit():
        return int(word)
    raise Missing(f"group {gid} has no VM named {clean(word)!r}: see `{program()} vm list`")


def medium(client: Client, gid: int, word: str) -> MediumInfo:
    """The medium of that name in the group, or with that id."""
    media = client.list_media(gid=gid).media
    found = [one for one in media if one.name == word or str(one.mid) == word]
    if len(found) == 1:
        return found[0]
    if found:
        raise Missing(f"group {gid} has several media named {clean(word)!r}: name one by its id")
    raise Missing(f"group {gid} has no medium {clean(word)!r}: see `{program()} media list`")


def is_uuid(word: str) -> bool:
    try:
        UUID(word)
    except ValueError:
        return False
    return True


def complete_vms(context: click.Context, _parameter: click.Parameter, begun: str) -> list[CompletionItem]:
    """Names of VMs, asked from the server; silent when it does not answer."""
    return _complete(context, begun, lambda client, gid: client.list_vms(gid=gid).vms)


def complete_permissions(_context: click.Context, _parameter: click.Parameter, begun: str) -> list[CompletionItem]:
    return [CompletionItem(one.value) for one in Permission if one.value.startswith(permission(begun))]


def complete_media(context: click.Context, _parameter: click.Parameter, begun: str) -> list[CompletionItem]:
    return _complete(context, begun, lambda client, gid: client.list_media(gid=gid).media)


def _complete(context: click.Context, begun: str, ask: object) -> list[CompletionItem]:
    assert callable(ask)
    try:
        with context:
            found: list[Named] = ask(session.connect(), context.params.get("group") or 0)
    except (ClientError, click.ClickException, OSError):
        return []
    return [CompletionItem(one.name) for one in found if one.name.startswith(begun)]
