"""From what a person types to ids: verbs take names as well."""

from __future__ import annotations

from uuid import UUID

import click
from click.shell_completion import CompletionItem

from velocity.cli import session
from velocity.cli.output import clean, program
from velocity.client import Client, ClientError
from velocity.contract.machines import VmSummary
from velocity.contract.media import MediumInfo


class Missing(click.ClickException):
    """A name that means nothing here."""

    exit_code = 4

    def show(self, file: object = None) -> None:
        click.secho(f"velocity: {self.message}", fg="red", err=True)


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


def complete_media(context: click.Context, _parameter: click.Parameter, begun: str) -> list[CompletionItem]:
    return _complete(context, begun, lambda client, gid: client.list_media(gid=gid).media)


def _complete(context: click.Context, begun: str, ask: object) -> list[CompletionItem]:
    assert callable(ask)
    try:
        with context:
            found: list[VmSummary | MediumInfo] = ask(session.connect(), context.params.get("group") or 0)
    except (ClientError, click.ClickException, OSError):
        return []
    return [CompletionItem(one.name) for one in found if one.name.startswith(begun)]
