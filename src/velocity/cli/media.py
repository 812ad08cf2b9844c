"""`velocity media`."""

from __future__ import annotations

import re
import time
from pathlib import Path
from typing import Literal

import click
from click.shell_completion import CompletionItem
from msgspec import UNSET, UnsetType

from velocity import sizes
from velocity.cli import connection, ending, naming, progress, resolve, seen, where
from velocity.cli.amounts import SIZE, to_bytes
from velocity.cli.lazy import LazyGroup
from velocity.cli.naming import Named
from velocity.cli.output import NameNotFound, SizeCell, as_json, done, listed, listing, made, planning, warn
from velocity.cli.paging import Page, paged
from velocity.cli.plan import changing, unplanned
from velocity.cli.task import follow
from velocity.cli.where import GROUP
from velocity.cli.words import clean, program
from velocity.client import ApiError, Client
from velocity.client.upload import size_of
from velocity.contract.media import LIST, ListMedia, Media, MediumCreated
from velocity.contract.uploads import LIST as LIST_UPLOADS
from velocity.contract.uploads import ListUploads

POOL = click.option(
    "--pool", type=resolve.POOL, default=1, show_default=True, metavar="POOL", help="The media pool: name or id."
)
FORMAT = click.option(
    "--format", "format_", type=click.Choice(["raw", "qcow2"]), help="(default: qcow2; of the type ISO: raw)"
)

ENDINGS = "qcow2|vmdk|vdi|vhdx?|raw|img|xz|zst|gz|bz2|tar|tgz|txz|zip|ova"
FORMATS: dict[str | None, Literal["raw", "qcow2"] | UnsetType] = {"raw": "raw", "qcow2": "qcow2", None: UNSET}


VERBS = {verb.rstrip("_"): f"{__name__}_change:{verb}" for verb in ("show", "set_", "move", "convert", "compact")}
VERBS |= {verb: f"velocity.cli.fetching:{verb}" for verb in ("fetch", "catalogue")}
"""Verbs in other modules."""


@click.group(cls=LazyGroup, verbs=VERBS)
def media() -> None:
    """Media: ISOs and disks. MEDIUM is a name, in the group or else anywhere if it is unique, or an id (`id:...`)."""


