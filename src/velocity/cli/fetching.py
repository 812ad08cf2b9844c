"""`velocity media fetch` and `velocity media catalogue`: files from other servers, by URL or name."""

from __future__ import annotations

import contextlib
from urllib.parse import unquote, urlsplit

import click
from msgspec import UNSET

from velocity.cli import connection, where
from velocity.cli.media import FORMAT, FORMATS, POOL, disk_format, stem
from velocity.cli.output import listed, listing
from velocity.cli.plan import changing
from velocity.cli.task import follow
from velocity.cli.where import GROUP
from velocity.cli.words import clean
from velocity.contract.catalogue import CatalogueImage


@click.command()
@click.argument("url", metavar="URL|IMAGE")
@click.option("--sha256", metavar="SUM", help="The file's checksum; a file with another one is not kept.")
@click.option("--name", help="Its name (default: the file's, without the extension if its disk is imported).")
@click.option(
    "--type", "type_", help="ISO, DISK or any other word (default: by the extension before .gz and the like)."
)
@click.option("--readonly", is_flag=True, help="Make it read-only permanently.")
@FORMAT
@click.option(
    "--as-is", is_flag=True, help="Store the bytes as they come (default: of ISOs, and of unknown extensions)."
)
@click.option("--detach", is_flag=True, help="Do not wait: print the task.")
@GROUP
@POOL
@changing
def fetch(
    url: str,
    sha256: str | None,
    name: str | None,
    type_: str | None,
    readonly: bool,
    format_: str | None,
    as_is: bool,
    detach: bool,
    group: int | None,
    pool: int,
) -> None:
    """Have the server fetch the file at URL (http or https) and import the disk in it.

    An IMAGE is one of `velocity media catalogue`. Addresses that are not public need velocity.host.reach.
    """
    if as_is and format_:
        raise click.UsageError("--as-is and --format exclude each other")
    client = connection.connect()
    if "/" not in url:
        if sha256 or as_is:
            raise click.UsageError(f"--sha256 and --as-is go with a URL: {clean(url)!r} is none")
        gid = where.here(client, group)
        tid = client.fetch_medium(
            image=url, gid=gid, mpid=pool, name=name or url, type=type_ or "DISK", readonly=readonly,
            format=FORMATS[format_],
        ).tid  # fmt: skip
        follow(client, tid, detach)
        return
    file = file_at(url)
    type_ = type_ or ("ISO" if stem(file).lower().endswith(".iso") else "DISK")
    imports = not as_is and (format_ is not None or stem(file) != file)
    name = name or (stem(file) if imports else file)
    if not name:
        raise click.UsageError("the URL names no file: give the medium a name with --name")
    started = client.fetch_medium(
        url=url,
        gid=where.here(client, group),
        mpid=pool,
        name=name,
        type=type_,
        readonly=readonly,
        sha256=sha256 or UNSET,
        format=disk_format(format_, type_) if imports else UNSET,
    )
    follow(client, started.tid, detach)


@click.command()
@listing
def catalogue() -> None:
    """List the images that can be fetched and launched by name."""
    listed(
        connection.connect().list_images(),
        "images",
        ("NAME", "TITLE", "VERSION", "SERVER", "USER", "TRUST"),
        lambda one: (one.name, one.title, one.version, one.server, one.user, trust(one)),
        empty="the catalogue is empty",
        noun="image",
    )


TRUST = {
    "pinned": "pinned by SHA-256",
    "signed": "signed by its distribution",
    "checksums": "by its distribution's checksums",
    "tls": "over TLS only",
}


def trust(image: CatalogueImage) -> str:
    """In words, how the image is verified."""
    return TRUST[image.trust] if image.tried else f"{TRUST[image.trust]}; not tried yet"


def file_at(url: str) -> str:
    """The file name in a URL. The server refuses invalid URLs."""
    with contextlib.suppress(ValueError):
        return unquote(urlsplit(url).path).rpartition("/")[2]
    return ""
