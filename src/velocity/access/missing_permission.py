"""The message for callers who lack a permission: where they need it, and what to do.

It names a group only to those who see it, and an object's group only to those who see the object; others get the same
words for what they may not see and what does not exist.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from velocity.access import rules
from velocity.access.directory import Directory
from velocity.contract.operation import Holds, On
from velocity.contract.permissions import Permission

NAMED = (On.GROUP, On.PARENT_GROUP)
"""The request names the group itself, so that it could name another one."""
MOST = 4
"""Groups that a message lists."""
SEEN = {On.MEDIUM: Permission.MEDIA_LIST, On.VM: Permission.VM_VIEW, On.TASK: Permission.MEDIA_LIST}
"""The permission that shows an object of this kind."""


def refusal_message(directory: Directory, needs: Holds, uid: int, target: object, places: Sequence[int]) -> str:
    """`places` are the groups where the permission was looked for."""
    bit = needs.permission.bit
    others = [gid for gid, bits in sorted(directory.held(uid).items()) if bits & bit]
    elsewhere, remedy = "", ""
    if others and needs.on in NAMED:
        elsewhere = f", and hold it on {name_some(others, directory.path)}"
        remedy = "name that group, or " if len(others) == 1 else "name one of these groups, or "
    return (
        f"you need {needs.permission.value} {_where(directory, needs.on, uid, target, places)}{elsewhere}: "
        f"{remedy}ask someone who can assign it there (`velocity why`, POST /u/why, lists them)"
    )


def name_some(gids: Sequence[int], called: Callable[[int], str]) -> str:
    """The first of these groups, named by `called`, and how many more there are."""
    more = len(gids) - MOST
    return ", ".join(map(called, gids[:MOST])) + (f" and {more} more" if more > 0 else "")


def _where(directory: Directory, on: On, uid: int, target: object, places: Sequence[int]) -> str:
    there: str = on.value
    if (seen := SEEN.get(on)) and rules.holds(directory.groups, directory.held(uid), seen, places[0]):
        return f"{there} ({directory.path(places[0])})"
    if not isinstance(target, int):
        return there
    if on in NAMED:
        return f"on {directory.called(uid, target)}"
    if on is On.GROUPS_PARENT:
        above = f"{directory.path(places[0])}, above" if directory.sees(uid, target) else "the parent of"
        return f"on {above} {directory.called(uid, target)}"
    return there
