"""What the operating system refuses of a pool, as the refusal that it means. Nothing else maps its errors."""

from __future__ import annotations

import contextlib
import errno
import logging
import os
from collections.abc import Iterator

from velocity import sizes
from velocity.contract.problems import Problem, Refused
from velocity.storage.directory.places import Places

log = logging.getLogger(__name__)

TOO_LITTLE = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EINVAL, errno.EOVERFLOW}
HOST = {
    errno.EMFILE: "the server has no file descriptor left",
    errno.ENFILE: "the host has no file descriptor left",
    errno.EAGAIN: "the host lets the server begin no process or thread now",
    errno.ENOMEM: "the host has no memory left",
}
"""What is no fault of the pool's."""


@contextlib.contextmanager
def told(places: Places, wanted: int | None = None) -> Iterator[None]:
    """What is refused within, as `Refused`; `wanted` are the bytes that it was to take, where it was to take some."""
    try:
        yield
    except OSError as error:
        raise refusal(places, error, wanted) from None


def refusal(places: Places, error: OSError, wanted: int | None = None) -> Refused:
    if error.errno in HOST:
        log.warning("pool %r (%d): %s", places.name, places.mpid, error)
        return Refused(Problem.UNAVAILABLE, f"{HOST[error.errno]}; nothing was changed: try again later")
    if wanted is not None and error.errno in TOO_LITTLE:
        if error.errno == errno.ENOSPC and _lacks_inodes(places):
            return Refused(
                Problem.POOL_QUOTA,
                f"the disk of pool {places.name!r} has bytes free, but can hold no more files (no inode is left): "
                "remove media, or use another pool",
            )
        return Refused(
            Problem.POOL_QUOTA,
            f"the pool's disk cannot hold {sizes.size(wanted)}: remove media, or use another pool or a smaller size",
            field="size",
        )
    log.warning("pool %r (%d): %s", places.name, places.mpid, error)
    return Refused(
        Problem.POOL_AWAY,
        f"the disk of pool {places.name!r} fails ({error.strerror or error}): use another pool until the "
        "administrator has mended it; the server's log says more",
    )


def _lacks_inodes(places: Places) -> bool:
    try:
        facts = os.statvfs(places.path)
    except OSError:
        return False
    return facts.f_files > 0 and facts.f_favail == 0
