"""Maps errors of the operating system to refusals. No other module does."""

from __future__ import annotations

import errno
import logging

from velocity import sizes
from velocity.contract.problems import Problem, Refused
from velocity.storage.port import HOST_POOL

log = logging.getLogger(__name__)

TOO_LITTLE = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EINVAL, errno.EOVERFLOW}
HOST = {
    errno.EMFILE: "the server has no file descriptors left",
    errno.ENFILE: "the host has no file descriptors left",
    errno.EAGAIN: "the host cannot start more processes or threads now",
    errno.ENOMEM: "the host is out of memory",
}
"""Errors that are not the pool's fault."""


def refusal(mpid: int, name: str, error: OSError, wanted: int | None = None, *, inodes: bool = True) -> Refused:
    """A refusal for the pool with this name. `wanted` are the bytes that were to be written; None: there were none.

    `inodes`: whether the file system has free inodes.
    """
    if error.errno in HOST:
        return Refused(Problem.UNAVAILABLE, f"{HOST[error.errno]}; nothing was changed: try again later")
    if mpid == HOST_POOL:
        return Refused(Problem.UNAVAILABLE, f"the host refused: {error.strerror or error}")
    if wanted is not None and error.errno in TOO_LITTLE:
        if error.errno == errno.ENOSPC and not inodes:
            return Refused(
                Problem.POOL_QUOTA,
                f"the disk of pool {name!r} has free space, but no free inodes for more files: remove media, or use "
                "another pool",
            )
        return Refused(
            Problem.POOL_QUOTA,
            f"the pool's disk does not have {sizes.size(wanted)} free: remove media, use another pool, or choose a "
            "smaller size",
            field="size",
        )
    if error.errno == errno.ENOSPC:
        return Refused(
            Problem.POOL_AWAY,
            f"pool {name!r} is full, so that this would wait without an end: use another pool until there is room",
        )
    log.warning("pool %r (%d): %s", name, mpid, error)
    return Refused(
        Problem.POOL_AWAY,
        f"the disk of pool {name!r} fails ({error.strerror or error}): use another pool until the administrator has "
        "repaired it; see the server's log",
    )
