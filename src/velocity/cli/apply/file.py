"""The format of apply files (TOML). Unknown words and contradictions are refused."""

from __future__ import annotations

import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import msgspec
from msgspec import Struct

from velocity.cli.words import clean
from velocity.client import ClientError
from velocity.contract import names
from velocity.contract.fields import PASSWORD_LENGTH

STDIN = Path("-")


class FileEntry(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename="kebab"):
    """A table of the file."""


class QuotaEntry(FileEntry, frozen=True):
    cpus: int | None = None
    memory: int | str | None = None
    vms: int | None = None
    forward_ports: str | None = None


class PoolEntry(FileEntry, frozen=True):
    """`pool` is an id or a name."""

    pool: int | str
    quota: str = "0"
    write: bool = False
    manage: bool = False


class GroupEntry(FileEntry, frozen=True):
    """`path` is as in `velocity group list`; parents come first."""

    path: str
    quota: QuotaEntry | None = None
    pools: list[PoolEntry] = []


class GrantEntry(FileEntry, frozen=True):
    group: str
    permissions: list[str]


class UserEntry(FileEntry, frozen=True):
    """A new user gets the password in `password_file`, or a generated one that is shown once. `group` is their home."""

    name: str
    group: str | None = None
    password_file: str | None = None
    grants: list[GrantEntry] = []


class MediumEntry(FileEntry, frozen=True):
    """Empty with a `size`, uploaded from `file`, imported from the image `image`, or fetched from `url`.

    If no file has the name `image`, it is an image of the server's catalogue. `format` absent: raw; for `url`, the
    bytes are stored as they are, whereas with a format the disk in them is imported. `moved_from` is the medium's
    former group: if it is still there, it is moved.
    """

    name: str
    group: str = "/"
    moved_from: str | None = None
    pool: int | str = 1
    type: str | None = None
    format: Literal["raw", "qcow2"] | None = None
    size: int | str | None = None
    file: str | None = None
    image: str | None = None
    url: str | None = None
    sha256: str | None = None
    readonly: bool | None = None


class CloudInitEntry(FileEntry, frozen=True):
    """As the options of `velocity vm create`; paths are relative to the apply file. Absent fields are unchanged."""

    user: str | None = None
    ssh_keys: list[str] | None = None
    password_hash: str | None = None
    hostname: str | None = None
    packages: list[str] | None = None
    timezone: str | None = None
    user_data: str | None = None
    network_config: str | None = None
    meta_data: str | None = None


class VmEntry(FileEntry, frozen=True):
    """Displays, media, NICs and `host` as in `velocity vm create`. `state` is RUNNING or STOPPED; absent: unchanged.

    `moved_from` is the VM's former group: if it is still there, it is moved with its disks.
    """

    name: str
    group: str = "/"
    moved_from: str | None = None
    cpus: int = 1
    memory: int | str = "1G"
    displays: list[str] = []
    media: list[str] = []
    drives: list[str] | None = None
    nics: list[str] = []
    forwards: list[str] | None = None
    input: Literal["virtio", "ps2", "usb"] | None = None
    cpu: str | None = None
    autostart: bool = False
    notes: str | None = None
    balloon: bool | None = None
    cloud_init: CloudInitEntry | None = None
    max_cpus: int | None = None
    max_memory: int | str | None = None
    spread: str | None = None
    together: str | None = None
    host_labels: list[str] | None = None
    ha: Literal["off", "restart"] | None = None
    start_order: int | None = None
    host: str | None = None
    state: Literal["RUNNING", "STOPPED"] | None = None


class FenceEntry(FileEntry, frozen=True):
    """A fence agent with all its options. `secret_files`: option -> file with its value, relative to the apply file."""

    agent: str
    options: dict[str, str] = {}
    secret_files: dict[str, str] = {}


class HostEntry(FileEntry, frozen=True):
    """A joined host, by name. `labels` replace all labels. Absent fields are left unchanged."""

    name: str
    duty: Literal["active", "draining", "maintenance"] | None = None
    labels: dict[str, str] | None = None
    address: str | None = None
    fence: FenceEntry | None = None


