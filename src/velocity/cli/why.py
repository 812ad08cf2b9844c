"""`velocity why`."""

from __future__ import annotations

from collections.abc import Mapping

import click
from msgspec import UNSET

from velocity.cli import connection, resolve, where
from velocity.cli.output import as_json, json_option, show_json
from velocity.cli.words import clean
from velocity.client import Client
from velocity.contract.operation import Holds, On
from velocity.contract.registry import OPERATIONS
from velocity.contract.why import Supposed

NEEDS = {one.name: one.needs for one in OPERATIONS}
GROUPS = (On.GROUP, On.PARENT_GROUP, On.GROUPS_PARENT)
OPTIONS = {On.VM: "--vm", On.MEDIUM: "--medium", On.ALL_OF_USER: "--to"}
"""The options for the objects that decide."""


@click.command()
@click.argument("operation")
@click.option("--user", type=resolve.USER, metavar="USER", help="The user (default: you).")
@click.option("--group", type=where.TYPE, metavar="GROUP", help="The group (default: as elsewhere).")
@click.option("--vm", metavar="VM", help="The VM: its name or id.")
@click.option("--medium", metavar="MEDIUM", help="The medium: its name or id.")
@click.option("--to", type=resolve.USER, metavar="USER", help="The user that the operation acts on.")
@click.option("--if-granted", multiple=True, metavar="GROUP:PERMISSION", help="Assume that this is given.")
@click.option("--if-revoked", multiple=True, metavar="GROUP:PERMISSION", help="Assume that this is taken away.")
@json_option
def why(
    operation: str, user: int | None, group: int | None, vm: str | None, medium: str | None, to: int | None,
    if_granted: tuple[str, ...], if_revoked: tuple[str, ...],
) -> None:  # fmt: skip
    """Explain why a user may or may not do OPERATION, and who could give what is missing.

    OPERATION is the name of an operation (set_vm_state) or of a permission (vm.state).

    \b
    velocity why create_vm
    velocity why set_vm_state --vm 7 --user bob
    velocity why vm.create --group team/web --if-granted team:vm.create
    """
    client = connection.connect()
    group = _decided_by(client, operation, {On.VM: vm, On.MEDIUM: medium, On.ALL_OF_USER: to}, group)
    answer = client.explain(
        operation=operation,
        uid=UNSET if user is None else user,
        gid=UNSET if group is None else group,
        vmid=UNSET if vm is None else resolve.vmid(client, group, vm),
        mid=UNSET if medium is None else resolve.medium(client, group, medium).id,
        member=UNSET if to is None else to,
        granted=[_supposed(one) for one in if_granted],
        revoked=[_supposed(one) for one in if_revoked],
    )
    if as_json():
        show_json(answer)
        return
    click.secho("yes" if answer.allowed else "no", fg="green" if answer.allowed else "red", bold=True)
    click.echo(clean(answer.message))
    for place in answer.line:
        click.echo(
            f"  {'*' if place.held else '.'} {'/' if place.gid == where.ROOT else clean(place.name)} ({place.gid})"
        )
    if answer.ask:
        click.echo(f"ask: {', '.join(clean(one.name) for one in answer.ask)}")


def _decided_by(client: Client, operation: str, named: Mapping[On, object], group: int | None) -> int | None:
    """The group need not be given. Raises `UsageError` if another object is needed and missing."""
    needs = NEEDS.get(operation)
    if not isinstance(needs, Holds):
        return group
    if needs.on in GROUPS:
        return where.here(client, group)
    if not needs.oneself and needs.on in OPTIONS and named[needs.on] is None:
        raise click.UsageError(f"{operation} is decided {needs.on.value}: give it with {OPTIONS[needs.on]}")
    return group


def _supposed(text: str) -> Supposed:
    group, _, permission = text.rpartition(":")
    if not group:
        raise click.BadParameter(f"{text!r}: write GROUP:PERMISSION, such as team:vm.view")
    gid = where.TYPE.convert(group, None, None)
    return Supposed(gid=gid, permission=resolve.permission(permission))
