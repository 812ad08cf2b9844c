"""Why a request is allowed or refused: the same decision as at the edge, with what led to it.

The caller sees no more of it than he may see elsewhere: of groups where he holds nothing, not even that they exist.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from msgspec import UNSET

from velocity.access import rules
from velocity.access.rules import Grants
from velocity.access.sessions import Caller
from velocity.contract.operation import Holds, On, Operation
from velocity.contract.permissions import Permission
from velocity.contract.problems import Problem, Refused
from velocity.contract.registry import OPERATIONS
from velocity.contract.users import UserSummary
from velocity.contract.why import Explain, Explanation, Place, Supposed

if TYPE_CHECKING:
    from velocity.access.service import Access

NAMED = {operation.name: operation for operation in OPERATIONS}


class Why:
    """Explains the decisions of access."""

    def __init__(self, access: Access) -> None:
        self._access = access
        self._directory = access.directory

    def explain(self, caller: Caller, request: Explain) -> Explanation:
        """Raises `Refused`."""
        needs = _needs(request)
        uid = request.uid if isinstance(request.uid, int) else caller.uid
        if isinstance(needs, Operation):
            self._check_about(caller, uid, [rules.ROOT_GROUP])
            text = getattr(needs.needs, "reason", "")
            return Explanation(allowed=True, message=f"{needs.name} needs no permission: {text}")
        target = _target(needs, request)
        places = self._access.places(needs, target)
        self._check_about(caller, uid, places or self._directory.held(uid) or [rules.ROOT_GROUP])
        self._directory.user(uid)
        held = self._supposed(uid, request)
        allowed = self._access.allowed(needs, uid, held, target)
        if needs.oneself and allowed and target in (uid, None):
            return Explanation(allowed=True, message="nobody needs a permission on himself")
        seen = [gid for gid in places if self._sees(caller, gid)]
        line = self._line(needs, held, seen)
        ask = [] if allowed else self._who(caller, needs.permission, seen)
        return Explanation(
            allowed=allowed,
            message=self._sentence(uid, needs, held, allowed, line, bool(seen) or not places),
            permission=needs.permission.value,
            line=line,
            ask=ask,
        )

    def _check_about(self, caller: Caller, uid: int, places: Iterable[int]) -> None:
        if uid != caller.uid and not all(self._access.holds(caller.uid, Permission.USER_VIEW, gid) for gid in places):
            raise Refused(
                Problem.NO_PERMISSION, f"you need {Permission.USER_VIEW.value} there to ask about another user"
            )

    def _sees(self, caller: Caller, gid: int) -> bool:
        held = self._directory.held(caller.uid)
        return gid in rules.shown_groups(self._directory.groups, held)

    def _supposed(self, uid: int, request: Explain) -> Grants:
        """What the user would hold; groups that do not exist change nothing."""
        held = dict(self._directory.held(uid))
        for one in request.granted:
            if one.gid in self._directory.groups:
                held[one.gid] = held.get(one.gid, 0) | _permission(one).bit
        for one in request.revoked:
            held[one.gid] = held.get(one.gid, 0) & ~_permission(one).bit
        return held

    def _line(self, needs: Holds, held: Grants, places: Iterable[int]) -> list[Place]:
        groups = self._directory.groups
        return [
            Place(gid=gid, name=groups[gid].name, held=bool(held.get(gid, 0) & needs.permission.bit))
            for place in places
            for gid in rules.line(groups, place)
        ]

    def _who(self, caller: Caller, permission: Permission, places: Iterable[int]) -> list[UserSummary]:
        """Those who hold the permission and may assign it, on all of these groups, where the caller may see members."""
        directory = self._directory
        visible = [gid for gid in places if self._access.holds(caller.uid, Permission.USER_VIEW, gid)]
        wanted = permission.bit | Permission.USER_ASSIGN.bit
        return [
            UserSummary(uid=uid, name=directory.users[uid].name)
            for uid, held in sorted(directory.grants.items())
            if visible and all(rules.held(directory.groups, held, gid) & wanted == wanted for gid in visible)
        ]

    def _sentence(self, uid: int, needs: Holds, held: Grants, allowed: bool, line: list[Place], visible: bool) -> str:
        name, wanted = self._directory.users[uid].name, needs.permission.value
        if not visible:
            return f"{wanted} is needed {needs.on.value}; you hold nothing there, or there is no such thing"
        if allowed:
            through = [f"{place.name} ({place.gid})" for place in line if place.held]
            if not through:
                groups = self._directory.groups
                through = [f"{groups[gid].name} ({gid})" for gid, bits in held.items() if bits & needs.permission.bit]
            return f"{name} may: holds {wanted} on {', '.join(through)}"
        others = [gid for gid, bits in held.items() if bits & needs.permission.bit]
        where = ", ".join(f"{self._directory.groups[gid].name} ({gid})" for gid in others)
        elsewhere = f"; it is held on {where}, which is not above it" if where and needs.on is not On.SOMEWHERE else ""
        return (
            f"{name} may not: {wanted} is needed {needs.on.value}{elsewhere}. Whoever holds it there, and "
            f"{Permission.USER_ASSIGN.value}, can give it"
        )


def _needs(request: Explain) -> Holds | Operation:  # type: ignore[type-arg]
    """What is asked about; an operation that needs no permission as it is."""
    if (operation := NAMED.get(request.operation)) is not None:
        return operation.needs if isinstance(operation.needs, Holds) else operation
    on = On.VM if isinstance(request.vmid, int) else On.GROUP if isinstance(request.gid, int) else On.SOMEWHERE
    return Holds(_permission(request), on)


def _permission(named: Explain | Supposed) -> Permission:
    word = named.permission if isinstance(named, Supposed) else named.operation
    for permission in Permission:
        if word in (permission.value, permission.value.removeprefix("velocity.")):
            return permission
    raise Refused(
        Problem.OPERATION_NOT_FOUND,
        f"there is no operation or permission {word!r}: see GET /openapi.json for the names of the operations",
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
    raise Refused(
        Problem.MALFORMED, f"{field}: this field is missing: {request.operation} is decided by it", field=field
    )
