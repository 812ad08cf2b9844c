"""The identity of a pool: a mark in its directory, which matches a record in the data directory.

A directory without the mark is not the pool, whatever it contains: its disk may not be mounted, and what is written
would be lost below the mount point.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Collection
from pathlib import Path
from uuid import uuid4

from velocity import durable
from velocity.storage.directory.places import EVERYWHERE, Places
from velocity.storage.port import PoolMark

LONGEST = 4096
"""Bytes of a mark or a record: they are a tenth of that."""


class NotThePool(Exception):
    """The directory is not the pool. The message is for the host's administrator: it contains paths, and the cure.

    `said` is the message for others, if the reason is not a missing mount.
    """

    def __init__(self, message: str, said: str = "") -> None:
        super().__init__(message)
        self.said = said


class Identity:
    """One pool's identity."""

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

        It is if it has the mark, or contains one of the `known` media, and is then marked. If no media are known and
        there never was a mark, the pool is new: the directory is created, and marked.
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
        """The mpid of another pool of this installation with this mark."""
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
        """Mark a directory with known media: a pool from before there were marks, or a copy without it."""
        text = mark or record or self._new()
        if record != text:
            _write(self._record, text)
        if mark is None and os.access(self._path, os.W_OK):
            self._write_mark(text)

    def _begin(self, mark: str | None) -> None:
        """Mark a new pool. A crash before the record is complete leaves a draft, and the next start continues."""
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
        durable.sync(self._record.parent)

    def _check_new(self) -> None:
        """Raises `NotThePool` if directories that we would clean up contain files: these belong to somebody else."""
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
    """The identity of a shared pool. One host makes the mark; the others accept it when they are told to.

    Its directory is never created: if it is missing, the storage is not mounted. Nor is a mark made on the host's root
    file system, which is seen if nothing is mounted, unless an administrator has created the mark's folder there.
    """

    NOT_TAKEN = "mount its storage there"

    def __init__(self, places: Places) -> None:
        super().__init__(places)
        self._term = 0
        """The term of the server that has opened it on this host; 0: none has."""

    def fits(self) -> bool:
        return super().fits() and not self._is_led_by_another()

    def check(self, known: Collection[str]) -> None:
        super().check(known)
        self._check_led()

    def lead(self, term: int) -> None:
        """A server in this term uses it. Raises `NotThePool` if one in a later term does, or `OSError`."""
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
        """The mark. If it has the `expected` identity, this host accepts it. Raises `OSError`."""
        mark = self._read_mark()
        identity = self._identity_of(mark)
        if mark is not None and expected and identity == expected and mark != _read(self._record):
            _write(self._record, mark)
        return PoolMark(identity, taken=bool(identity) and mark == _read(self._record))

    def _identity_of(self, mark: str | None) -> str:
        """The identity in a mark; empty if it is not one of a pool with our id."""
        try:
            found = json.loads(mark or "")
            return str(found["identity"]) if found["mpid"] == self._mpid else ""
        except (ValueError, TypeError, KeyError):
            return ""

    def check_taken(self) -> None:
        """As `check`, if another host makes the mark. Raises `NotThePool` or `OSError`."""
        if not super().fits():
            raise NotThePool(f"{self._called} is not the pool that other hosts have: {self.NOT_TAKEN}")
        self._check_led()

    def _cure(self) -> str:
        """Rarely the pool was emptied; more often it is not mounted, and a new mark would make two pools."""
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
        """Never replaces another mark, even one made at the same moment: link(2) fails then, on NFS as well."""
        if self._read_mark() == text:
            return
        draft = self._mark.with_name(f"pool.{uuid4()}")
        _write(draft, text)
        try:
            os.link(draft, self._mark)
            durable.sync(self._mark.parent)
        except FileExistsError:
            raise NotThePool(f"another host has just made a pool of {self._path}") from None
        finally:
            draft.unlink()


class HostIdentity(Identity):
    """The identity of the host's own pool, which is in the data directory and needs no mark."""

    def fits(self) -> bool:
        return True

    def known(self) -> bool:
        return True

    def check(self, known: Collection[str]) -> None:
        self._path.mkdir(mode=0o700, parents=True, exist_ok=True)


def _read(file: Path) -> str | None:
    """The text; None if the file is missing, or empty after a crash. Read at each use of a pool, hence by itself."""
    try:
        descriptor = os.open(file, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    try:
        return os.read(descriptor, LONGEST).decode(errors="replace") or None
    finally:
        os.close(descriptor)


def _write(file: Path, text: str) -> None:
    """Write it atomically and durably."""
    file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    durable.write(file, text.encode())
