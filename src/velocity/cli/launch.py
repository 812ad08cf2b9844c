"""`velocity launch`: from the name of an image to a guest that accepts logins, with public operations only.

If it is interrupted, calling it again continues: each step first checks what exists.
"""

from __future__ import annotations

import contextlib
import shlex
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import click
from click.core import ParameterSource
from msgspec import UNSET, structs

from velocity.cli import connection, naming, resolve, seen, where
from velocity.cli import ssh as login
from velocity.cli.amounts import SECONDS, SIZE, to_bytes
from velocity.cli.attachments import MediaScope
from velocity.cli.fetching import trust
from velocity.cli.media import POOL
from velocity.cli.output import NameNotFound, as_json, show_json, warn
from velocity.cli.plan import changing, unplanned
from velocity.cli.ssh import Target
from velocity.cli.task import check_done, watch
from velocity.cli.vm_settings import launching, read
from velocity.cli.where import GROUP
from velocity.cli.words import clean, program
from velocity.client import ApiError, Client, PlanOnly
from velocity.contract import names
from velocity.contract.catalogue import CatalogueImage
from velocity.contract.cloud_init import CloudInit
from velocity.contract.machines import CREATE, Attachment, CreateVm, State, VmInfo
from velocity.contract.media import MediumInfo
from velocity.contract.tasks import TaskState
from velocity.contract.vm_settings import Forward, NatKind
from velocity.sizes import size

NAME_TAKEN = 49220
OTHERS_SECONDS = 600.0
"""Seconds to wait for the same image to be fetched by somebody else."""
LOOK = 0.5
"""Seconds between two looks for it."""
PORTS = range(2222, 2322)
"""Ports of this host that are tried as forwards to a guest's ssh, if it cannot be reached otherwise."""
NOT_THIS_PORT = (16460, 16461)


@dataclass(frozen=True)
class Wanted:
    """What to create. Either an `image` of the catalogue or an existing `medium`."""

    name: str
    gid: int
    pool: int
    image: CatalogueImage | None
    medium: UUID | None

    @property
    def disk(self) -> str:
        return f"{self.name}-disk"


@click.command()
@click.argument("image", metavar="IMAGE|MEDIUM")
@click.option("--name", help="The VM's name (default: the image's).")
@launching
@click.option("--disk-size", metavar="SIZE", help=f"Enlarge its disk to SIZE; the guest uses all of it. {SIZE}")
@click.option("--wait/--no-wait", default=True, help="Wait until ssh answers.")
@click.option("--timeout", type=SECONDS, default=600, show_default=True, help="How long to wait.")
@GROUP
@POOL
@click.option("--host", type=resolve.HOST, metavar="HOST", help="The host for it and its disk.")
@changing
def launch(
    image: str,
    name: str | None,
    written: Mapping[str, Any],
    disk_size: str | None,
    wait: bool,
    timeout: float,
    group: int | None,
    pool: int,
    host: int | None,
) -> None:
    """Create a VM from an image, start it, and wait until it can be logged in to.

    IMAGE is a name from `velocity media catalogue`: it is fetched into the pool once, and copied for each VM. It can
    also be an existing MEDIUM. If interrupted, run the same command again to continue.
    """
    if name is None and image.startswith(naming.PREFIX):
        raise click.UsageError("a medium's id cannot be the VM's name: give it one with --name")
    bytes_ = None if disk_size is None else to_bytes(disk_size)
    client = connection.connect()
    gid = where.here(client, group)
    pool = pool if host is None else _pool_of(client, gid, pool, host)
    known = {one.name: one for one in client.list_images().images}
    entry = known.get(image)
    medium = None if entry else _medium(client, gid, image)
    wanted = Wanted(names.tidy(name or image), gid, pool, entry, medium)
    settings = _settings(client, wanted, written) | {"host": UNSET if host is None else host}
    vmid, vm = _find(client, wanted), []
    if vmid is None:  # check the VM before fetching anything
        vm = [client.plan(CREATE, CreateVm(name=wanted.name, gid=gid, **settings))]
    with contextlib.suppress(PlanOnly):
        if vmid is None:
            disk = Attachment(mid=_disk(client, wanted, bytes_), mode="BLOCK")
            vmid = client.create_vm(name=wanted.name, gid=gid, media=[disk], **settings).vmid
            click.echo(f"created VM {clean(wanted.name)} (vmid {vmid}) in {where.path(client, gid)}", err=True)
        if client.vm_state(vmid=vmid).state is not State.RUNNING:
            client.set_vm_state(vmid=vmid, state="RUNNING")
        _end(client, vmid, timeout if wait else None)
        return
    unplanned("what follows is not checked in advance: the VM's disk is copied and attached, and the VM started", vm)


