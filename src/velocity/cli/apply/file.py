"""What an apply file may say. TOML; unknown words are refused."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Literal

import msgspec
from msgspec import Struct

from velocity.client import ClientError


class FileEntry(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename="kebab"):
    """A table of the file."""


class QuotaEntry(FileEntry, frozen=True):
    cpus: int | None = None
    memory: str | None = None
    vms: int | None = None


class PoolEntry(FileEntry, frozen=True):
    """`pool` is an id or a name."""

    pool: int | str
    quota: str = "0"
    write: bool = False
    manage: bool = False


class GroupEntry(FileEntry, frozen=True):
    """`path` as `velocity group list` shows it; parents come first."""

    path: str
    quota: QuotaEntry | None = None
    pools: list[PoolEntry] = []


class GrantEntry(FileEntry, frozen=True):
    group: str
    permissions: list[str]


class UserEntry(FileEntry, frozen=True):
    """A new user gets the password of the file, or one that is made and shown once. `group` is the home."""

    name: str
    group: str | None = None
    password_file: str | None = None
    grants: list[GrantEntry] = []


class MediumEntry(FileEntry, frozen=True):
    """Empty with a `size`, uploaded from `file`, or imported from the image `image`."""

    name: str
    group: str = "/"
    pool: int | str = 1
    type: str | None = None
    format: Literal["raw", "qcow2"] = "raw"
    size: str | None = None
    file: str | None = None
    image: str | None = None


class VmEntry(FileEntry, frozen=True):
    """Displays, media and NICs as in `velocity vm create`; `state` RUNNING or STOPPED, or absent: as it is."""

    name: str
    group: str = "/"
    cpus: int = 1
    memory: str = "1G"
    displays: list[str] = []
    media: list[str] = []
    nics: list[str] = []
    autostart: bool = False
    notes: str | None = None
    state: Literal["RUNNING", "STOPPED"] | None = None


class File(FileEntry, frozen=True):
    groups: list[GroupEntry] = []
    users: list[UserEntry] = []
    media: list[MediumEntry] = []
    vms: list[VmEntry] = []


def read(path: Path) -> File:
    """Raises `ClientError`, naming what is wrong."""
    try:
        file = msgspec.convert(tomllib.loads(path.read_text(encoding="utf-8")), File)
    except OSError as error:
        raise ClientError(f"{path} cannot be read: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ClientError(f"{path}: {error}") from None
    except msgspec.ValidationError as error:
        raise ClientError(f"{path}: {str(error).replace('$.', '')}") from None
    for medium in file.media:
        if sum(one is not None for one in (medium.size, medium.file, medium.image)) != 1:
            raise ClientError(f"{path}: medium {medium.name!r} needs exactly one of size, file and image")
    named = [one for medium in file.media for one in (medium.file, medium.image)]
    for name in [*named, *(user.password_file for user in file.users)]:
        if name is not None and not (path.parent / name).is_file():
            raise ClientError(f"{path}: there is no file {name!r} next to it")
    return file
