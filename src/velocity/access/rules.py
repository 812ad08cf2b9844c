"""The decisions of access: pure functions over frozen data."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields

from velocity import sizes
from velocity.contract.permissions import Permission, members

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
    home: int
    """The group that has authority over the account, whatever it holds."""


@dataclass(frozen=True)
class Device:
    """The origin of a sign-in: the address, and the program as it identifies itself."""

    address: str
    agent: str


@dataclass(frozen=True)
class Session:
    """An authkey's hash and whose it is, since when, from where; times in unix seconds.

    `sid` stays when the authkey is renewed. `expires` None: never (the key file).
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

    `forward_ports` are the ports of the host that may lead to its VMs, as in 20000-20099.
    """

    cpus: int | None = None
    memory_mib: int | None = None
    vms: int | None = None
    forward_ports: str | None = None


LIMITED = tuple(field.name for field in fields(Amount))
"""What a quota counts; the names of `Amount` and `Limits`."""
WORDS = {"cpus": "CPUs", "memory_mib": "memory", "vms": "VMs"}
"""Their names for people."""
NO_LIMITS = Limits()


@dataclass(frozen=True)
class TrashedAccess:
    """Groups in the trash, and grants on them as (uid, gid, pid)."""

    groups: Sequence[Group]
    grants: Sequence[tuple[int, int, int]]


@dataclass(frozen=True)
class Discarded:
    """The trash's note of a deleted object. `gid`: its group, or a group's parent."""

    kind: str
    id: str
    gid: int
    name: str
    uid: int
    size: int = 0


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


def lineage(groups: Groups, above: Mapping[int, int], gid: int) -> list[int]:
    """The same, also of a group that lies in the trash; `above` has the parents there. Of no group: the root."""
    lying = []
    while gid in above:
        lying.append(gid)
        gid = above[gid]
    return [*lying, *line(groups, gid if gid in groups else ROOT_GROUP)]


def subtree(groups: Groups, gid: int) -> list[int]:
    """The group and all that is below it, parents before their children."""
    children: dict[int, list[int]] = {}
    for group in groups.values():
        if group.gid != ROOT_GROUP:
            children.setdefault(group.parent_gid, []).append(group.gid)
    found = [gid]
    for one in found:
        found.extend(sorted(children.get(one, ())))
    return found


def held(groups: Groups, grants: Grants, gid: int) -> int:
    """Everything held on the group, as bits: directly, and by inheritance from its ancestors."""
    bits = grants.get(gid, 0)
    while gid != ROOT_GROUP:
        gid = groups[gid].parent_gid
        bits |= grants.get(gid, 0)
    return bits


class Held:
    """What somebody holds on any number of groups: on the ways up each group is looked at once. As of one moment."""

    def __init__(self, groups: Groups, grants: Grants) -> None:
        self._groups = groups
        self._grants = grants
        self._found: dict[int, int] = {}

    def __call__(self, gid: int) -> int:
        """As `held`."""
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
    """These groups and all above them, each looked at once."""
    found: set[int] = set()
    for gid in gids:
        while gid not in found:
            found.add(gid)
            gid = groups[gid].parent_gid
    return found


def topmost(groups: Groups, gids: Iterable[int]) -> list[int]:
    """Those of these groups that are not below another of them."""
    there = dict.fromkeys(gids, 1)
    within = Held(groups, there)
    return [gid for gid in there if gid == ROOT_GROUP or not within(groups[gid].parent_gid)]


def holds(groups: Groups, grants: Grants, permission: Permission, gid: int) -> bool:
    return bool(held(groups, grants, gid) & permission.bit)


def holds_somewhere(grants: Grants, permission: Permission) -> bool:
    """On at least one group."""
    return any(bits & permission.bit for bits in grants.values())


def dominates(groups: Groups, grants: Grants, others: Grants) -> bool:
    """Whether a user holds at least what another one holds, everywhere."""
    own = Held(groups, grants)
    return all(bits & ~own(gid) == 0 for gid, bits in others.items())


def first_home(grants: Grants) -> int:
    """Of whoever somebody makes without naming a home: the one group where they hold velocity.user.create directly."""
    found = [gid for gid, bits in grants.items() if bits & Permission.USER_CREATE.bit]
    return found[0] if len(found) == 1 else ROOT_GROUP


def visible_memberships(groups: Groups, viewer: Grants, memberships: Iterable[int]) -> list[int]:
    """Of someone's groups, those whose members the viewer may see."""
    seen = Held(groups, viewer)
    return [gid for gid in sorted(memberships) if seen(gid) & Permission.USER_VIEW.bit]


def shown_groups(groups: Groups, grants: Grants) -> list[int]:
    """The groups where something is held, by inheritance too, and the ancestors needed to draw the tree."""
    own = Held(groups, grants)
    return sorted(with_above(groups, (gid for gid in groups if own(gid))))


def shows(groups: Groups, grants: Grants, gid: int) -> bool:
    """Whether `shown_groups` has that group; the root is no secret."""
    if gid == ROOT_GROUP or held(groups, grants, gid):
        return True
    return gid in with_above(groups, (low for low, bits in grants.items() if bits))


def ports(words: str) -> range:
    """Those of a limit. Raises `ValueError`: there are no such."""
    first, _, last = words.partition("-")
    found = range(int(first), int(last) + 1)
    if not found or not 1 <= found[0] <= found[-1] <= 65535:
        raise ValueError(words)
    return found


def common(some: range, others: range) -> range:
    """Those that are in both."""
    return range(max(some.start, others.start), min(some.stop, others.stop))


def amount(name: str, count: int) -> str:
    """An amount of what a quota limits, for people."""
    return sizes.size(count << 20) if name == "memory_mib" else str(count)


def names(bits: int) -> str:
    """A set of permissions, for people."""
    return ", ".join(permission.value for permission in members(bits))
