"""`velocity vm nic`: a single NIC, whereas `vm set --nic` replaces all."""

from __future__ import annotations

import click

from velocity.cli import connection, resolve
from velocity.cli.altered import tell
from velocity.cli.attachments import MediaScope
from velocity.cli.device_words import to_nic
from velocity.cli.lazy import Group
from velocity.cli.plan import changing
from velocity.cli.vm_link import kept
from velocity.cli.which import which
from velocity.cli.words import clean


@click.group(cls=Group)
def nic() -> None:
    """NICs of a VM. If the VM runs, they are added and removed at once where possible."""


@nic.command()
@which
@click.argument("kind", metavar="nat|bridge:NIC[:OPTION]...")
@changing
def add(vm_: str, group: int | None, kind: str) -> None:
    """Add a NIC to VM. OPTION is as in `vm set --nic`."""
    client = connection.connect()
    found = resolve.vm(client, group, vm_)
    vm = client.show_vm(vmid=found.id)
    there = [kept(one, has.id) for one, has in zip(vm.nics, vm.interfaces, strict=True)]
    added = to_nic(MediaScope(client, vm.gid), kind)
    answer = client.alter_vm(vmid=found.id, revision=vm.revision, nics=[*there, added])
    tell(answer, f"{found.label} has another NIC, {clean(kind)}", "nics")


@nic.command("rm")
@which
@click.argument("number", metavar="ID", type=int)
@changing
def remove(vm_: str, group: int | None, number: int) -> None:
    """Remove from VM the NIC with this ID (`vm show`)."""
    client = connection.connect()
    found = resolve.vm(client, group, vm_)
    vm = client.show_vm(vmid=found.id)
    ids = [one.id for one in vm.interfaces]
    if number not in ids:
        there = ", ".join(map(str, ids)) or "none"
        raise click.BadParameter(f"{found.label} has no NIC {number}; it has: {there}", param_hint="ID")
    left = [kept(one, has.id) for one, has in zip(vm.nics, vm.interfaces, strict=True) if has.id != number]
    answer = client.alter_vm(vmid=found.id, revision=vm.revision, nics=left)
    tell(answer, f"NIC {number} is removed from {found.label}", "nics")
