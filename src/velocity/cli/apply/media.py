"""The media in an apply file: which are created or changed, and which differences remain."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID

from msgspec import UNSET

from velocity.cli import resolve
from velocity.cli.amounts import to_bytes
from velocity.cli.apply.file import MediumEntry
from velocity.cli.apply.places import Places, unless_made, wait_while
from velocity.cli.fetching import file_at
from velocity.cli.media import import_file, send
from velocity.cli.task import check_done, watch
from velocity.cli.words import clean, program
from velocity.client import ApiError, Client, ClientError
from velocity.client.upload import size_of
from velocity.contract.machines import VmInfo
from velocity.contract.media import MediumInfo
from velocity.contract.tasks import TaskState
from velocity.sizes import size

CREATE_TAKEN, UPLOAD_TAKEN, IMPORT_TAKEN, FETCH_TAKEN = 8220, 9220, 21220, 49220
WHOLE = 16 << 20
"""Up to this size, media are compared completely; of larger ones, samples, in bytes."""
PIECE, PIECES = 1 << 16, 64
CREATING = ("fetch", "import", "clone")
"""The kinds of tasks that create a medium of their name. Others are named after a VM, a host, or an existing medium."""


class MediaSteps:
    """The steps for media, and the differences that no step can remove."""

    def __init__(self, client: Client, places: Places, base: Path) -> None:
        self._client = client
        self._places = places
        self._base = base
        self._known: dict[int, list[MediumInfo]] = {}
        self._images: set[str] | None = None
        self._seen: set[tuple[int | str, int, str]] = set()
        self._changes: dict[MediumEntry, tuple[UUID, dict[str, Any]]] = {}
        """Existing media to change: mid and changes."""
        self._coming: list[tuple[int | str, int, MediumInfo]] = []
        """Disks that move with their VMs: the target group, the present group, and the disk."""
        self._following: dict[UUID, int | str] = {}
        """Media that the file moves from another group, with the target group."""
        self.planned: set[tuple[int | str, str]] = set()
        """Groups and names of media that will be created."""
        self.differences: list[str] = []
        self.notes: list[str] = []
        """What stays as it is, although one might expect otherwise."""

    def is_new(self, entry: MediumEntry, others: list[MediumEntry]) -> bool:
        """Whether it has to be created. Raises `ClientError` if that is impossible, or for two tables of one medium."""
        mpid = self.mpid(entry.pool)
        key = (self._places.key(entry.group), mpid, entry.name)
        if key in self._seen:
            raise ClientError(f"the file has two tables for the medium {clean(entry.name)} in {entry.group}: keep one")
        self._seen.add(key)
        wanted = self._size(entry)
        self._follow(entry, mpid, others)
        there = [one for one in self._there(entry.group) if one.name == entry.name]
        found = next((one for one in there if one.mpid == mpid), None)
        label = f"medium {clean(entry.name)} in {entry.group}"
        if found is not None:
            self._changes[entry] = found.mid, dict(self._changed(entry, found, wanted))
            self.differences += (f"{label} {one}" for one in self._differences(entry, found, wanted))
            return False
        named = {self.mpid(one.pool) for one in others if self._place(one) == self._place(entry)}
        moved = next((one for one in there if one.mpid not in named), None)
        if moved is not None:
            self._changes[entry] = moved.mid, {"pool": mpid, **dict(self._changed(entry, moved, wanted))}
            return False
        self._check_image(entry)
        self.planned.add(self._place(entry))
        return True

    def _follow(self, entry: MediumEntry, mpid: int, others: list[MediumEntry]) -> None:
        """Note that the medium moves from the group in `moved_from`, if it is still there."""
        old = None if entry.moved_from is None else self._places.look(entry.moved_from)
        key = self._places.key(entry.group)
        if old is None or old == key or (old, entry.name) in {self._place(one) for one in others}:
            return
        named = [one for one in self._media(old) if one.name == entry.name]
        gone = {one.mid for _, _, one in self._coming}
        found = sorted((one for one in named if one.mid not in gone), key=lambda one: one.mpid != mpid)
        label, from_ = f"medium {clean(entry.name)}", clean(entry.moved_from)
        if not found and any(self._following.get(one.mid, key) != key for one in named):
            raise ClientError(f"the file moves the {label} from {from_} to two groups: keep one")
        if found and any(one.name == entry.name for one in self._there(entry.group)):
            self.notes.append(f"{label} is in {clean(entry.group)}, and another one in {from_}, which stays there")
        elif found:
            self._following[found[0].mid] = key
            self._coming.append((key, old, found[0]))

    def by_name(self, entry: MediumEntry) -> bool:
        """Whether `image` names an image of the catalogue: no such file exists."""
        return entry.image is not None and not (self._base / entry.image).is_file()

    def _check_image(self, entry: MediumEntry) -> None:
        if not self.by_name(entry):
            return
        if self._images is None:
            self._images = {one.name for one in self._client.list_images().images}
        if entry.image not in self._images:
            raise ClientError(
                f"there is no file {clean(entry.image)!r} next to it, nor an image of that name in the catalogue: "
                f"`{program()} media catalogue` lists those"
            )

    def changes(self, entry: MediumEntry) -> dict[str, Any]:
        """The changes of an existing medium."""
        return self._changes[entry][1]

    def change(self, entry: MediumEntry) -> None:
        mid, changes = self._changes[entry]
        if altered := {field: value for field, value in changes.items() if field in ("size", "type", "readonly")}:
            self._client.alter_medium(mid=mid, **altered)
        if "group" in changes or "pool" in changes:
            gid = self._places.now(entry.group) if "group" in changes else UNSET
            tid = self._client.move_medium(mid=mid, gid=gid, mpid=changes.get("pool", UNSET)).tid
            if isinstance(tid, int):
                check_done(watch(self._client, tid))
        if "format" in changes:
            check_done(watch(self._client, self._client.convert_medium(mid=mid, format=changes["format"]).tid))

    def _changed(self, entry: MediumEntry, found: MediumInfo, wanted: int | None) -> Iterator[tuple[str, Any]]:
        if found.mid in self._following:
            yield "group", entry.group
        yield from _changes(entry, found, wanted)

    def _place(self, entry: MediumEntry) -> tuple[int | str, str]:
        return self._places.key(entry.group), entry.name

    def comes_along(self, vm: VmInfo, group: str) -> None:
        """The disks of a VM that moves to the group: the media of its own group that it writes to."""
        written = {one.mid for one in vm.media if not one.readonly}
        disks = [one for one in self._media(vm.gid) if one.mid in written and not one.readonly]
        self._coming += ((self._places.key(group), vm.gid, one) for one in disks)

    def now_in(self, group: str, words: list[str]) -> int:
        """The present group of a medium; for a disk that moves with its VM, the VM's."""
        key = self._places.key(group)
        old = (gid for to, gid, one in self._coming if to == key and one.name in words)
        return next(old, self._places.nearest(group))

    def _there(self, group: str) -> list[MediumInfo]:
        """The media that the group will have, apart from new ones."""
        gid, key = self._places.find(group), self._places.key(group)
        leave = {one.mid for _, _, one in self._coming}
        stay = [] if gid is None else [one for one in self._media(gid) if one.mid not in leave]
        return [*stay, *(one for to, _, one in self._coming if to == key)]

    def _media(self, gid: int) -> list[MediumInfo]:
        if gid not in self._known:
            self._known[gid] = self._client.list_media(gid=gid).media
        return self._known[gid]

    def mpid(self, pool: int | str) -> int:
        """A number is an id; a word is a name or id, as in commands."""
        return pool if isinstance(pool, int) else resolve.mpid(self._client, pool)

    def _size(self, entry: MediumEntry) -> int | None:
        """The size in bytes; None if it is not known before the import."""
        if entry.size is not None:
            return to_bytes(str(entry.size))
        return size_of(self._base / entry.file) if entry.file is not None else None

    def _differences(self, entry: MediumEntry, found: MediumInfo, wanted: int | None) -> Iterator[str]:
        if wanted is not None and wanted != found.size and (entry.file is not None or wanted < found.size):
            same = size(found.size) == size(wanted)
            has, says = (f"{one} bytes" if same else size(one) for one in (found.size, wanted))
            yield f"is {has}, and the file says {says}: {_CURE}"
        elif entry.file is not None and self._is_other(found, self._base / entry.file):
            yield f"has another content than {clean(entry.file)}: {_CURE}"

    def _is_other(self, medium: MediumInfo, file: Path) -> bool:
        """Whether the medium's content differs from a file of the same size. Media that VMs may write to never do."""
        if medium.used_by and not medium.readonly and medium.type.upper() != "ISO":
            return False
        with file.open("rb") as source, contextlib.suppress(ApiError):  # an unseen VM may be writing to it
            for begin, end in pieces(medium.size):
                source.seek(begin)
                if source.read(end - begin) != self._content(medium.mid, begin, end):
                    return True
        return False

    def _content(self, mid: UUID, begin: int, end: int) -> bytes:
        ranges = {"range": f"bytes={begin}-{end - 1}"}
        return self._client.exchange("GET", f"/m/media/content/{mid}", b"", ranges).content

    def make(self, entry: MediumEntry) -> None:
        gid, mpid = self._places.now(entry.group), self.mpid(entry.pool)

        def there() -> UUID | None:
            media = self._client.list_media(gid=gid).media
            return next((one.mid for one in media if (one.name, one.mpid) == (entry.name, mpid)), None)

        def create() -> UUID:
            return self._client.create_medium(
                name=entry.name, size=self._size(entry) or 0, gid=gid, mpid=mpid, type=entry.type or "DISK",
                format=entry.format or "raw",
            ).mid  # fmt: skip

        file = self._base / str(entry.file or entry.image)
        kind = entry.type or ("ISO" if file.suffix.lower() == ".iso" else "DISK")

        def upload() -> UUID:
            return send(self._client, file, entry.name, kind, gid, mpid, readonly=False).mid

        label, busy = f"medium {clean(entry.name)}", partial(self._is_coming, entry.name, gid)
        if entry.size is not None:
            unless_made(create, CREATE_TAKEN, there, label)
        elif entry.file is not None:
            unless_made(upload, UPLOAD_TAKEN, there, label, busy)
        elif (entry.url is not None or self.by_name(entry)) and there() is None:
            self._fetch(entry, there)
        elif there() is None:
            self._import(entry, file, kind, there)
        if entry.readonly is not None and (mid := there()) is not None:
            self._client.alter_medium(mid=mid, readonly=entry.readonly)

    def _fetch(self, entry: MediumEntry, there: Callable[[], object | None]) -> None:
        gid, mpid = self._places.now(entry.group), self.mpid(entry.pool)
        kind = entry.type or ("ISO" if file_at(entry.url or "").lower().endswith(".iso") else "DISK")

        def start() -> object:
            tid = self._client.fetch_medium(
                url=entry.url or UNSET, image=entry.image or UNSET, gid=gid, mpid=mpid, name=entry.name, type=kind,
                sha256=entry.sha256 or UNSET, format=entry.format or UNSET,
            ).tid  # fmt: skip
            check_done(watch(self._client, tid))
            return tid

        unless_made(start, FETCH_TAKEN, there, f"medium {clean(entry.name)}", partial(self._is_coming, entry.name, gid))

    def _import(self, entry: MediumEntry, file: Path, kind: str, there: Callable[[], object | None]) -> None:
        gid, mpid = self._places.now(entry.group), self.mpid(entry.pool)

        def start() -> object:
            format_ = entry.format or "raw"
            tid = import_file(self._client, file, entry.name, gid=gid, mpid=mpid, format=format_, type=kind)
            check_done(watch(self._client, tid))
            return tid

        label, busy = f"medium {clean(entry.name)}", partial(self._is_coming, entry.name, gid)
        wait_while(busy, label)  # rather than upload the file in vain
        if there() is None:
            unless_made(start, IMPORT_TAKEN, there, label, busy)

    def _is_coming(self, name: str, gid: int) -> bool:
        """Whether a running task creates a medium of this name, or somebody uploads it."""
        tasks, uploads = self._client.list_tasks(gid=gid).tasks, self._client.list_uploads(gid=gid).uploads
        making = (one.name for one in tasks if one.kind in CREATING and one.state is TaskState.RUNNING)
        sent = (one.name for one in uploads if one.gid == gid and one.sending)
        return name in (*making, *sent)


