"""`velocity vm attach` and `detach`: a single medium, whereas `vm set --media` replaces all."""

from __future__ import annotations

import click

from velocity.cli import connection, resolve
from velocity.cli.altered import tell
from velocity.cli.attachments import KNOWN, MediaScope, to_attachment
from velocity.cli.plan import changing
from velocity.cli.which import which
from velocity.cli.words import clean


@click.command(
    epilog=f"OPTION is one of {KNOWN}: `vm attach web data:block:ro`. Without a mode, it is virtio.",
)
@which
@click.argument("medium", metavar="MEDIUM[:OPTION]...", shell_complete=resolve.complete_media)
@changing
def attach(vm_: str, group: int | None, medium: str) -> None:
    """Attach MEDIUM to VM, after its other media. A running VM gets it at once if possible."""
    client = connection.connect()
    found = resolve.vm(client, group, vm_)
    vm = client.show_vm(vmid=found.id)
    added = to_attachment(MediaScope(client, vm.gid, beyond=True), medium)
    answer = client.alter_vm(vmid=found.id, revision=vm.revision, media=[*vm.media, added])
    tell(answer, f"{clean(medium)} is attached to {found.label}", "media")


@click.command()
@which
@click.argument("medium", shell_complete=resolve.complete_media)
@changing
def detach(vm_: str, group: int | None, medium: str) -> None:
    """Detach MEDIUM from VM, and keep it. A running VM loses it at once if possible."""
    client = connection.connect()
    found = resolve.vm(client, group, vm_)
    vm = client.show_vm(vmid=found.id)
    gone = resolve.medium(client, vm.gid, medium, beyond=True)
    left = [one for one in vm.media if one.mid != gone.id]
    if len(left) == len(vm.media):
        raise click.ClickException(f"{found.label} does not have {gone.label}: `vm show` lists its media")
    answer = client.alter_vm(vmid=found.id, revision=vm.revision, media=left)
    tell(answer, f"{gone.label} is detached from {found.label}", "media")