def _pool_of(client: Client, gid: int, pool: int, host: int) -> int:
    """The named pool; otherwise the only one of that host."""
    context = click.get_current_context()
    if context.get_parameter_source("pool") is not ParameterSource.DEFAULT:
        return pool
    there = [one for one in client.list_pools(gid=gid).pools if one.host is UNSET or one.host.id == host]
    if pool in [one.mpid for one in there]:
        return pool
    if len(there) != 1:
        has = ", ".join(clean(one.name) for one in there) or "none that the group sees"
        raise click.ClickException(
            f"name the pool of its disk (--pool): those of host {seen.host_label(client, host)} are {has}"
        )
    return there[0].mpid


def _medium(client: Client, gid: int, word: str) -> UUID:
    try:
        return resolve.medium(client, gid, word, beyond=True).id
    except NameNotFound as error:
        raise NameNotFound(
            f"{error.message}; nor is it an image of the catalogue: `{program()} media catalogue` lists those"
        ) from None


def _settings(client: Client, wanted: Wanted, written: Mapping[str, Any]) -> dict[str, Any]:
    """The VM's settings. By default, the image's own user may log in."""
    settings = read(MediaScope(client, wanted.gid, beyond=True), written)
    given = settings.get("cloud_init", CloudInit())
    if wanted.image is not None and given.user is UNSET and given.user_data is UNSET:
        settings["cloud_init"] = given = structs.replace(given, user=wanted.image.user)
    if wanted.image is not None and UNSET is given.ssh_keys is given.password_hash is given.user_data:
        warn(["nobody can log in to it: name a key with --ssh-key, as in --ssh-key ~/.ssh/id_ed25519.pub"])
    return settings


def _find(client: Client, wanted: Wanted) -> int | None:
    """The VM that an earlier call has made. Raises `ClickException` if the name belongs to another VM."""
    found = next((one for one in client.list_vms(gid=wanted.gid).vms if one.name == wanted.name), None)
    if found is None:
        return None
    info = client.show_vm(vmid=found.vmid)
    mids = {one.mid for one in info.media}
    if any(one.mid in mids for one in _disks(client, wanted)):
        click.echo(f"VM {clean(wanted.name)} exists: continuing with it as it is", err=True)
        return found.vmid
    raise click.ClickException(f"there already is another VM {clean(wanted.name)}: choose another --name")


def _disks(client: Client, wanted: Wanted) -> list[MediumInfo]:
    """Media that may be the VM's disk, made by an earlier call."""
    origin = UNSET if wanted.image is None else wanted.image.origin
    return [one for one in client.list_media(gid=wanted.gid, shared=False).media
            if one.name == wanted.disk and (wanted.image is None or one.origin == origin)]  # fmt: skip


def _disk(client: Client, wanted: Wanted, bytes_: int | None) -> UUID:
    """The VM's own copy of the image, enlarged as requested."""
    for one in _disks(client, wanted):
        if not one.used_by:
            mid, has = one.mid, _grows(one.size, bytes_)
            break
    else:
        source = wanted.medium if wanted.image is None else _base(client, wanted, wanted.image)
        assert source is not None, "it is in the catalogue, or exists already"
        has = _grows(client.show_medium(mid=source).size, bytes_)
        copied = client.clone_medium(mid=source, gid=wanted.gid, mpid=wanted.pool, name=wanted.disk)
        mid = _task(client, copied.tid)
    if bytes_ is not None and bytes_ > has:
        client.alter_medium(mid=mid, size=bytes_)
    return mid


def _grows(has: int, wanted: int | None) -> int:
    """The present size. Raises `ClickException` if a smaller one is requested."""
    if wanted is not None and wanted < has:
        raise click.ClickException(f"--disk-size: the image has {size(has)}, and disks only grow: give that or more")
    return has


