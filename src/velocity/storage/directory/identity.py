"""The identity of a pool: a mark in its directory, which a record in the data directory knows.

A directory without the mark is not the pool, however much it looks like it: the disk that belongs there is not mounted,
say, and what is written into it would be lost below the mount point.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Collection
from pathlib import Path
from uuid import uuid4

from velocity.durable import sync
from velocity.storage.directory.places import EVERYWHERE, Places
from velocity.storage.port import PoolMark


class NotThePool(Exception):
    """The directory is not the pool. The message is for who administers the host: it names paths, and the cure.

    `said` is what others are told, if it is not that the disk is not mounted.
    """

    def __init__(self, message: str, said: str = "") -> None:
        super().__init__(message)
        self.said = said


class Identity:
    """One pool's."""

    KIND = "directory"

    def __init__(self, places: Places) -> None:
        self._mpid = places.mpid
        self._path = places.path
        self._mark = places.mark
        self._record = places.record
        self._draft = places.draft
        self._led = places.led
        self._called = str(places.path)

    def fits(self) -> bool:
        """Whether the directory has the pool's mark now."""
        try:
            mark = self._read_mark()
            return mark is not None and mark == _read(self._record)
        except OSError:
            return False

    def known(self) -> bool:
        """Whether the pool was used before."""
        return _read(self._record) is not None

    def check(self, known: Collection[str]) -> None:
        """Raises `NotThePool` or `OSError` unless the directory is the pool.

        It is, if it has the mark, or holds one of these files (of known media), which is marked then. If no medium is
        known and there never was a mark, the pool is new: the directory is made, and marked.
        """
        mark, record = self._read_mark(), _read(self._record)
        if record is not None and mark == record:
            return
        if mark is not None and (other := self._pool_of(mark)):
            raise NotThePool(
                f"{self._called} is the {self.KIND} of pool {other}: give each pool a {self.KIND} of its own"
            )
        if known and self._holds(known):
            self._adopt(mark, record)
        elif record is not None or known:
            if record is None:
                _write(self._record, self._new())
            raise NotThePool(f"{self._called} is {'another' if mark else 'not the'} pool: {self._cure()}")
        else:
            self._begin(mark)

    def _cure(self) -> str:
        return (
            f"mount its disk there; or, to start with an empty pool there, run: install -D {self._record} {self._mark}"
        )

    def _pool_of(self, mark: str) -> str | None:
        """The mpid of another pool of this installation that has this mark."""
        records = self._record.parent
        others = [file for file in (records.iterdir() if records.is_dir() else ()) if file.name.isdigit()]
        return next((file.name for file in others if file != self._record and _read(file) == mark), None)

    def _holds(self, names: Collection[str]) -> bool:
        for place in EVERYWHERE:
            with contextlib.suppress(FileNotFoundError):
                if not set(names).isdisjoint(file.name for file in (self._path / place).iterdir()):
                    return True
        return False

    def _adopt(self, mark: str | None, record: str | None) -> None:
        """It holds what it should: a pool of before there were marks, or one that was copied without it."""
        text = mark or record or self._new()
        if record != text:
            _write(self._record, text)
        if mark is None and os.access(self._path, os.W_OK):
            self._write_mark(text)

    def _begin(self, mark: str | None) -> None:
        """The record is there when the mark is: a crash in between leaves a draft, and the next start goes on."""
        draft = _read(self._draft)
        if mark is not None and mark != draft:
            cure = f"to take it over, {self._take_over()}"
            raise NotThePool(f"{self._called} is the pool of another installation: {cure}")
        self._check_new()
        if draft is None:
            draft = self._new()
            _write(self._draft, draft)
        self._write_mark(draft)
        self._draft.rename(self._record)
        sync(self._record.parent)

    def _check_new(self) -> None:
        """A pool's own objects are put in order: what was there before is somebody's. Raises `NotThePool`."""
        for place in EVERYWHERE[1:]:
            if (self._path / place).is_dir() and any((self._path / place).iterdir()):
                raise NotThePool(
                    f"{self._path / place} is not empty, and does not belong to this installation: move it away"
                )
        self._path.mkdir(mode=0o700, parents=True, exist_ok=True)

    def _take_over(self) -> str:
        return f"remove {self._mark}"

    def _read_mark(self) -> str | None:
        return _read(self._mark)

    def _write_mark(self, text: str) -> None:
        _write(self._mark, text)

    def _new(self) -> str:
        return json.dumps({"mpid": self._mpid, "identity": str(uuid4())}) + "\n"