def _changes(entry: MediumEntry, found: MediumInfo, wanted: int | None) -> Iterator[tuple[str, Any]]:
    if entry.size is not None and wanted is not None and wanted > found.size:
        yield "size", wanted
    if entry.type is not None and entry.type.casefold() != found.type.casefold():
        yield "type", entry.type
    if entry.readonly is not None and entry.readonly != found.readonly:
        yield "readonly", entry.readonly
    if entry.format is not None and entry.format != found.format:
        yield "format", entry.format


def in_words(entry: MediumEntry, changes: Iterable[str]) -> str:
    """The changes, in words."""
    access = "read-only" if entry.readonly else "writable"
    return ", ".join(access if one == "readonly" else f"{one} {clean(getattr(entry, one))}" for one in changes)


_CURE = "this cannot be changed; make a medium of another name, or remove this one first"


def host_of(url: str) -> str:
    """The host of a URL: the rest may contain a secret."""
    try:
        return clean(urlsplit(url).hostname or "a URL without a host")
    except ValueError:
        return "a URL that cannot be read"


def pieces(length: int) -> Iterator[tuple[int, int]]:
    """The ranges to compare: all of a small medium; samples from the start to the end of a large one."""
    if length <= WHOLE:
        yield from ((at, min(length, at + (1 << 20))) for at in range(0, length, 1 << 20))
        return
    for number in range(PIECES):
        at = (length - PIECE) * number // (PIECES - 1)
        yield at, at + PIECE
