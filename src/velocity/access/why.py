"""Explains why a request is allowed or refused, with the code that decides it.

Callers learn no more than elsewhere: of groups where they hold nothing, not even that they exist.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from msgspec import UNSET

from velocity.access import rules
from velocity.access.missing_permission import name_some
from velocity.access.rules import ROOT_GROUP, ROOT_USER, Grants
from velocity.access.service import Access
from velocity.access.sessions import Caller
from velocity.contract.operation import Holds, On, Operation
from velocity.contract.permissions import Permission
from velocity.contract.problems import Problem, Refused
from velocity.contract.registry import OPERATIONS
from velocity.contract.users import UserSummary
from velocity.contract.why import Explain, Explanation, Place, Supposed

NAMED = {operation.name: operation for operation in OPERATIONS}


class PermissionExplainer:
    """Explains the decisions of access."""

    def __init__(self, access: Access) -> None:
        self._access = access
        self._directory = access.directory

    def explain(self, caller: Caller, request: Explain) -> Explanation:
        """Raises `Refused`."""
        needs = _needs(request)
        uid = request.uid if isinstance(request.uid, int) else caller.uid
        if isinstance(needs, Operation):
            self._check_about(caller, uid, [ROOT_GROUP])
            text = getattr(needs.needs, "reason", "")
            return Explanation(allowed=True, message=f"{needs.name} needs no permission: {text}")
        target = _target(needs, request)
        places = self._access.places(needs, target)
        self._check_about(caller, uid, places or self._directory.held(uid) or [ROOT_GROUP])
        self._directory.user(uid)
        held = self._supposed(uid, request)
        allowed = self._access.allowed(needs, uid, held, target)
        if self._access.needs_nothing(needs, uid, target):
            what = "what they began" if needs.own else "themselves"
            return Explanation(allowed=True, message=f"users need no permission to do this to {what}")
        seen = self._seen(caller, needs.on, target, places)
        line = self._line(needs, held, seen)
        if allowed:
            message = self._may(caller, uid, needs, held, line)
        elif seen or not places:
            message = self._may_not(caller, uid, needs, held, target, seen)
        else:
            message = (
                f"{needs.permission.value} is needed {needs.on.value}; there is no such object, or you may not see it"
            )
        return Explanation(
            allowed=allowed,
            message=message,
            permission=needs.permission.value,
            line=line,
            ask=[] if allowed else self._who(caller, needs, seen),
        )

    def _check_about(self, caller: Caller, uid: int, places: Iterable[int]) -> None:
        sees = self._directory.holding(caller.uid, Permission.USER_VIEW)
        if uid != caller.uid and not all(map(sees, places)):
            raise Refused(
                Problem.NO_PERMISSION, f"you need {Permission.USER_VIEW.value} there to ask about another user"
            )

    def _seen(self, caller: Caller, on: On, target: object, places: Iterable[int]) -> list[int]:
        """The groups among `places` that the caller may know to be the ones that decide."""
        directory = self._directory
        if on in (On.GROUP, On.PARENT_GROUP, On.GROUPS_PARENT):
            return list(places) if isinstance(target, int) and directory.sees(caller.uid, target) else []
        if on is On.VM:  # a request for its state would tell as much
            return list(filter(rules.Held(directory.groups, directory.held(caller.uid)), places))
        if on in (On.MEDIUM, On.TASK):
            return list(filter(directory.holding(caller.uid, Permission.MEDIA_LIST), places))
        if target == caller.uid:
            shown = set(rules.shown_groups(directory.groups, directory.held(caller.uid))) | {ROOT_GROUP}
            return [gid for gid in places if gid in shown and gid not in directory.leaving]
        return list(filter(directory.holding(caller.uid, Permission.USER_VIEW), places))

    def _supposed(self, uid: int, request: Explain) -> Grants:
        """What the user would hold; groups that do not exist are skipped."""
        held = dict(self._directory.held(uid))
        for one in request.granted:
            if one.gid in self._directory.groups:
                held[one.gid] = held.get(one.gid, 0) | _permission(one).bit
        for one in request.revoked:
            held[one.gid] = held.get(one.gid, 0) & ~_permission(one).bit
        return held

    def _line(self, needs: Holds, held: Grants, places: Iterable[int]) -> list[Place]:
        """The paths from these groups up to the root, each group once."""
        groups, found = self._directory.groups, dict[int, Place]()
        for gid in places:
            while gid not in found:
                named = groups[gid]
                found[gid] = Place(gid=gid, name=named.name, held=bool(held.get(gid, 0) & needs.permission.bit))
                gid = named.parent_gid
        return list(found.values())

    def _who(self, caller: Caller, needs: Holds, seen: Sequence[int]) -> list[UserSummary]:
        """Who could give the permission, as far as the caller sees members; root is always listed."""
        directory = self._directory
        wanted = needs.permission.bit | Permission.USER_ASSIGN.bit
        somewhere = needs.on is On.SOMEWHERE
        places = sorted(directory.held(caller.uid)) if somewhere else seen
        enough = any if somewhere or needs.on is On.USER else all
        found = []
        for uid, grants in sorted(directory.grants.items()):
            shown = rules.visible_memberships(directory.groups, directory.held(caller.uid), grants)
            held = rules.Held(directory.groups, {gid: grants[gid] for gid in shown})
            if enough(held(gid) & wanted == wanted for gid in places):
                found.append(uid)
        last = [*(uid for uid in found if places and uid != ROOT_USER), ROOT_USER]
        return [UserSummary(uid=uid, name=directory.users[uid].name) for uid in last]

    def _may(self, caller: Caller, uid: int, needs: Holds, held: Grants, line: Sequence[Place]) -> str:
        through = [place.gid for place in line if place.held] or self._elsewhere(caller, uid, needs, held)
        where = f" on {self._labels(through)}" if through else ""
        return f"{self._directory.users[uid].name} may do this: they have {needs.permission.value}{where}"

    def _may_not(
        self, caller: Caller, uid: int, needs: Holds, held: Grants, target: object, seen: Sequence[int]
    ) -> str:
        directory, on = self._directory, needs.on
        name, wanted, there = directory.users[uid].name, needs.permission.value, self._labels(seen)
        if on in (On.GROUP, On.PARENT_GROUP):
            needed = f"on {there}"
        elif on is On.GROUPS_PARENT and isinstance(target, int) and target != ROOT_GROUP:
            needed = f"on {there}, above {directory.path(target)}"
        else:
            needed = f"{on.value} ({there})" if seen else on.value
        others = self._elsewhere(caller, uid, needs, held) if on is not On.SOMEWHERE else []
        elsewhere = f"; they have it on {self._labels(others)}, which is not above it" if others else ""
        giver = f"on {there}" if seen else "on a group"
        return (
            f"{name} may not do this: {wanted} is needed {needed}{elsewhere}. Anyone who has it {giver} together "
            f"with {Permission.USER_ASSIGN.value} can give it"
        )

    def _elsewhere(self, caller: Caller, uid: int, needs: Holds, held: Grants) -> list[int]:
        """Where else the user holds the permission, as far as the caller may see that."""
        sees = self._directory.holding(caller.uid, Permission.USER_VIEW)
        return [
            gid
            for gid, bits in sorted(held.items())
            if bits & needs.permission.bit and (uid == caller.uid or sees(gid))
        ]

    def _labels(self, gids: Iterable[int]) -> str:
        return name_some(list(gids), lambda gid: f"{self._directory.path(gid)} ({gid})")


def _needs(request: Explain) -> Holds | Operation:  # type: ignore[type-arg]
    """What the request asks about; the operation itself if it needs no permission."""
    if (operation := NAMED.get(request.operation)) is not None:
        needs = operation.needed_by(request)
        return needs if isinstance(needs, Holds) else operation
    on = On.VM if isinstance(request.vmid, int) else On.GROUP if isinstance(request.gid, int) else On.SOMEWHERE
    return Holds(_permission(request), on)


def _permission(named: Explain | Supposed) -> Permission:
    word = named.permission if isinstance(named, Supposed) else named.operation
    for permission in Permission:
        if word in (permission.value, permission.value.removeprefix("velocity.")):
            return permission
    raise Refused(
        Problem.OPERATION_NOT_FOUND,
        f"there is no operation or permission {word!r}: GET /openapi.json lists the operations",
        field="operation" if isinstance(named, Explain) else "permission",
    )


def _target(needs: Holds, request: Explain) -> object:
    field = {"uid": "member", "parent_gid": "gid"}.get(needs.on.field or "", needs.on.field)
    if field is None:
        return None
    target = getattr(request, field)
    if target is not UNSET:
        return target
    if needs.oneself:
        return None
    raise Refused(Problem.MALFORMED, f"{field}: this field is missing: {request.operation} depends on it", field=field)
