"""The identity of a pool on RBD: an image whose metadata are the mark."""

from __future__ import annotations

import errno
from collections.abc import Collection
from uuid import uuid4

from velocity.storage.directory.identity import Identity, NotThePool, SharedIdentity
from velocity.storage.rbd.places import MARK, MOVING, TRASH, RbdPlaces

IDENTITY, TERM = "velocity.identity", "velocity.term"
"""Keys of the mark's metadata."""


class RbdIdentity(SharedIdentity):
    """One pool's identity. The cluster's errors are `OSError`."""

    KIND = "namespace"
    NOT_TAKEN = "name the right one, and the right cluster"

    def __init__(self, places: RbdPlaces) -> None:
        super().__init__(places)
        self._rados = places.rados
        self._meta: dict[str, str] = {}
        """The mark's metadata, as last read."""
        self._called = f"RADOS pool {places.rados.name}"

    def _cure(self) -> str:
        mark = self._rados.image(MARK)
        return f"name the right one; to start with an empty pool there, remove {self._record} and the image {mark}"

    def _take_over(self) -> str:
        return f"run: rbd rm {self._rados.image(MARK)}; to use it beside that one, give each a namespace of its own"

    def _unlead(self) -> str:
        return f"rbd image-meta rm {self._rados.image(MARK)} {TERM}"

    def _holds(self, names: Collection[str]) -> bool:
        wanted = {prefix + name for name in names for prefix in ("", MOVING, TRASH)}
        return not wanted.isdisjoint(self._rados.names())

    def _begin(self, mark: str | None) -> None:
        Identity._begin(self, mark)

    def _check_new(self) -> None:
        if any(name.startswith((MOVING, TRASH)) for name in self._rados.names()):
            raise NotThePool(f"{self._called} has images of another installation: give this one a namespace of its own")

    def _read_mark(self) -> str | None:
        self._meta = self._rados.metadata(MARK)
        return self._meta[IDENTITY] + "\n" if IDENTITY in self._meta else None

    def _write_mark(self, text: str) -> None:
        """Never replaces another mark: names of images are unique."""
        if self._read_mark() == text:
            return
        draft = f"{MARK}.{uuid4()}"
        self._rados.create(draft, 0)
        try:
            self._rados.rbd("image-meta", "set", self._rados.image(draft), IDENTITY, text.strip())
            self._rados.rename(draft, MARK)
        except OSError as error:
            self._rados.remove(draft)
            if error.errno == errno.EEXIST:
                raise NotThePool(f"another host has just made a pool of {self._called}") from None
            raise

    def _read_led(self) -> str | None:
        return self._meta.get(TERM)

    def _write_led(self, term: int) -> None:
        self._rados.rbd("image-meta", "set", self._rados.image(MARK), TERM, str(term))
        self._meta[TERM] = str(term)
