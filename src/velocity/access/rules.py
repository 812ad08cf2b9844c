"""The decisions of access: pure functions over frozen data."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from velocity.contract.permissions import Permission

ROOT_GROUP = 0
ROOT_USER = 0


@dataclass(frozen=True)
class Group:
    """Group 0 is the root, and its own parent."""

    gid: int
    parent_gid: int
    name: str


@dataclass(frozen=True)
class User:
    uid: int
    name: str
    password: str
    """The argon2id hash, with its parameters (PHC string format)."""


@dataclass(frozen=True)
class Session:
    """An authkey's hash and whose it is; `expires` in unix seconds, None: never (the key file)."""

    hash: bytes
    uid: int
    expires: int | None


Groups = Mapping[int, Group]
Grants = Mapping[int, int]
"""What one user holds directly: gid -> permissions as bits."""


def line(groups: Groups, gid: int) -> Iterator[int]:
    """The group and its ancestors, up to the root."""
    while True:
        yield gid
        if gid == ROOT_GROUP:
            return
        gid = groups[gid].parent_gid


def held(groups: Groups, grants: Grants, gid: int) -> int:
    """Everything held on the group, as bits: directly, and by inheritance from its ancestors."""
    bits = 0
    for ancestor in line(groups, gid):
        bits |= grants.get(ancestor, 0)
    return bits


def holds(groups: Groups, grants: Grants, permission: Permission, gid: int) -> bool:
    return bool(held(groups, grants, gid) & permission.bit)


def holds_somewhere(grants: Grants, permission: Permission) -> bool:
    """On at least one group."""
    return any(bits & permission.bit for bits in grants.values())


def visible_memberships(groups: Groups, viewer: Grants, memberships: Iterable[int]) -> list[int]:
    """Of someone's groups, those whose members the viewer may see."""
    return [gid for gid in sorted(memberships) if holds(groups, viewer, Permission.USER_VIEW, gid)]
