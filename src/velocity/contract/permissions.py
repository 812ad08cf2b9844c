"""The permissions of the contract, with their stable ids."""

from __future__ import annotations

import enum


class Permission(enum.Enum):
    """One permission: its value is the name in the API, `pid` the stable id, `bit` its place in a set of permissions.

    The order gives the ids, from 1: append only. User root holds all of them on group 0, also new ones.
    """

    USER_CREATE = "velocity.user.create"
    USER_REMOVE = "velocity.user.remove"
    USER_ASSIGN = "velocity.user.assign"
    USER_REVOKE = "velocity.user.revoke"
    USER_VIEW = "velocity.user.view"
    USER_LIST = "velocity.user.list"
    GROUP_CREATE = "velocity.group.create"
    GROUP_REMOVE = "velocity.group.remove"
    GROUP_VIEW = "velocity.group.view"
    POOL_LIST = "velocity.pool.list"
    POOL_ASSIGN = "velocity.pool.assign"
    POOL_REVOKE = "velocity.pool.revoke"
    MEDIA_CREATE = "velocity.media.create"
    MEDIA_LIST = "velocity.media.list"
    MEDIA_REMOVE = "velocity.media.remove"
    VM_CREATE = "velocity.vm.create"
    VM_REMOVE = "velocity.vm.remove"
    VM_ALTER = "velocity.vm.alter"
    VM_VIEW = "velocity.vm.view"
    VM_INTERACT = "velocity.vm.interact"
    VM_STATE = "velocity.vm.state"
    NIC_LIST = "velocity.nic.list"
    HOST_VIEW = "velocity.host.view"
    MEDIA_WRITE = "velocity.media.write"
    NIC_TRUST = "velocity.nic.trust"
    HOST_REACH = "velocity.host.reach"
    VM_GUEST = "velocity.vm.guest"
    NODE_MANAGE = "velocity.node.manage"

    pid: int
    bit: int

    def __init__(self, _name: str) -> None:
        self.pid = len(type(self).__members__) + 1
        self.bit = 1 << self.pid

    @property
    def description(self) -> str:
        return _DESCRIPTIONS[self]


ALL = sum(permission.bit for permission in Permission)
"""The set of every permission, as bits."""

_DESCRIPTIONS = {
    Permission.USER_CREATE: "Create users",
    Permission.USER_REMOVE: "Remove users who are members of the group",
    Permission.USER_ASSIGN: "Give users the permissions on the group that the giver holds there",
    Permission.USER_REVOKE: "Take permissions on the group away from users",
    Permission.USER_VIEW: "View the group's members and their permissions",
    Permission.USER_LIST: "List all users by name",
    Permission.GROUP_CREATE: "Create subgroups and set their quotas",
    Permission.GROUP_REMOVE: "Delete subgroups with everything in them",
    Permission.GROUP_VIEW: "View the group, its members and its quota",
    Permission.POOL_LIST: "List the media pools that the group may use",
    Permission.POOL_ASSIGN: "Assign media pools to the group",
    Permission.POOL_REVOKE: "Take media pools away from the group",
    Permission.MEDIA_CREATE: "Create, upload and change media",
    Permission.MEDIA_LIST: "List the group's media and attach them to VMs",
    Permission.MEDIA_REMOVE: "Delete media",
    Permission.VM_CREATE: "Create virtual machines",
    Permission.VM_REMOVE: "Delete virtual machines",
    Permission.VM_ALTER: "Change virtual machines",
    Permission.VM_VIEW: "View virtual machines and their states",
    Permission.VM_INTERACT: "Use the consoles of virtual machines",
    Permission.VM_STATE: "Start, stop, pause and resume virtual machines",
    Permission.NIC_LIST: "List the host NICs that virtual machines can be bridged to",
    Permission.HOST_VIEW: "View the host: its load, memory, pools and hypervisor",
    Permission.MEDIA_WRITE: "Attach the group's media writable to virtual machines of other groups",
    Permission.NIC_TRUST: "Let virtual machines be routers and DHCP servers of the networks that they are bridged to",
    Permission.HOST_REACH: "Fetch media from addresses that are not public: the host's own, and those of its networks",
    Permission.VM_GUEST: "Act inside virtual machines through their guest agents",
    Permission.NODE_MANAGE: "Add, drain and remove hosts; of use on the root group alone",
}


def members(bits: int) -> list[Permission]:
    """The permissions in a set of bits, in the order of their ids."""
    return [permission for permission in Permission if bits & permission.bit]
