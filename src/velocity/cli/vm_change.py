"""`velocity vm create`, `set` and `clone`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import click
from msgspec import UNSET, structs

from velocity.cli import cloud_init, connection, resolve, where
from velocity.cli.altered import tell_waits
from velocity.cli.attachments import MediaScope
from velocity.cli.output import as_json, made, show_json
from velocity.cli.plan import changing
from velocity.cli.task import follow
from velocity.cli.vm_settings import altering, creating, read
from velocity.cli.where import GROUP
from velocity.cli.which import which
from velocity.cli.words import clean, program
from velocity.contract.cloud_init import CloudInit


@click.command()
@click.argument("name")
@creating
@click.option("--host", type=resolve.HOST, metavar="HOST", help="The host for it (default: the best).")
@GROUP
@changing
def create(name: str, written: Mapping[str, Any], host: int | None, group: int | None) -> None:
    """Create the VM NAME."""
    client = connection.connect()
    gid = where.here(client, group)
    settings = read(MediaScope(client, gid, beyond=True), written)
    answer = client.create_vm(name=name, gid=gid, host=UNSET if host is None else host, **settings)
    made(answer, answer.vmid, f"created VM {clean(name)} (vmid {answer.vmid}) in {where.path(client, gid)}")
    if as_json():
        return
    for warning in answer.warnings or []:
        click.secho(f"warning: {clean(warning)}", fg="yellow", err=True)


@click.command("set")
@which
@click.option("--name", help="A new name.")
@altering
@click.option(
    "--firmware",
    type=click.Choice(["host"]),
    help="Use this host's firmware build. Boot entries stay unless its layout differs.",
)
@click.option("--machine", type=click.Choice(["latest"]), help="Use the newest machine type of this host's QEMU.")
@click.option("--hardware", metavar="latest|NAME", help="Use the newest hardware version, or the one of that name.")
@click.option("--no-cloud-init", "nothing", is_flag=True, help="Remove all settings for cloud-init.")
@click.option(
    "--new-instance", is_flag=True, help="Have cloud-init configure the guest as a new instance at its next start."
)
@changing
def set_(
    vm_: str,
    group: int | None,
    name: str | None,
    written: Mapping[str, Any],
    firmware: str | None,
    machine: str | None,
    hardware: str | None,
    nothing: bool,
    new_instance: bool,
) -> None:
    """Change VM. Settings that are not given stay; lists replace the present ones."""
    client = connection.connect()
    found = resolve.vm(client, group, vm_)
    gid = client.show_vm(vmid=found.id).gid if found.gid is None and written.get("media") else found.gid
    settings = read(MediaScope(client, gid, beyond=True), written)
    given = {"name": name, "firmware": firmware, "machine_type": machine, "hardware": hardware}
    settings |= {field: value for field, value in given.items() if value is not None}
    if nothing:
        settings["cloud_init"] = structs.replace(cloud_init.NOTHING, **_said(settings.get("cloud_init")))
    if new_instance:
        settings["new_instance"] = True
    answer = client.alter_vm(vmid=found.id, **settings)
    if as_json():
        show_json(answer)
        return
    for warning in answer.warnings or []:
        click.secho(f"warning: {clean(warning)}", fg="yellow", err=True)
    if not answer.waiting or settings.keys() - answer.waiting:
        click.echo(f"{found.label} is changed")
    if answer.waiting:
        click.echo(f"at its next start: {', '.join(answer.waiting)}")
        tell_waits(answer, answer.waiting)
    if new_instance:
        click.echo(f"the guest gets new ssh keys: `{program()} vm ssh --new-key` accepts them", err=True)


def _said(wanted: CloudInit | None) -> dict[str, Any]:
    return {} if wanted is None else {name: one for name, one in structs.asdict(wanted).items() if one is not UNSET}


@click.command()
@which
@click.argument("name")
@click.option("--to", type=where.TYPE, metavar="GROUP", help="The clone's group (default: the VM's).")
@click.option("--pool", type=resolve.POOL, metavar="POOL", help="The copies' pool (default: each in its source's).")
@click.option("--host", type=resolve.HOST, metavar="HOST", help="The clone's host (default: VM's host, if possible).")
@click.option("--leave", multiple=True, metavar="MEDIUM", help="A medium to leave out; can be given several times.")
@click.option("--fresh-firmware", is_flag=True, help="Do not copy the firmware variables, such as boot entries.")
@click.option("--detach", is_flag=True, help="Do not wait: print the task.")
@changing
def clone(
    vm_: str,
    group: int | None,
    name: str,
    to: int | None,
    pool: int | None,
    host: int | None,
    leave: tuple[str, ...],
    fresh_firmware: bool,
    detach: bool,
) -> None:
    """Clone VM, which is stopped, as NAME. The disks that it writes to are copied, other media are shared."""
    client = connection.connect()
    found = resolve.vm(client, group, vm_)
    gid = client.show_vm(vmid=found.id).gid if found.gid is None else found.gid
    left = [resolve.medium(client, gid, one, beyond=True).id for one in leave]
    started = client.clone_vm(
        vmid=found.id,
        gid=gid if to is None else to,
        name=name,
        mpid=UNSET if pool is None else pool,
        host=UNSET if host is None else host,
        leave=left,
        fresh_firmware=fresh_firmware,
    )
    follow(client, started.tid, detach)
