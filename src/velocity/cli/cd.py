"""`velocity vm cd`: the ISOs in a VM's CD-ROM drives."""

from __future__ import annotations

from dataclasses import dataclass, replace
from uuid import UUID

import click
from msgspec import Struct, structs

from velocity.cli import connection, resolve, seen
from velocity.cli.altered import tell
from velocity.cli.lazy import Group
from velocity.cli.output import as_json, json_option, show_json
from velocity.cli.plan import changing
from velocity.cli.which import which
from velocity.cli.words import clean, program
from velocity.client import Client
from velocity.contract.machines import Attachment, EmptyDrive, MediaMode, VmInfo

MODES = (MediaMode.USB.value, MediaMode.VIRTIO.value)


@click.group(cls=Group)
def cd() -> None:
    """CD-ROM drives of a VM. ISOs are changed and ejected at once, also while the VM runs."""


@dataclass(frozen=True)
class Drives:
    """A VM's drives: `discs` are those with an ISO."""

    client: Client
    vm: VmInfo
    discs: list[Attachment]
    names: dict[UUID, str]

    def name(self, mid: UUID) -> str:
        return clean(self.names.get(mid, str(mid)))

    def only(self, disc: UUID | None) -> Attachment:
        """The drive that is meant. Raises `click.ClickException`."""
        found = [one for one in self.discs if disc in (None, one.mid)]
        if len(found) == 1:
            return found[0]
        if not found:
            raise click.ClickException(f"no such ISO is in a drive of VM {clean(self.vm.name)}")
        names = ", ".join(self.name(one.mid) for one in found)
        raise click.ClickException(f"VM {clean(self.vm.name)} has several ISOs in its drives: name one of {names}")


def _drives(group: int | None, word: str) -> tuple[Drives, int | None]:
    client = connection.connect()
    found = resolve.vm(client, group, word)
    vm = client.show_vm(vmid=found.id)
    isos = seen.isos(client)
    discs = [one for one in vm.media if one.mid in isos and one.mode in MODES]
    return Drives(client, vm, discs, isos), vm.gid


class Shown(Struct, frozen=True):
    """The output of `show --json`: attachments in drives, and empty drives."""

    discs: list[Attachment]
    drives: list[EmptyDrive]


@cd.command("show")
@which
@json_option
def show(vm_: str, group: int | None) -> None:
    """Show the CD-ROM drives of VM."""
    drives, _ = _drives(group, vm_)
    if as_json():
        show_json(Shown(drives.discs, drives.vm.drives))
        return
    lines = [f"{one.mode}: {drives.name(one.mid)}" for one in drives.discs]
    lines += [f"{one.mode}: empty" for one in drives.vm.drives]
    for line in lines or ["no CD-ROM drives"]:
        click.echo(line)


@cd.command("insert")
@which
@click.argument("iso", shell_complete=resolve.complete_media)
@click.option("--drive", type=click.Choice([mode.lower() for mode in MODES]), help="Use a drive of this kind.")
@click.option("--instead", metavar="ISO", help="Replace this ISO.")
@changing
def insert(vm_: str, group: int | None, iso: str, drive: str | None, instead: str | None) -> None:
    """Insert ISO into a drive of VM: an empty one, else the one that has an ISO, else a new one."""
    drives, gid = _drives(group, vm_)
    disc = resolve.medium(drives.client, gid, iso, beyond=True)
    if disc.id not in drives.names:
        raise click.ClickException(f"{disc.label} is not an ISO: `{program()} vm attach` attaches a disk")
    modes = MODES if drive is None else (drive.upper(),)
    empty = next((one for one in drives.vm.drives if one.mode in modes), None)
    discs = [one for one in drives.discs if one.mode in modes]
    if instead is not None or (empty is None and discs):
        other = None if instead is None else resolve.medium(drives.client, gid, instead, beyond=True).id
        before = replace(drives, discs=discs).only(other)
        media = [structs.replace(one, mid=disc.id) if one is before else one for one in drives.vm.media]
        answer = drives.client.alter_vm(vmid=drives.vm.vmid, media=media)
    else:
        mode = empty.mode if empty is not None else modes[0]
        added = Attachment(mid=disc.id, mode=mode, readonly=True)
        answer = drives.client.alter_vm(vmid=drives.vm.vmid, media=[*drives.vm.media, added])
    tell(answer, f"{disc.label} is in a drive of VM {clean(drives.vm.name)}", "media", "drives")


@cd.command("eject")
@which
@click.argument("iso", required=False, shell_complete=resolve.complete_media)
@changing
def eject(vm_: str, group: int | None, iso: str | None) -> None:
    """Eject ISO, or the only one; the empty drive stays."""
    drives, gid = _drives(group, vm_)
    disc = None if iso is None else resolve.medium(drives.client, gid, iso, beyond=True).id
    old = drives.only(disc)
    media = [one for one in drives.vm.media if one is not old]
    left = [*drives.vm.drives, EmptyDrive(mode="USB" if old.mode == "USB" else "VIRTIO")]
    answer = drives.client.alter_vm(vmid=drives.vm.vmid, media=media, drives=left)
    tell(answer, f"{drives.name(old.mid)} is ejected from VM {clean(drives.vm.name)}", "media", "drives")
