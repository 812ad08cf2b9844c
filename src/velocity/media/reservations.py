"""Reserved names and bytes of media: before anything is written, and released unless the medium is created."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from uuid import UUID

from velocity import plan
from velocity.access.bounds import BOUNDS
from velocity.access.directory import Directory
from velocity.contract.problems import Problem, Refused
from velocity.media.quotas import PoolQuotas
from velocity.media.rules import Medium
from velocity.media.taken_names import TakenNames
from velocity.media.under_way import UploadsUnderWay


class Reservation:
    """Reserved bytes of a pool. `line` is kept, as the group may be deleted meanwhile."""

    def __init__(self, quotas: PoolQuotas, line: Sequence[int], mpid: int) -> None:
        self._quotas = quotas
        self._line = line
        self._mpid = mpid
        self.size = 0

    def frees(self) -> None:
        """Tell the plan what releasing this would free."""
        plan.consumes(self._line[0], {"bytes": -self.size}, mpid=self._mpid)

    def take(self, size: int) -> None:
        """Reserve so many more bytes. Raises `Refused(POOL_QUOTA)`."""
        self._quotas.take(self._line, self._mpid, size)
        self.size += size

    def fit(self, size: int) -> None:
        """Reduce the reservation to so many bytes."""
        self._quotas.count(self._line, self._mpid, size - self.size)
        self.size = size


class Reservations:
    """Reserves names and bytes: of two requests for one name, only one gets it."""

    def __init__(
        self, directory: Directory, quotas: PoolQuotas, uploads: UploadsUnderWay, most: int = BOUNDS.group_media
    ) -> None:
        """A group may have `most` media."""
        self._uploads = uploads
        self._directory = directory
        self._quotas = quotas
        self._names = TakenNames(most)
        self._pending: set[UUID] = set()
        self._coming: Counter[int] = Counter()
        """How many media are on their way into each pool, by mpid."""

    def load(self, medium: Medium) -> None:
        """Count an existing medium."""
        self._names.add(_name(medium))
        self._quotas.count(self._directory.line(medium.gid), medium.mpid, medium.size)

    def taken(self) -> tuple[frozenset[tuple[int, int, str]], frozenset[UUID]]:
        """The reserved names, as (gid, mpid, name), and the media that are being created."""
        return frozenset(self._names), frozenset(self._pending)

    def coming(self, mpid: int) -> bool:
        """Whether a medium is on its way into the pool."""
        return self._coming[mpid] > 0

    @contextmanager
    def reserve(self, medium: Medium, *, had: bool = False) -> Iterator[Reservation]:
        """Within, name and bytes are reserved; they are released at the end unless the medium was created (`keep`).

        `had`: they were reserved before a restart, so that nothing is refused.
        """
        reservation = Reservation(self._quotas, self._directory.line(medium.gid), medium.mpid)
        if had:
            reservation.fit(medium.size)
        else:
            self._names.check_room(medium.gid)
            reservation.take(medium.size)
        if not had and _name(medium) in self._names:
            reservation.fit(0)
            self._refuse_name(medium)
        self._names.add(_name(medium))
        self._pending.add(medium.mid)
        self._coming[medium.mpid] += 1
        try:
            yield reservation
        finally:
            self._coming[medium.mpid] -= 1
            if medium.mid in self._pending:
                self._pending.remove(medium.mid)
                self._names.discard(_name(medium))
                reservation.fit(0)

    def _refuse_name(self, medium: Medium) -> None:
        self._uploads.check_name(*_name(medium))
        raise Refused(
            Problem.MEDIUM_NAME_TAKEN,
            "the group already has a medium of that name in this pool: choose another name",
            field="name",
        )

    @contextmanager
    def change(self, old: Medium, new: Medium) -> Iterator[Callable[[], None]]:
        """Within, a medium's future name and bytes are reserved besides its present ones.

        Call the yielded function when the change is made, which releases the old ones; otherwise the new ones are
        released.
        """
        takes, frees = self._lines(old, new)
        moves = (old.gid, old.mpid) != (new.gid, new.mpid)
        size = new.size if moves else new.size - old.size
        if old.gid != new.gid:
            self._names.check_room(new.gid)
        if _name(old) != _name(new) in self._names:
            self._refuse_name(new)
        if takes and size:
            self._quotas.take(takes, new.mpid, size)
        self._names.add(_name(new))
        if moves:
            if not takes:
                plan.consumes(new.gid, {"bytes": size}, mpid=new.mpid)
            plan.consumes(old.gid, {"bytes": -old.size}, mpid=old.mpid)
        kept = False
        self._coming[new.mpid] += 1

        def keep() -> None:
            nonlocal kept
            kept = True
            if _name(old) != _name(new):
                self._names.discard(_name(old))
            if moves and frees:
                self._quotas.count(frees, old.mpid, -old.size)

        try:
            yield keep
        finally:
            self._coming[new.mpid] -= 1
            if not kept:
                if _name(old) != _name(new):
                    self._names.discard(_name(new))
                if takes and size:
                    self._quotas.count(takes, new.mpid, -size)

    def _lines(self, old: Medium, new: Medium) -> tuple[Sequence[int], Sequence[int]]:
        """The groups that count it before and after, but in one pool no common ancestors, which count it throughout."""
        has, gets = self._directory.line(old.gid), self._directory.line(new.gid)
        if old.mpid != new.mpid or old.gid == new.gid:
            return gets, has
        return [gid for gid in gets if gid not in has], [gid for gid in has if gid not in gets]

    @contextmanager
    def bytes_only(self, gid: int, mpid: int) -> Iterator[Reservation]:
        """For temporary data: reserves bytes as they arrive, without a name."""
        reservation = Reservation(self._quotas, self._directory.line(gid), mpid)
        try:
            yield reservation
        finally:
            reservation.fit(0)

    def keep(self, medium: Medium) -> None:
        """The medium was created: its reservation stays."""
        self._pending.discard(medium.mid)

    def free(self, medium: Medium) -> None:
        """The medium is gone: release its name and bytes."""
        self._names.discard(_name(medium))
        self._quotas.count(self._directory.line(medium.gid), medium.mpid, -medium.size)


def _name(medium: Medium) -> tuple[int, int, str]:
    return medium.gid, medium.mpid, medium.name