class SharedIdentity(Identity):
    """Of a shared pool. One host makes the mark; the others take the pool for theirs when they are told to.

    Its directory is never made: where it is missing, the storage is not mounted. Nor is a mark made on the host's root
    file system, which is seen where nothing is mounted, unless somebody has made the mark's folder there.
    """

    NOT_TAKEN = "mount its storage there"

    def __init__(self, places: Places) -> None:
        super().__init__(places)
        self._term = 0
        """That of the server which has opened it here; 0: none has."""

    def fits(self) -> bool:
        return super().fits() and not self._is_led_by_another()

    def check(self, known: Collection[str]) -> None:
        super().check(known)
        self._check_led()

    def lead(self, term: int) -> None:
        """A server of this term works in it. Raises `NotThePool` where a later one does, or `OSError`."""
        self._term = term
        self._check_led()
        if term and self._led_in() != term:
            self._write_led(term)

    def _check_led(self) -> None:
        if self._is_led_by_another():
            raise NotThePool(
                f"{self._called} is used by a server that has taken this one's place: end this one; if there is none, "
                f"as after its database was restored, run: {self._unlead()}",
                "is away: another server has taken this one's place there",
            )

    def _is_led_by_another(self) -> bool:
        return 0 < self._term < self._led_in()

    def _led_in(self) -> int:
        text = (self._read_led() or "").strip()
        return int(text) if text.isdecimal() else 0

    def _read_led(self) -> str | None:
        return _read(self._led)

    def _write_led(self, term: int) -> None:
        _write(self._led, f"{term}\n")

    def _unlead(self) -> str:
        return f"rm {self._led}"

    def look(self, expected: str) -> PoolMark:
        """The mark that is there. The pool is ours from now on, if it has the `expected` identity. Raises `OSError`."""
        mark = self._read_mark()
        identity = self._identity_of(mark)
        if mark is not None and expected and identity == expected and mark != _read(self._record):
            _write(self._record, mark)
        return PoolMark(identity, taken=bool(identity) and mark == _read(self._record))

    def _identity_of(self, mark: str | None) -> str:
        """Empty: that is no mark of a pool with our number."""
        try:
            found = json.loads(mark or "")
            return str(found["identity"]) if found["mpid"] == self._mpid else ""
        except (ValueError, TypeError, KeyError):
            return ""

    def check_taken(self) -> None:
        """The same as `check`, where another host has made the mark. Raises `NotThePool` or `OSError`."""
        if not super().fits():
            raise NotThePool(f"{self._called} is not the pool that other hosts have: {self.NOT_TAKEN}")
        self._check_led()

    def _cure(self) -> str:
        """One that was emptied is rare: who makes the mark on a host without the storage has two pools."""
        cure = f"install -D {self._record} {self._mark}"
        return f"mount its storage there; only if it is mounted, and was emptied, run: {cure}"

    def _begin(self, mark: str | None) -> None:
        if not self._path.is_dir():
            raise NotThePool(f"there is no {self._path}: mount the storage there first")
        if not self._mark.parent.is_dir() and self._path.stat().st_dev == Path("/").stat().st_dev:
            raise NotThePool(
                f"{self._path} is on this host's root file system: mount the storage there; to have the pool in this "
                f"very directory, run: mkdir {self._mark.parent}"
            )
        super()._begin(mark)

    def _write_mark(self, text: str) -> None:
        """Never over another one, whoever else makes one at the same time: link(2) fails then, over NFS, too."""
        if self._read_mark() == text:
            return
        draft = self._mark.with_name(f"pool.{uuid4()}")
        _write(draft, text)
        try:
            os.link(draft, self._mark)
            sync(self._mark.parent)
        except FileExistsError:
            raise NotThePool(f"another host has just made a pool of {self._path}") from None
        finally:
            draft.unlink()


class HostIdentity(Identity):
    """Of the host's own pool, which is where its server's data are: it needs no mark."""

    def fits(self) -> bool:
        return True

    def known(self) -> bool:
        return True

    def check(self, known: Collection[str]) -> None:
        self._path.mkdir(mode=0o700, parents=True, exist_ok=True)


def _read(file: Path) -> str | None:
    """None: it is not there, or a crash came before it had content."""
    try:
        return file.read_text(errors="replace") or None
    except FileNotFoundError:
        return None


def _write(file: Path, text: str) -> None:
    """Whole or not at all, and on the disk."""
    file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    draft = file.with_name(file.name + ".new")
    descriptor = os.open(draft, os.O_CREAT | os.O_TRUNC | os.O_WRONLY | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "w") as out:
        out.write(text)
        out.flush()
        os.fsync(out.fileno())
    draft.rename(file)
    sync(file.parent)
