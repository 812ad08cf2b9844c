"""The use cases of groups: the tree, their quotas and grants, and their deletion."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from contextlib import asynccontextmanager

from msgspec import Struct, UnsetType

from velocity import plan
from velocity.access import rules
from velocity.access.bounds import BOUNDS, Bounds
from velocity.access.directory import Directory
from velocity.access.lasting import check_admitted
from velocity.access.port import AccessStore, GroupContents, PendingDeletion
from velocity.access.rules import LIMITED, ROOT_GROUP, Amount, Discarded, Group, Limits
from velocity.access.sessions import Caller
from velocity.access.updates import DirectoryWriter
from velocity.access.users import Membership
from velocity.contract.groups import DeleteGroup, ListGroups, ShowGroup
from velocity.contract.permissions import Permission, members
from velocity.contract.problems import Problem, Refused
from velocity.contract.revision import check

log = logging.getLogger(__name__)


class Account(Struct, frozen=True):
    """A group's quota: its own limits, what its subtree uses, and what is left by all limits up to the root."""

    limits: Limits
    used: Amount
    left: Limits
    revision: str


class Groups:
    """The tree of groups, with quotas and deletion."""

    def __init__(
        self,
        store: AccessStore,
        directory: Directory,
        updates: DirectoryWriter,
        belongings: Sequence[GroupContents],
        bounds: Bounds = BOUNDS,
    ) -> None:
        """`belongings` hold what groups own; they are deleted in this order."""
        self._store = store
        self._bounds = bounds
        self._directory = directory
        self._updates = updates
        self._belongings = belongings

    def members(self, request: ShowGroup) -> list[Membership]:
        """Who holds permissions directly on the group."""
        directory = self._directory
        group, grants = directory.group(request.gid), directory.grants
        found = sorted(uid for uid, held in grants.items() if held.get(group.gid))
        return [Membership(directory.users[uid], group, members(grants[uid][group.gid])) for uid in request.page(found)]

    def shown_to(self, caller: Caller, request: ListGroups) -> list[tuple[Group, list[Permission]]]:
        """The part of the tree that the caller sees, and what they hold directly there."""
        directory = self._directory
        held = directory.held(caller.uid)
        shown = [gid for gid in rules.shown_groups(directory.groups, held) if gid not in directory.leaving]
        return [(directory.groups[gid], members(held.get(gid, 0))) for gid in request.page(shown)]

    async def create(self, name: str, parent_gid: int) -> Group:
        directory = self._directory
        async with self._updates.changing:
            check_admitted()
            parent = directory.group(parent_gid, field="parent_gid")
            deepest, most = self._bounds.group_depth, self._bounds.group_subgroups
            if len(directory.line(parent_gid)) > deepest:
                raise Refused(
                    Problem.GROUP_TOO_DEEP,
                    f"groups can be nested {deepest} levels deep (group_depth), and {parent.name!r} is already at that "
                    "level: choose a parent further up",
                    field="parent_gid",
                )
            if sum(one.parent_gid == parent_gid != one.gid for one in directory.groups.values()) >= most:
                raise Refused(
                    Problem.TOO_MANY_GROUPS,
                    f"{parent.name!r} has {most} subgroups, and no more are allowed (group_subgroups): choose another "
                    "parent, or delete some",
                    field="parent_gid",
                )
            self._check_name(name, parent_gid)
            plan.step("create", "group", name, gid=parent_gid)
            group = Group(await self._store.add_group(name, parent_gid), parent_gid, name)
            self._updates.put_group(group)
        return group

    async def delete(self, caller: Caller, request: DeleteGroup, *, purge: bool) -> None:
        """Delete a group with its subgroups and all that they own: into the trash, or permanently."""
        gid = request.gid
        directory = self._directory
        async with self._updates.changing:
            check_admitted()
            group = directory.group(gid)
            if gid == ROOT_GROUP:
                raise Refused(
                    Problem.GROUP_STAYS, "group 0 is the root of all groups and cannot be deleted", field="gid"
                )
            check(request.revision, directory.revision(gid))
            leaving = dict.fromkeys(rules.subtree(directory.groups, gid))  # where one is found at once
            self._check_stay(leaving)
            for keeper in self._belongings:
                keeper.examine(leaving, force=request.force, purge=purge)
            for one in reversed(leaving):
                plan.step("purge" if purge else "delete", "group", directory.groups[one].name, id=one)
            plan.stop_here()
            self._updates.hide_groups(leaving)  # from here on, nothing new can be created in them
        deletions: list[PendingDeletion] = []
        try:
            for keeper in self._belongings:
                deletions.append(await keeper.begin_deletion(leaving, force=request.force))
            async with self._updates.changing:
                size = sum(deletion.size for deletion in deletions)
                discarded = Discarded("group", str(gid), group.parent_gid, group.name, caller.uid, size)
                await self._store.remove_groups(gid, group.parent_gid, None if purge else discarded)
        except BaseException as error:
            for deletion in reversed(deletions):
                await deletion.restore()
            self._updates.unhide_groups(leaving)
            raise _told(error, group, deletions) from None
        for deletion in deletions:
            deletion.committed()
        if not purge:
            self._updates.trash_groups(leaving)
        self._updates.move_homes(leaving, group.parent_gid)
        self._updates.forget_groups(leaving)
        self._updates.unhide_groups(leaving)
        if not purge:
            self._updates.discarded("group", group.parent_gid)
        for deletion in deletions:
            await deletion.finish(purge=purge)

    def _check_stay(self, gids: Collection[int]) -> None:
        """Raises `Refused` if one of them is being deleted."""
        for one in self._directory.leaving.intersection(gids):
            words = f"the subgroup {self._directory.path(one)} is being deleted or restored: wait until that has ended"
            raise Refused(Problem.GROUP_BUSY, words, field="gid")

    @asynccontextmanager
    async def returning(
        self, groups: Sequence[Group], limits: Mapping[int, Limits], grants: Sequence[tuple[int, int, int]]
    ) -> AsyncIterator[None]:
        """Restores groups from the trash: within, they exist for the areas that restore what they own, and for nobody
        else.

        Parents come before their children. Raises `Refused`; an exception inside undoes everything.
        """
        directory = self._directory
        gids = dict.fromkeys(group.gid for group in groups)
        async with self._updates.changing:
            top = groups[0]
            directory.group(top.parent_gid)
            self._check_name(top.name, top.parent_gid)
            directory.leaving.update(gids)
            directory.groups.update({group.gid: group for group in groups})
            directory.quotas.limits.update(limits)
        try:
            yield  # others may change the directory meanwhile, but for what is above these
        except BaseException:
            self._updates.forget_groups(gids)
            raise
        else:
            for uid, gid, pid in grants:
                if uid in directory.users:
                    self._updates.grant(uid, gid, 1 << pid)
            self._updates.untrash_groups(gids)
        finally:
            self._updates.unhide_groups(gids)

    def _check_name(self, name: str, parent_gid: int) -> None:
        if any((one.parent_gid, one.name) == (parent_gid, name) for one in self._directory.groups.values()):
            raise Refused(
                Problem.GROUP_NAME_TAKEN,
                f"{self._directory.path(parent_gid)} already has a subgroup named {name!r}: choose another name",
                field="name",
            )

    # Quotas

    def account(self, gid: int) -> Account:
        directory, quotas = self._directory, self._directory.quotas
        directory.group(gid)
        left: dict[str, int] = {}
        for ancestor in directory.line(gid):
            for name in LIMITED:
                limit = getattr(quotas.limits_of(ancestor), name)
                if limit is not None:
                    rest = max(0, limit - getattr(quotas.used_by(ancestor), name))
                    left[name] = min(rest, left.get(name, rest))
        some = quotas.ports_of(directory.line(gid))
        ports = None if some is None else f"{some.start}-{some.stop - 1}" if some else "none"
        return Account(
            quotas.limits_of(gid), quotas.used_by(gid), Limits(**left, forward_ports=ports), directory.revision(gid)
        )

    async def set_limits(self, gid: int, limits: Limits, named: str | UnsetType) -> None:
        """Set all limits of a group. Limits below the present use are allowed: nothing more fits until it is lower."""
        directory = self._directory
        async with self._updates.changing:
            check_admitted()
            group = directory.group(gid)
            for name in LIMITED:
                wanted = getattr(limits, name)
                if wanted is not None:
                    self._check_above(gid, name, wanted)
                    self._check_below(gid, name, wanted)
            if limits.forward_ports is not None:
                self._check_ports(gid, limits.forward_ports)
            check(named, directory.revision(gid))
            before = vars(directory.quotas.limits_of(gid))
            changes = {name: (before[name], limit) for name, limit in vars(limits).items()}
            plan.step("change", "group", group.name, id=gid, changes=changes)
            await self._store.set_limits(gid, limits)
            directory.quotas.set_limits(gid, limits)

    def _check_ports(self, gid: int, words: str) -> None:
        """Raises `Refused` unless these are ports, within the limits above and around the limits below."""
        directory, field = self._directory, "forward_ports"
        try:
            wanted = rules.ports(words)
        except ValueError:
            what = f"{field}: {words} are no ports: write the first and the last, from 1 to 65535, as in 20000-20099"
            raise Refused(Problem.MALFORMED, what, field=field) from None
        for ancestor in directory.line(gid)[1:]:
            limit = directory.quotas.limits_of(ancestor).forward_ports
            if ancestor != gid and limit is not None and rules.common(wanted, rules.ports(limit)) != wanted:
                raise Refused(
                    Problem.QUOTA_ABOVE,
                    f"ports of the host: the quota of {directory.whose(ancestor, gid)} is {limit}: choose among these",
                    field=field,
                )
        for below in rules.subtree(directory.groups, gid)[1:]:
            limit = directory.quotas.limits_of(below).forward_ports
            if limit is not None and rules.common(wanted, rules.ports(limit)) != rules.ports(limit):
                raise Refused(
                    Problem.QUOTA_ABOVE,
                    f"ports of the host: the quota of the subgroup {directory.path(below)} is {limit}: change that "
                    "first",
                    field=field,
                )

    def _check_above(self, gid: int, name: str, wanted: int) -> None:
        for ancestor in self._directory.line(gid)[1:]:
            limit = getattr(self._directory.quotas.limits_of(ancestor), name)
            if ancestor != gid and limit is not None and wanted > limit:
                raise Refused(
                    Problem.QUOTA_ABOVE,
                    f"{rules.WORDS[name]}: the quota of {self._directory.whose(ancestor, gid)} is "
                    f"{rules.amount(name, limit)}: set a limit of at most that",
                    field=name,
                )

    def _check_below(self, gid: int, name: str, wanted: int) -> None:
        directory = self._directory
        for below in rules.subtree(directory.groups, gid)[1:]:
            limit = getattr(directory.quotas.limits_of(below), name)
            if limit is not None and limit > wanted:
                raise Refused(
                    Problem.QUOTA_ABOVE,
                    f"{rules.WORDS[name]}: the quota of the subgroup {directory.path(below)} is "
                    f"{rules.amount(name, limit)}: lower that first",
                    field=name,
                )


def _told(error: BaseException, group: Group, deletions: Sequence[PendingDeletion]) -> BaseException:
    """Why a deletion failed; if something was already ended for it, the message says so."""
    ended = " and ".join(filter(None, (one.ended for one in deletions)))
    if not ended or not isinstance(error, Refused) or error.problem is not Problem.UNAVAILABLE:
        return error
    words = f"the database does not respond: group {group.name!r} stays, but {ended}; try again later"
    return Refused(Problem.UNAVAILABLE, words)