def _base(client: Client, wanted: Wanted, image: CatalogueImage) -> UUID:
    """The image in the pool: an existing one, or fetched, once for all simultaneous calls."""
    if (found := _cached(client, wanted, image)) is not None:
        return found
    click.echo(f"fetching {clean(image.title)} from {clean(image.server)} ({trust(image)})", err=True)
    for name in (image.name, f"{image.name}-{image.origin[:8]}"):
        try:
            started = client.fetch_medium(
                image=image.name, gid=wanted.gid, mpid=wanted.pool, name=name, readonly=True, type="DISK"
            )
        except ApiError as error:
            if error.code != NAME_TAKEN:
                raise
            if (found := _of_others(client, wanted, image, name)) is not None:
                return found
        else:
            return _task(client, started.tid)
    raise click.ClickException(f"media named {image.name} and {name} were made from other images: delete one")


def _cached(client: Client, wanted: Wanted, image: CatalogueImage) -> UUID | None:
    """An existing image, in the VM's group or another visible one."""
    for gid in dict.fromkeys((wanted.gid, *where.paths(client))):
        with contextlib.suppress(ApiError):
            media = client.list_media(gid=gid, shared=False).media
            found = [one for one in media if one.origin == image.origin and one.readonly and one.missing is UNSET]
            here = [one for one in found if one.mpid == wanted.pool]
            if here or (found and gid != wanted.gid):
                return (here or found)[0].mid
    return None


def _of_others(client: Client, wanted: Wanted, image: CatalogueImage, name: str) -> UUID | None:
    """The image that somebody else is fetching under that name, when it is there; None: it is another image."""
    end = time.monotonic() + OTHERS_SECONDS
    while time.monotonic() < end:
        if (found := _cached(client, wanted, image)) is not None:
            return found
        if any(one.name == name for one in client.list_media(gid=wanted.gid, shared=False).media):
            return None
        tasks = client.list_tasks(gid=wanted.gid).tasks
        mine = [one for one in tasks if one.name == name and one.state is TaskState.RUNNING]
        if mine:
            click.echo(f"somebody else is fetching {clean(name)}: waiting", err=True)
            watch(client, mine[0].tid)
        time.sleep(LOOK)
    return None


def _task(client: Client, tid: int) -> UUID:
    """The medium that the task has made."""
    one = watch(client, tid)
    check_done(one)
    assert isinstance(one.mid, UUID), "it is done"
    return one.mid


def _end(client: Client, vmid: int, seconds: float | None) -> None:
    """Wait for ssh, and show how to log in."""
    end = time.monotonic() + (seconds or 0)
    info, target = login.awaited(client, _led(client, client.show_vm(vmid=vmid)), seconds or 0)
    if target is not None and seconds is not None and not login.answers(target, end - time.monotonic()):
        raise click.ClickException(
            f"VM {clean(info.name)} runs, and ssh has not answered at {target} within {seconds:.0f} s: see its "
            f"console, `{program()} vm log id:{vmid}`"
        )
    if as_json():
        show_json(info)
    elif target is None:
        click.echo(f"VM {clean(info.name)} runs. {login.unreachable(info)}", err=True)
    else:
        click.echo(_line(info, target))


def _led(client: Client, info: VmInfo) -> VmInfo:
    """The VM with a forward to its ssh port, if it is in QEMU's user network and cannot be reached otherwise."""
    in_qemu = any(one.nat is NatKind.USER for one in info.interfaces)
    if not in_qemu or not login.is_here(client) or login.target(client, info) is not None:
        return info
    for port in PORTS:
        forward = Forward(host_port=port, guest_port=login.FORWARDED, host_address="127.0.0.1")
        try:
            answer = client.alter_vm(vmid=info.vmid, forwards=[*info.forwards, forward])
        except ApiError as error:
            if error.code not in NOT_THIS_PORT:
                return info  # it runs, which is what was asked for
            continue
        if "forwards" not in answer.waiting:
            click.echo(f"the port {port} of this host, at 127.0.0.1, leads to its ssh", err=True)
            return client.show_vm(vmid=info.vmid)
        client.alter_vm(vmid=info.vmid, forwards=info.forwards)
    return info


def _line(info: VmInfo, target: Target) -> str:
    who = f"{info.cloud_init.user}@" if info.cloud_init.user else ""
    words = " ".join(["ssh", *target.option, f"{who}{target.address}"])
    return f"{program()} vm ssh {shlex.quote(clean(info.name))}    # or: {words}"
