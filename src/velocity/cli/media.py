"""`velocity media`."""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path
from typing import Literal

import click
from msgspec import UNSET, UnsetType
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

from velocity.cli import connection, resolve, where
from velocity.cli.output import SizeCell, as_json, done, listed, listing, made, planning
from velocity.cli.plan import changing, unplanned
from velocity.cli.task import follow
from velocity.cli.where import GROUP
from velocity.cli.words import clean, program
from velocity.client import Client
from velocity.contract.media import Media, MediumCreated

POOL = click.option(
    "--pool", type=resolve.PoolType(), default=1, show_default=True, metavar="POOL", help="The media pool: name or id."
)

ENDINGS = "qcow2|vmdk|vdi|vhdx?|raw|img|xz|zst|gz|bz2|tar|tgz|txz|zip|ova"
FORMATS: dict[str | None, Literal["raw", "qcow2"] | UnsetType] = {"raw": "raw", "qcow2": "qcow2", None: UNSET}


@click.group()
def media() -> None:
    """Media: ISOs and disks. MEDIUM is an id or a name: first in the group, then anywhere if it is unique."""


@media.command("list")
@GROUP
@click.option("--shared", is_flag=True, help="List the ISOs of the groups above, which its VMs can use read-only.")
@listing
def list_media(group: int | None, shared: bool) -> None:
    """List the media of a group."""
    client = connection.connect()
    answer = client.list_media(gid=where.here(client, group))
    upload = f"no media: `{program()} media upload FILE{where.option(client, group)}`"
    listed(
        Media(media=list(answer.shared or []) if shared else answer.media),
        "media",
        ("NAME", "TYPE", "SIZE", "ON DISK", "FORMAT", "HOLDS", "READONLY", "MID"),
        lambda one: (
            one.name,
            one.type,
            SizeCell(one.size),
            SizeCell(one.allocated),
            one.format,
            _content(one.content),
            "yes" if one.readonly else "no",
            one.mid,
        ),
        empty="no group above has an ISO" if shared else upload,
        noun="medium",
    )


