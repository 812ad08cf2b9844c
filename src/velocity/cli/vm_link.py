"""`velocity vm link`: the cable of a NIC."""

from __future__ import annotations

import click
from msgspec import structs

from velocity.cli import connection, resolve
from velocity.cli.output import as_json, show_json
from velocity.cli.plan import changing
from velocity.cli.which import which
from velocity.cli.words import clean
from velocity.contract.machines import Nic, VmInfo


@click.command()
@which
@click.argument("link", type=click.Choice(["up", "down"]))
@click.option("--nic", type=int, metavar="ID", help="The id of the NIC, if VM has several (`vm show`).")
@changing
def link(vm_: str, group: int | None, link: str, nic: int | None) -> None:
    """Plug in or pull out the cable of a NIC of VM. It stays so after a restart."""
    client = connection.connect()
    found = resolve.vm(client, group, vm_)
    info = client.show_vm(vmid=found.id)
    chosen = _chosen(info, nic)
    nics = [kept(one, has.id, link if has.id == chosen else None)
            for one, has in zip(info.nics, info.interfaces, strict=True)]  # fmt: skip
    answer = client.alter_vm(vmid=found.id, revision=info.revision, nics=nics)
    if as_json():
        show_json(answer)
        return
    click.echo(f"NIC {chosen} of {found.label}: its link is {link}")
    if why := (answer.waits or {}).get("nics"):
        click.echo(f"  at its next start: {clean(why)}")


def _chosen(info: VmInfo, nic: int | None) -> int:
    ids = [one.id for one in info.interfaces]
    if nic is None and len(ids) == 1:
        return ids[0]
    if nic not in ids:
        there = f"one of {', '.join(map(str, ids))}" if ids else "it has none"
        raise click.BadParameter(f"say which NIC: {there}", param_hint="--nic")
    return nic


def kept(nic: Nic, number: int, link: str | None = None) -> Nic:
    """The NIC as it is, with its id, but with this link state."""
    one = structs.replace(nic, id=number)
    return one if link is None else structs.replace(one, link="down" if link == "down" else "up")
