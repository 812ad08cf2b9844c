"""The settings of a media pool, and which of them exclude each other."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal

from msgspec import Meta, Struct

RADOS_NAME = r"^[\w.-]{0,128}\Z"


class PoolSetting(Struct, frozen=True, forbid_unknown_fields=True):
    """A media pool: a directory, or a RADOS pool of a Ceph cluster, which the administrator declares with a stable id.

    A `shared` directory is on storage that several hosts have mounted, each of which declares it with the same id. A
    pool of the kind `rbd` is declared by each host that uses it, with its access to the cluster: a configuration file
    and a user.
    """

    mpid: Annotated[int, Meta(ge=1, le=2**63 - 1)]
    name: Annotated[str, Meta(min_length=1, max_length=128)]
    path: Path = Path()
    shared: bool = False
    kind: Literal["directory", "rbd"] = "directory"
    rados_pool: Annotated[str, Meta(pattern=RADOS_NAME)] = ""
    namespace: Annotated[str, Meta(pattern=RADOS_NAME)] = ""
    conf: Path = Path("/etc/ceph/ceph.conf")
    user: Annotated[str, Meta(pattern=r"^[\w.-]{1,64}\Z")] = "velocity"

    @property
    def is_shared(self) -> bool:
        """Whether several hosts can have it."""
        return self.shared or self.kind == "rbd"


OF_RBD = ("rados_pool", "namespace", "conf", "user")


def place(pool: PoolSetting) -> str:
    """What it is stored on: unique among the pools."""
    if pool.kind == "rbd":
        return f"{pool.rados_pool}/{pool.namespace} of {pool.conf}"
    return os.path.normpath(pool.path)


def check(pools: Sequence[PoolSetting]) -> None:
    """Raises `ValueError`, also for settings of the other kind, which would have no effect."""
    for pool in pools:
        default = PoolSetting(pool.mpid, pool.name)
        other = next((one for one in OF_RBD if getattr(pool, one) != getattr(default, one)), None)
        if pool.kind == "rbd" and not pool.rados_pool:
            raise ValueError(f"pools: {pool.name!r} needs rados_pool, the name of its RADOS pool")
        if pool.kind == "rbd" and (pool.path != default.path or pool.shared):
            raise ValueError(f"pools: {pool.name!r} is on RBD: remove path and shared, as all hosts can have it anyway")
        if pool.kind == "directory" and pool.path == default.path:
            raise ValueError(f'pools: {pool.name!r} needs a path, or kind = "rbd" and a rados_pool')
        if pool.kind == "directory" and other is not None:
            raise ValueError(f'pools: {pool.name!r} has {other}, which is for kind = "rbd"')
