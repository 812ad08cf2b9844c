"""What a request is about, as it is before the request changes it: its name, and the VM whose disk it is."""

from __future__ import annotations

from uuid import UUID

from velocity.api.handlers.base import Services
from velocity.contract.operation import Holds, Needs, On, Wire


def name(services: Services, needs: Needs, request: Wire | None) -> str:
    """The name of the object on which the request needs a permission; empty if there is none.

    Names of other objects are left out: whoever may view the history of this one's group may not view them.
    """
    if not isinstance(needs, Holds):
        return ""
    on = needs.on
    one = getattr(request, "host" if on is On.ROOT else on.field or "", None)
    if on is On.VM:
        keeper = services.fleet.find(one)
        return keeper.machine.name if keeper else ""
    if on is On.MEDIUM:
        medium = services.library.find(one) or services.uploads.group_of(one)
        return medium.name if medium else ""
    if on is On.TASK:
        task = services.tasks.find(one)
        return task.name if task else ""
    if not isinstance(one, int):
        return ""
    if on in (On.HOME, On.ALL_OF_USER):
        user = services.directory.users.get(one)
        return user.name if user else ""
    if on in (On.GROUP, On.GROUPS_PARENT) and not hasattr(request, "uid"):
        group = services.directory.groups.get(one)
        return group.name if group and one else ""
    return services.membership.name_of(one) if on is On.ROOT else ""


def vm_of_disk(services: Services, gid: int, mid: UUID) -> int | None:
    """The VM whose disk a medium is: the only one that writes to it, or else the only one that has it.

    None if that VM is not in the group of the entry or below it: whoever may view the entry may not know of it.
    """
    users = services.attachments.attached_vms(mid)
    found = [one for one in users if one.writable] or users
    if len(found) != 1 or found[0].gid not in services.directory.groups:
        return None
    return found[0].vmid if gid in services.directory.line(found[0].gid) else None