@media.command()
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--name", help="Its name (default: the file's).")
@click.option("--type", "type_", help="ISO, DISK or any other word (default: by the file's extension).")
@click.option("--readonly", is_flag=True, help="Make it read-only permanently.")
@GROUP
@POOL
@changing
def upload(file: Path, name: str | None, type_: str | None, readonly: bool, group: int | None, pool: int) -> None:
    """Upload FILE."""
    type_ = type_ or ("ISO" if file.suffix.lower() == ".iso" else "DISK")
    client = connection.connect()
    gid = where.here(client, group)
    name = name or file.name
    answer = send(client, file, name, type_, gid, pool, readonly)
    made(answer, answer.mid, f"uploaded {clean(name)} (mid {answer.mid}) into {where.path(client, gid)}")
    if as_json():
        return
    if answer.content and isinstance(answer.content.warning, str):
        click.secho(f"warning: {clean(answer.content.warning)}", fg="yellow", err=True)


@media.command()
@click.argument("medium", shell_complete=resolve.complete_media)
@click.argument("file", type=click.Path(path_type=Path), required=False)
@GROUP
def download(medium: str, file: Path | None, group: int | None) -> None:
    """Download MEDIUM to FILE (default: its name, or its id if it is given by id)."""
    client = connection.connect()
    found = resolve.medium(client, group, medium)
    target = file or Path(medium.replace("/", "_"))
    with _bar("downloading") as bar:
        task = bar.add_task(_label(found.label), total=None)
        client.download(found.id, target, progress=lambda done, total: bar.update(task, completed=done, total=total))
    done(f"downloaded {clean(target)}")


@media.command("import")
@click.argument("source", metavar="FILE|MEDIUM")
@click.option("--name", help="Its name (default: the source's, without the extension).")
@click.option("--format", "format_", type=click.Choice(["raw", "qcow2"]), default="raw", show_default=True)
@click.option("--detach", is_flag=True, help="Do not wait until it is done: print the task.")
@GROUP
@POOL
@changing
def import_(source: str, name: str | None, format_: str, detach: bool, group: int | None, pool: int) -> None:
    """Make a disk from an image: qcow2, VMDK, VDI, VHDX, VHD or raw, also packed or in an OVA, tar or zip.

    A FILE is uploaded first, and that upload removed again in the end (but with --detach).
    """
    client = connection.connect()
    gid = where.here(client, group)
    file = Path(source)
    uploaded = None
    if file.is_file():
        if planning():
            unplanned(
                f"{clean(file.name)} would be imported after the upload: the size of its disk is not known before"
            )
        uploaded = send(client, file, f"import of {file.name} {os.getpid()}", "DISK", gid, pool, readonly=True).mid
    found = uploaded or resolve.medium(client, gid, source, beyond=True).id
    try:
        started = client.import_medium(
            mid=found,
            gid=gid,
            mpid=pool,
            name=name or _stem(file.name),
            format="qcow2" if format_ == "qcow2" else "raw",
        )
        follow(client, started.tid, detach)
    finally:
        if uploaded is not None and not detach:
            client.delete_medium(mid=uploaded, purge=True)


@media.command()
@click.argument("medium", shell_complete=resolve.complete_media)
@click.argument("name")
@click.option("--format", "format_", type=click.Choice(["raw", "qcow2"]), help="A different format.")
@click.option("--detach", is_flag=True, help="Do not wait until it is done: print the task.")
@GROUP
@POOL
@changing
def clone(medium: str, name: str, format_: str | None, detach: bool, group: int | None, pool: int) -> None:
    """Copy MEDIUM; the copy is called NAME."""
    client = connection.connect()
    gid = where.here(client, group)
    found = resolve.medium(client, gid, medium, beyond=True)
    started = client.clone_medium(mid=found.id, gid=gid, mpid=pool, name=name, format=FORMATS[format_])
    follow(client, started.tid, detach)


@media.command()
@click.argument("name")
@click.option("--size", "size_", required=True, metavar="SIZE", help="Such as 10G, 512M, or bytes.")
@click.option("--format", "format_", type=click.Choice(["raw", "qcow2"]), default="raw", show_default=True)
@click.option("--type", "type_", default="DISK", show_default=True)
@GROUP
@POOL
@changing
def create(name: str, size_: str, format_: str, type_: str, group: int | None, pool: int) -> None:
    """Create the empty medium NAME; it is stored sparsely."""
    client = connection.connect()
    gid = where.here(client, group)
    answer = client.create_medium(
        name=name,
        size=to_bytes(size_),
        gid=gid,
        mpid=pool,
        type=type_,
        format="qcow2" if format_ == "qcow2" else "raw",
    )
    made(answer, answer.mid, f"created medium {clean(name)} (mid {answer.mid}) in {where.path(client, gid)}")


@media.command()
@click.argument("medium", shell_complete=resolve.complete_media)
@click.option("--purge", is_flag=True, help="Delete permanently, without the trash.")
@GROUP
@changing
def rm(medium: str, purge: bool, group: int | None) -> None:
    """Move MEDIUM to the trash."""
    client = connection.connect()
    found = resolve.medium(client, group, medium)
    client.delete_medium(mid=found.id, purge=purge)
    done(f"removed {found.label}")


def send(client: Client, file: Path, name: str, type_: str, gid: int, mpid: int, readonly: bool) -> MediumCreated:
    """Upload with a progress bar on stderr."""
    with _bar("uploading", shown=not planning()) as bar:
        task = bar.add_task(_label(name), total=file.stat().st_size)
        return client.upload(
            file,
            mpid=mpid,
            gid=gid,
            name=name,
            type=type_,
            readonly=readonly,
            progress=lambda done, total: bar.update(task, completed=done, total=total),
        )


def _bar(verb: str, *, shown: bool = True) -> Progress:
    return Progress(
        TextColumn(f"{verb} {{task.description}}"),
        BarColumn(),
        DownloadColumn(binary_units=True),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
        console=Console(file=sys.stderr),
        disable=not shown,
    )


def _label(name: str) -> str:
    return clean(name).replace("[", "\\[")


def _stem(name: str) -> str:
    """Without the endings of images and packers."""
    return re.sub(rf"(\.({ENDINGS}))+$", "", name, flags=re.IGNORECASE) or name


def to_bytes(text: str) -> int:
    """10G, 512M, 64K or plain bytes; the units are binary."""
    match = re.fullmatch(r"(\d+)\s*([KMGT]?)(i?B)?", text.strip(), re.IGNORECASE)
    if match is None:
        raise click.BadParameter(f"{text!r} is not a size: write 10G, 512M, or bytes")
    return int(match[1]) << {"": 0, "K": 10, "M": 20, "G": 30, "T": 40}[match[2].upper()]


def _content(content: object) -> str:
    parts = [getattr(content, "format", "")]
    label = getattr(content, "label", None)
    if isinstance(label, str):
        parts.append(label)
    if getattr(content, "boots_efi", None) is True:
        parts.append("boots EFI")
    return " ".join(str(part) for part in parts if part)
