"""The rules of access: pure functions of immutable values."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields

from msgspec import Struct

from velocity import sizes
from velocity.contract.permissions import Permission, members

ROOT_GROUP = 0
ROOT_USER = 0


class Group(Struct, frozen=True):
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
    home: int
    """The group that has authority over the account, whatever the account holds."""


class Device(Struct, frozen=True):
    """The origin of a sign-in: address and User-Agent."""

    address: str
    agent: str


@dataclass(frozen=True)
class Session:
    """An authkey's hash with its user and origin; times in Unix seconds.

    `sid` stays the same when the authkey is renewed. `expires` None: never (the key file).
    """

    hash: bytes
    uid: int
    expires: int | None
    sid: str
    created: int
    address: str
    agent: str


@dataclass(frozen=True)
class Amount:
    """Amounts of what quotas limit."""

    cpus: int = 0
    memory_mib: int = 0
    vms: int = 0

    def __add__(self, other: Amount) -> Amount:
        return Amount(self.cpus + other.cpus, self.memory_mib + other.memory_mib, self.vms + other.vms)

    def __sub__(self, other: Amount) -> Amount:
        return Amount(self.cpus - other.cpus, self.memory_mib - other.memory_mib, self.vms - other.vms)


NOTHING = Amount()


@dataclass(frozen=True)
class Limits:
    """Limits for a group with its subgroups; None: no limit.

    `forward_ports` are the host ports that may be forwarded to its VMs, as in 20000-20099.
    """

    cpus: int | None = None
    memory_mib: int | None = None
    vms: int | None = None
    forward_ports: str | None = None


LIMITED = tuple(field.name for field in fields(Amount))
"""What a quota limits: the field names that `Amount` and `Limits` share."""
WORDS = {"cpus": "CPUs", "memory_mib": "memory", "vms": "VMs"}
"""Their names in messages."""
NO_LIMITS = Limits()


class TrashedAccess(Struct, frozen=True):
    """Groups in the trash, and grants on them as (uid, gid, pid)."""

    groups: Sequence[Group]
    grants: Sequence[tuple[int, int, int]]


class Discarded(Struct, frozen=True):
    """The trash's record of a deleted object. `gid` is its group; for a group, its parent."""

    kind: str
    id: str
    gid: int
    name: str
    uid: int
    size: int = 0


Groups = Mapping[int, Group]
Grants = Mapping[int, int]
"""What one user holds directly: gid -> permissions, as bits."""


def line(groups: Groups, gid: int) -> Iterator[int]:
    """The group and its ancestors, up to the root."""
    while True:
        yield gid
        if gid == ROOT_GROUP:
            return
        gid = groups[gid].parent_gid


def lineage(groups: Groups, above: Mapping[int, int], gid: int) -> list[int]:
    """`line`, also for a group in the trash, whose parents are in `above`. For an unknown group: the root."""
    lying = []
    while gid in above:
        lying.append(gid)
        gid = above[gid]
    return [*lying, *line(groups, gid if gid in groups else ROOT_GROUP)]


def subtree(groups: Groups, gid: int) -> list[int]:
    """The group and all below it, parents before their children."""
    children: dict[int, list[int]] = {}
    for group in groups.values():
        if group.gid != ROOT_GROUP:
            children.setdefault(group.parent_gid, []).append(group.gid)
    found = [gid]
    for one in found:
        found.extend(sorted(children.get(one, ())))
    return found


def held(groups: Groups, grants: Grants, gid: int) -> int:
    """What is held on the group, directly or by inheritance, as bits."""
    bits = grants.get(gid, 0)
    while gid != ROOT_GROUP:
        gid = groups[gid].parent_gid
        bits |= grants.get(gid, 0)
    return bits


class Held:
    """`held` for many groups, which visits each ancestor once. Valid for the present state only."""

    def __init__(self, groups: Groups, grants: Grants) -> None:
        self._groups = groups
        self._grants = grants
        self._found: dict[int, int] = {}

    def __call__(self, gid: int) -> int:
        """The permissions held on the group, as bits."""
        found, way = self._found, []
        while gid not in found:
            way.append(gid)
            if gid == ROOT_GROUP:
                break
            gid = self._groups[gid].parent_gid
        bits = found.get(gid, 0)
        for one in reversed(way):
            bits |= self._grants.get(one, 0)
            found[one] = bits
        return bits


def with_above(groups: Groups, gids: Iterable[int]) -> set[int]:
    """These groups and all their ancestors."""
    found: set[int] = set()
    for gid in gids:
        while gid not in found:
            found.add(gid)
            gid = groups[gid].parent_gid
    return found


def topmost(groups: Groups, gids: Iterable[int]) -> list[int]:
    """Those of these groups that are not below another one of them."""
    there = dict.fromkeys(gids, 1)
    within = Held(groups, there)
    return [gid for gid in there if gid == ROOT_GROUP or not within(groups[gid].parent_gid)]


def holds(groups: Groups, grants: Grants, permission: Permission, gid: int) -> bool:
    return bool(held(groups, grants, gid) & permission.bit)


def holds_somewhere(grants: Grants, permission: Permission) -> bool:
    """Whether it is held on at least one group."""
    return any(bits & permission.bit for bits in grants.values())


def dominates(groups: Groups, grants: Grants, others: Grants) -> bool:
    """Whether a user holds at least what another one holds, everywhere."""
    own = Held(groups, grants)
    return all(bits & ~own(gid) == 0 for gid, bits in others.items())


def first_home(grants: Grants) -> int:
    """A new user's home if none is named: the one group where the creator directly holds velocity.user.create."""
    found = [gid for gid, bits in grants.items() if bits & Permission.USER_CREATE.bit]
    return found[0] if len(found) == 1 else ROOT_GROUP


def visible_memberships(groups: Groups, viewer: Grants, memberships: Iterable[int]) -> list[int]:
    """The groups among `memberships` whose members the viewer may see."""
    seen = Held(groups, viewer)
    return [gid for gid in sorted(memberships) if seen(gid) & Permission.USER_VIEW.bit]


def shown_groups(groups: Groups, grants: Grants) -> list[int]:
    """The groups where anything is held, also by inheritance, and their ancestors, which draw the tree."""
    own = Held(groups, grants)
    return sorted(with_above(groups, (gid for gid in groups if own(gid))))


def shows(groups: Groups, grants: Grants, gid: int) -> bool:
    """Whether `shown_groups` contains the group; the root is always shown."""
    if gid == ROOT_GROUP or held(groups, grants, gid):
        return True
    return gid in with_above(groups, (low for low, bits in grants.items() if bits))


def ports(words: str) -> range:
    """The ports of a limit, as in 20000-20099. Raises `ValueError`."""
    first, _, last = words.partition("-")
    found = range(int(first), int(last) + 1)
    if not found or not 1 <= found[0] <= found[-1] <= 65535:
        raise ValueError(words)
    return found


def common(some: range, others: range) -> range:
    """The ports in both ranges."""
    return range(max(some.start, others.start), min(some.stop, others.stop))


def amount(name: str, count: int) -> str:
    """An amount of what a quota limits, in words."""
    return sizes.size(count << 20) if name == "memory_mib" else str(count)


def names(bits: int) -> str:
    """A set of permissions, in words."""
    return ", ".join(permission.value for permission in members(bits))