@media.command("list")
@GROUP
@click.option(
    "--shared", is_flag=True, help="List the ISOs of the groups above, which VMs of the group can use read-only."
)
@click.option("--host", type=resolve.HOST, metavar="HOST", help="Only media that VMs on this host can use.")
@paged()
@listing
def list_media(group: int | None, shared: bool, host: int | None, page: Page) -> None:
    """List the media of a group."""
    client = connection.connect()
    there = UNSET if host is None else host
    answer = page.ask(client, LIST, ListMedia(gid=where.here(client, group), shared=shared, host=there))
    upload = f"no media: `{program()} media upload FILE{where.option(client, group)}`"
    listed(
        Media(media=list(answer.shared or []) if shared else answer.media),
        "media",
        ("NAME", "TYPE", "SIZE", "ON DISK", "FORMAT", "CONTENT", "READONLY", "MID"),
        lambda one: (
            one.name,
            one.type,
            SizeCell(one.size),
            "missing" if one.missing is True else SizeCell(one.allocated),
            one.format,
            _content(one.content),
            "yes" if one.readonly else "no",
            one.mid,
        ),
        empty="no group above has an ISO" if shared else upload,
        noun="medium",
    )
    if not as_json():
        warn(
            f"the file of {one.name} is not in its pool: bring it back from a backup, or delete the medium"
            for one in answer.media
            if one.missing is True
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
    """Upload FILE, which may be a block device."""
    type_ = type_ or ("ISO" if file.suffix.lower() == ".iso" else "DISK")
    name = _name(file, name, file.name)
    client = connection.connect()
    gid = where.here(client, group)
    answer = send(client, file, name, type_, gid, pool, readonly)
    made(answer, answer.mid, f"uploaded {clean(name)} (mid {answer.mid}) into {where.path(client, gid)}")
    if as_json():
        return
    if answer.unwrapped is True:
        _warn(f"the file is a form with a file in it, and that file of {sizes.size(answer.size)} was stored")
    if answer.content and isinstance(answer.content.warning, str):
        _warn(clean(answer.content.warning))


@media.command()
@GROUP
@paged()
@listing
def uploads(group: int | None, page: Page) -> None:
    """List the unfinished uploads into the group and all below it.

    An interrupted upload is kept for a day: the same command continues it.
    """
    client = connection.connect()
    listed(
        page.ask(client, LIST_UPLOADS, ListUploads(gid=where.here(client, group))),
        "uploads",
        ("NAME", "TYPE", "SIZE", "RECEIVED", "STATE", "BY", "BEGUN", "MID"),
        lambda one: (
            one.name,
            one.type,
            SizeCell(one.size),
            SizeCell(one.received),
            "sending" if one.sending else "waiting",
            seen.who(client, one.uid),
            time.strftime("%Y-%m-%d %H:%M", time.localtime(one.begun)),
            one.mid,
        ),
        empty="no uploads are under way",
        noun="upload",
    )


def _complete_uploads(context: click.Context, _parameter: click.Parameter, begun: str) -> list[CompletionItem]:
    def words(client: Client) -> dict[str, str]:
        uploads = client.list_uploads(gid=where.here(client, context.params.get("group"))).uploads
        return naming.offered(begun, ((one.name, one.mid) for one in uploads), naming.uuid)

    return naming.completing(context, begun, words)


@media.command()
@click.argument("upload", shell_complete=_complete_uploads)
@GROUP
@changing
def cancel(upload: str, group: int | None) -> None:
    """End an unfinished UPLOAD, and remove its data. UPLOAD is its name, or its MID (`id:...`)."""
    client = connection.connect()
    uploads = client.list_uploads(gid=where.here(client, group)).uploads
    known = {one.mid: one.name for one in uploads}
    named = [Named(one.mid, "") for one in uploads if one.name == upload]
    mid = naming.choose("upload", upload, named, known, naming.uuid)
    if mid not in known:
        raise NameNotFound(f"no upload of that name: `{program()} media uploads` lists them")
    client.end_upload(mid=mid)
    done(f"ended the upload of {clean(known[mid])}")


@media.command()
@click.argument("medium", shell_complete=resolve.complete_media)
@click.argument("file", type=click.Path(path_type=Path), required=False)
@GROUP
def download(medium: str, file: Path | None, group: int | None) -> None:
    """Download MEDIUM to FILE. The default is its name, or its id if it is given by id."""
    client = connection.connect()
    found = resolve.medium(client, group, medium)
    target = file or Path(found.name.replace("/", "_"))
    ending.in_order()
    with progress.bar() as bar:
        task = bar.add_task(f"downloading {progress.label(found.label)}", total=None)
        client.download(found.id, target, progress=lambda done, total: bar.update(task, completed=done, total=total))
    done(f"downloaded {clean(target)}")


@media.command("import")
@click.argument("source", metavar="FILE|MEDIUM")
@click.option("--name", help="Its name (default: the source's, without the extension).")
@click.option(
    "--type", "type_", help="ISO, DISK or any other word (default: by the extension before .gz and the like)."
)
@FORMAT
@click.option("--detach", is_flag=True, help="Do not wait: print the task.")
@GROUP
@POOL
@changing
def import_(
    source: str, name: str | None, type_: str | None, format_: str | None, detach: bool, group: int | None, pool: int
) -> None:
    """Make a disk from an image. Formats: qcow2, VMDK, VDI, VHDX, VHD, raw; also packed, or in an OVA, tar or zip.

    A FILE is uploaded first, without becoming a medium. If interrupted, the same command continues. A word that names
    both a FILE and a MEDIUM means the FILE; `id:...` is always a medium.
    """
    file = Path(source)
    local = file.exists() and not file.is_dir()
    type_ = type_ or ("ISO" if stem(file.name).lower().endswith(".iso") else "DISK")
    name = _name(file, name, stem(file.name))
    client = connection.connect()
    gid = where.here(client, group)
    disk = disk_format(format_, type_)
    if local:
        if planning():
            unplanned(
                f"{clean(file.name)} would be imported after the upload: the size of its disk is not known before"
            )
        tid = import_file(client, file, name, gid=gid, mpid=pool, format=disk, type=type_)
    elif "/" in source:
        raise NameNotFound(f"there is no file {clean(source)!r}")
    else:
        found = resolve.medium(client, gid, source, beyond=True).id
        tid = client.import_medium(mid=found, gid=gid, mpid=pool, name=name, type=type_, format=disk).tid
    follow(client, tid, detach)


@media.command()
@click.argument("medium", shell_complete=resolve.complete_media)
@click.argument("name")
@click.option("--format", "format_", type=click.Choice(["raw", "qcow2"]), help="A different format.")
@click.option("--detach", is_flag=True, help="Do not wait: print the task.")
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
@click.option("--size", "size_", required=True, metavar="SIZE", help=SIZE)
@FORMAT
@click.option("--type", "type_", default="DISK", show_default=True, help="ISO, DISK or any other word.")
@GROUP
@POOL
@changing
def create(name: str, size_: str, format_: str | None, type_: str, group: int | None, pool: int) -> None:
    """Create the empty medium NAME; it is stored sparsely."""
    client = connection.connect()
    gid = where.here(client, group)
    answer = client.create_medium(
        name=name,
        size=to_bytes(size_),
        gid=gid,
        mpid=pool,
        type=type_,
        format=disk_format(format_, type_),
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
    done(f"deleted medium {found.label}{' permanently' if purge else ''}")


def import_file(
    client: Client, file: Path, name: str, *, gid: int, mpid: int, format: Literal["raw", "qcow2"], type: str = "DISK"
) -> int:
    """Upload an image and begin its import; returns the task. The upload becomes no medium, and ends with the task."""
    uploaded = send(client, file, f"import of {file.name}", "DISK", gid, mpid, readonly=True, for_import=True).mid
    try:
        return client.import_medium(upload=uploaded, gid=gid, mpid=mpid, name=name, type=type, format=format).tid
    except ApiError:
        client.end_upload(mid=uploaded)
        raise


def send(
    client: Client,
    file: Path,
    name: str,
    type_: str,
    gid: int,
    mpid: int,
    readonly: bool,
    for_import: bool = False,
) -> MediumCreated:
    """Upload with a progress bar on stderr."""
    size = size_of(file)
    with progress.bar(shown=not planning()) as bar:
        task = bar.add_task(f"uploading {progress.label(name)}", total=size)
        return client.upload(
            file,
            mpid=mpid,
            gid=gid,
            name=name,
            type=type_,
            readonly=readonly,
            for_import=for_import,
            progress=lambda done, total: bar.update(task, completed=done, total=total),
        )


def disk_format(given: str | None, type_: str) -> Literal["raw", "qcow2"]:
    """The format for an import: qcow2 for disks, which stays sparse when it is copied; raw for ISOs."""
    return "raw" if (given or ("raw" if type_ == "ISO" else "qcow2")) == "raw" else "qcow2"


def _warn(words: str) -> None:
    click.secho(f"warning: {words}", fg="yellow", err=True)


def _name(file: Path, given: str | None, derived: str) -> str:
    """The given name, or one derived from the file's."""
    name = given or derived
    try:
        name.encode()
    except UnicodeEncodeError:
        raise click.UsageError(f"the name of {clean(file.name)!r} is not UTF-8 text: give one with --name") from None
    return name


def stem(name: str) -> str:
    """The name without the suffixes of images and archives."""
    return re.sub(rf"(\.({ENDINGS}))+$", "", name, flags=re.IGNORECASE) or name


def _content(content: object) -> str:
    parts = [getattr(content, "format", "")]
    label = getattr(content, "label", None)
    if isinstance(label, str):
        parts.append(label)
    if getattr(content, "boots_efi", None) is True:
        parts.append("boots EFI")
    return " ".join(str(part) for part in parts if part)