class File(FileEntry, frozen=True):
    hosts: list[HostEntry] = []
    groups: list[GroupEntry] = []
    users: list[UserEntry] = []
    media: list[MediumEntry] = []
    vms: list[VmEntry] = []


def read(path: Path) -> File:
    """Read the file; `-` is standard input. Raises `ClientError`, naming what is wrong."""
    here = "standard input" if path == STDIN else clean(path)
    try:
        text = sys.stdin.buffer.read() if path == STDIN else path.read_bytes()
        file = msgspec.convert(tomllib.loads(text.decode()), File)
    except OSError as error:
        raise ClientError(f"{here} cannot be read: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise ClientError(f"{here} is not UTF-8 text (byte {error.start})") from None
    except msgspec.ValidationError as error:
        raise ClientError(f"{here}: {str(error).replace('$.', '')}") from None
    except ValueError as error:  # a number with too many digits is no TOMLDecodeError
        raise ClientError(f"{here}: {error}") from None
    except RecursionError:
        raise ClientError(f"{here} is nested too deeply") from None
    wrong = next(_wrong(file, Path() if path == STDIN else path.parent), None)
    if wrong is not None:
        raise ClientError(f"{here}: {wrong}")
    return _tidy(file)


def _wrong(file: File, base: Path) -> Iterator[str]:
    """What is wrong with it, in words."""
    for medium in file.media:
        if sum(one is not None for one in (medium.size, medium.file, medium.image, medium.url)) != 1:
            yield f"medium {medium.name!r} needs exactly one of size, file, image and url"
        if medium.sha256 is not None and medium.url is None:
            yield f"medium {medium.name!r} has a sha256, which is of a url only"
    fences = [(host.name, host.fence) for host in file.hosts if host.fence is not None]
    for host, fence in fences:
        if twice := sorted(fence.options.keys() & fence.secret_files.keys()):
            yield f"the fence agent of {host!r} has {twice[0]!r} in options and in secret-files: keep one"
    beside = [name for _, fence in fences for name in fence.secret_files.values()]
    for name in [*(medium.file for medium in file.media), *(user.password_file for user in file.users), *beside]:
        if name is not None and not (base / name).is_file():
            yield f"there is no file {name!r} next to it"
    for user in file.users:
        if user.password_file is not None and len(password(base / user.password_file)) not in PASSWORD_LENGTH:
            yield (
                f"the password of {user.name!r} in {user.password_file!r} has not {PASSWORD_LENGTH.start} to "
                f"{PASSWORD_LENGTH.stop - 1} characters"
            )
    called: list[tuple[str, names.Kind]] = [(medium.name, "object") for medium in file.media]
    called += [(vm.name, "object") for vm in file.vms] + [(user.name, "user") for user in file.users]
    for name, kind in called:
        why = names.problem(names.tidy(name, kind), kind)
        if why is not None:
            yield f"the name {clean(name)!r}: {why}"


def password(file: Path) -> str:
    """The password in a file."""
    try:
        return file.read_text(encoding="utf-8").rstrip("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise ClientError(f"the password file {clean(file)} cannot be read: {error}") from None


def _tidy(file: File) -> File:
    """The table with names normalized as on the server."""
    replace = msgspec.structs.replace
    return File(
        hosts=[replace(one, name=names.tidy(one.name)) for one in file.hosts],
        groups=[replace(one, path=group_path(one.path)) for one in file.groups],
        users=[replace(one, name=names.tidy(one.name, "user")) for one in file.users],
        media=[replace(one, name=names.tidy(one.name)) for one in file.media],
        vms=[replace(one, name=names.tidy(one.name)) for one in file.vms],
    )


def group_path(word: str) -> str:
    """A path, normalized as in `velocity group list`."""
    return names.path(names.tidy(one) for one in names.parts(word)) or "/"
