"""Routes 12, 13, 16 and 17: virtual machines and their states."""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING, Annotated, Any
from uuid import UUID

from msgspec import UNSET, Meta, UnsetType

from velocity.contract import fields, placement
from velocity.contract.cloud_init import CloudInitInfo
from velocity.contract.fields import Gid, Name, Revision, UnixTime, UnreachableSince, Vmid, Word
from velocity.contract.isolation import Isolation
from velocity.contract.operation import (
    Alias,
    Change,
    Failure,
    Hides,
    Holds,
    Method,
    Nothing,
    On,
    Operation,
    Paged,
    Wire,
)
from velocity.contract.permissions import Permission
from velocity.contract.problems import Problem
from velocity.contract.settings import Form, with_settings
from velocity.contract.vm_settings import Attachment as Attachment
from velocity.contract.vm_settings import DiskLimits as DiskLimits
from velocity.contract.vm_settings import Display as Display
from velocity.contract.vm_settings import EmptyDrive as EmptyDrive
from velocity.contract.vm_settings import Interface as Interface
from velocity.contract.vm_settings import MediaMode as MediaMode
from velocity.contract.vm_settings import NextBoot as NextBoot
from velocity.contract.vm_settings import Nic as Nic
from velocity.contract.vm_settings import NicType as NicType
from velocity.contract.vm_settings import VmSettings as VmSettings


class State(enum.Enum):
    """The seven states of a VM. Only STOPPED, RUNNING and PAUSED can be requested."""

    STOPPED = "STOPPED"
    STARTING = "STARTING"
    RUNNING = "RUNNING"
    PAUSING = "PAUSING"
    PAUSED = "PAUSED"
    RESUMING = "RESUMING"
    STOPPING = "STOPPING"


@with_settings(VmSettings, Form.DECLARED, after="gid")
class CreateVm(Change, frozen=True):
    name: Name
    gid: Gid
    host: placement.WantedHost | UnsetType = UNSET
    if TYPE_CHECKING:

        def __init__(self, **fields: Any) -> None:
            """These fields and the settings, which mypy cannot derive."""


class VmCreated(Wire, frozen=True):
    vmid: Vmid
    warnings: fields.Warnings | UnsetType = UNSET


class ListVms(Paged[Vmid], frozen=True):
    gid: Gid


class VmSummary(Wire, frozen=True):
    vmid: Vmid
    name: str
    cpus: int
    memory_mib: int
    state: State
    address: Annotated[str, Meta(description="the first that is known; absent: none")] | UnsetType = UNSET
    mac: Annotated[str, Meta(description="the MAC address of its first NIC; absent: it has none")] | UnsetType = UNSET
    host: placement.WhereItIs | UnsetType = UNSET
    unreachable_since: UnreachableSince | UnsetType = UNSET


class Vms(Wire, frozen=True):
    vms: list[VmSummary]


class VmRequest(Wire, frozen=True):
    vmid: Vmid


class StateRequest(VmRequest, frozen=True):
    state: fields.StateOfPut | UnsetType = UNSET


class DeleteVm(Change, frozen=True):
    vmid: Vmid
    revision: fields.SeenRevision | UnsetType = UNSET
    purge: Annotated[bool, Meta(description="delete permanently, without the trash")] = False
    disks: Annotated[
        bool,
        Meta(
            description="delete its disks too: the media of its group that are attached writable, but no ISO; it is "
            "refused if another VM has one of them"
        ),
    ] = False
    leave: Annotated[list[UUID], Meta(description="media of the VM that remain although `disks` is set")] = []


class Reason(Wire, frozen=True):
    """Why the VM is in its state."""

    cause: Annotated[
        str, Meta(description="an identifier for programs, such as guest-shutdown, guest-panicked, killed")
    ]
    message: Annotated[str, Meta(description="a sentence for people")]
    since: UnixTime


@with_settings(VmSettings, Form.SHOWN, after="state")
class VmInfo(VmSettings, frozen=True, kw_only=True):
    vmid: Vmid
    name: str
    type: str
    state: State
    gid: Gid
    revision: Revision
    wanted: Annotated[State, Meta(description="the state that was last requested")]
    machine_type: Annotated[str, Meta(description="QEMU's machine type; it stays until it is changed")]
    firmware: Annotated[str, Meta(description="the firmware build; it stays until it is changed")]
    hardware: Annotated[str, Meta(description="its hardware version; it stays until it is changed")]
    waiting: Annotated[list[str], Meta(description="the fields whose changes take effect at the next start")]
    interfaces: Annotated[list[Interface], Meta(description="of each NIC in `nics`, in their order")]
    reason: Reason | UnsetType = UNSET
    stopping_since: UnixTime | UnsetType = UNSET
    restarting: fields.Restarting | UnsetType = UNSET
    unreachable_since: UnreachableSince | UnsetType = UNSET
    host: placement.WhereItIs | UnsetType = UNSET
    moving: placement.MovingTo | UnsetType = UNSET
    isolation: Isolation | UnsetType = UNSET
    warnings: Annotated[list[str], Meta(description="media that are read-only, and why")] | UnsetType = UNSET
    memory_taken_mib: fields.MemoryTaken | UnsetType = UNSET
    running_since: fields.RunBegan | UnsetType = UNSET
    created: (
        Annotated[
            int, Meta(description="seconds since 1970-01-01 UTC; absent: created by a version that did not store it")
        ]
        | UnsetType
    ) = UNSET
    waits: fields.Waits | UnsetType = UNSET
    next_boot: NextBoot | UnsetType = UNSET
    frozen_until: fields.FrozenUntil | UnsetType = UNSET
    if TYPE_CHECKING:
        cloud_init: CloudInitInfo  # type: ignore[assignment]  # as `Setting.shown` has it, which mypy cannot derive


@with_settings(VmSettings, Form.OPTIONAL, after="name")
class AlterVm(Change, frozen=True):
    """Fields that are absent keep their value."""

    vmid: Vmid
    name: Name | UnsetType = UNSET
    revision: fields.SeenRevision | UnsetType = UNSET
    firmware: Annotated[Word, Meta(description='"host": the build of this host')] | UnsetType = UNSET
    machine_type: Annotated[Word, Meta(description='"latest": the newest of this host')] | UnsetType = UNSET
    hardware: Annotated[Word, Meta(description='"latest", or the name of a hardware version')] | UnsetType = UNSET
    new_instance: (
        Annotated[
            bool,
            Meta(description="true: cloud-init treats the guest as a new instance once, and configures it again"),
        ]
        | UnsetType
    ) = UNSET
    if TYPE_CHECKING:

        def __init__(self, **fields: Any) -> None:
            """These fields and the settings, which mypy cannot derive."""


class VmAltered(Wire, frozen=True):
    vmid: Vmid
    revision: Revision
    waiting: Annotated[list[str], Meta(description="the fields whose changes take effect at the next start")]
    warnings: fields.Warnings | UnsetType = UNSET
    waits: fields.Waits | UnsetType = UNSET


class SetState(Change, frozen=True):
    vmid: Vmid
    state: Annotated[Word, fields.one_of("STOPPED", "RUNNING", "PAUSED")]
    force: bool = False


class VmState(Wire, frozen=True):
    vmid: Vmid
    state: State
    reason: Reason | UnsetType = UNSET
    stopping_since: UnixTime | UnsetType = UNSET
    restarting: fields.Restarting | UnsetType = UNSET
    next_boot: NextBoot | UnsetType = UNSET
    unreachable_since: UnreachableSince | UnsetType = UNSET
    warnings: Annotated[list[str], Meta(description="media that are read-only, and why")] | UnsetType = UNSET


CREATE = Operation(
    name="create_vm",
    summary="Create an EFI virtual machine",
    method=Method.PUT,
    path="/v/vm/efi",
    route=12,
    request=CreateVm,
    response=VmCreated,
    needs=Holds(Permission.VM_CREATE, On.GROUP),
    failures=(
        Failure(
            12200,
            401,
            Problem.NO_PERMISSION,
            "velocity.vm.create is needed on the group, and velocity.nic.trust for NICs that are trusted, or bridged "
            "with a chosen MAC address",
        ),
        Failure(12210, 404, Problem.GROUP_NOT_FOUND, "no such group"),
        Failure(12211, 404, Problem.MEDIUM_NOT_FOUND, "no such medium for this group"),
        Failure(12212, 404, Problem.INTERFACE_NOT_FOUND, "a NIC with an id: a new VM has none yet"),
        Failure(12214, 404, Problem.NIC_NOT_FOUND, "no such host NIC"),
        Failure(12220, 406, Problem.CPU_LIMIT, "more CPUs than a VM can have here, or than the group's quota allows"),
        Failure(
            12221,
            406,
            Problem.MEMORY_LIMIT,
            "more or less memory than a VM can have here, or more than the group's quota allows",
        ),
        Failure(12222, 406, Problem.VM_QUOTA, "a quota on the number of VMs does not allow it"),
        Failure(12225, 406, Problem.MEDIA_MODE, "the media mode is not USB, BLOCK or VIRTIO"),
        Failure(12226, 406, Problem.NIC_TYPE, "the NIC type is not NAT or BRIDGE"),
        Failure(12227, 406, Problem.BRIDGE_WITHOUT_HOST, "a BRIDGE NIC without a host NIC"),
        Failure(12223, 409, Problem.VM_NAME_TAKEN, "the group already has a VM with that name"),
        Failure(12224, 409, Problem.DISPLAY_NAME_TAKEN, "two displays have the same name"),
        Failure(
            12228,
            409,
            Problem.MEDIUM_IN_USE,
            "the medium is already attached writable, to another VM or twice to this one",
        ),
        Failure(12229, 409, Problem.MAC_TAKEN, "another NIC has that MAC address"),
        Failure(12240, 406, Problem.NOT_OF_THIS_HOST, "cpu names no model that this host supports"),
        Failure(12260, 409, Problem.PORT_TAKEN, "another VM has that port of the host, or this one has it twice"),
        Failure(12261, 406, Problem.PORT_NOT_ALLOWED, "that port of the host may not be forwarded"),
        Failure(12262, 406, Problem.NO_NAT_NIC, "a forward of a VM without a NAT NIC"),
        Failure(12280, 406, Problem.NO_HOST, "no such host, or none that can have it"),
    ),
    aliases=(Alias("disks", "media"), Alias("description", "name", inside="displays")),
)

STATE = Operation(
    name="vm_state",
    summary="Show the state of a virtual machine",
    method=Method.POST,
    path="/v/vm/state",
    route=13,
    request=StateRequest,
    response=VmState,
    needs=Holds(Permission.VM_VIEW, On.VM, Hides.STRANGERS),
    failures=(
        Failure(13100, 403, Problem.NO_PERMISSION, "velocity.vm.view is needed on the VM's group"),
        Failure(13110, 404, Problem.VM_NOT_FOUND, "no such VM, or not visible to the caller"),
    ),
)

SET_STATE = Operation(
    name="set_vm_state",
    summary="Request a state: STOPPED, RUNNING or PAUSED",
    method=Method.PUT,
    path="/v/vm/state",
    route=13,
    request=SetState,
    response=VmState,
    needs=Holds(Permission.VM_STATE, On.VM, Hides.STRANGERS),
    failures=(
        Failure(13200, 403, Problem.NO_PERMISSION, "velocity.vm.state is needed on the VM's group"),
        Failure(13210, 404, Problem.VM_NOT_FOUND, "no such VM, or not visible to the caller"),
        Failure(13295, 409, Problem.VM_MOVING, "it is being moved to another host"),
        Failure(13220, 406, Problem.NOT_FROM_THIS_STATE, "not possible in the VM's present state"),
        Failure(13221, 406, Problem.NOT_A_STATE, "not a state that can be requested"),
        Failure(13222, 406, Problem.MEMORY_SHORT, "the host does not have enough free memory"),
        Failure(13223, 406, Problem.POOL_AWAY, "the pool of one of its media is away or read-only"),
        Failure(
            13224,
            409,
            Problem.MEDIUM_IN_USE,
            "it would write to a medium that another VM writes to, or that is being cloned or imported",
        ),
        Failure(13230, 500, Problem.HYPERVISOR, "the hypervisor failed; the message has its own words"),
    ),
)

SHOW = Operation(
    name="show_vm",
    summary="Show a virtual machine",
    method=Method.POST,
    path="/v/vm",
    route=16,
    request=VmRequest,
    response=VmInfo,
    needs=Holds(Permission.VM_VIEW, On.VM, Hides.NON_VIEWERS),
    failures=(Failure(16110, 404, Problem.VM_NOT_FOUND, "no such VM, or not visible to the caller"),),
)

DELETE = Operation(
    name="delete_vm",
    summary="Move a stopped virtual machine to the trash, with its disks if asked; other media remain",
    method=Method.DELETE,
    path="/v/vm",
    route=16,
    request=DeleteVm,
    response=Nothing,
    needs=Holds(Permission.VM_REMOVE, On.VM),
    failures=(
        Failure(
            16300,
            403,
            Problem.NO_PERMISSION,
            "velocity.vm.remove is needed on the VM's group, and velocity.media.remove if its disks go with it",
        ),
        Failure(16310, 404, Problem.VM_NOT_FOUND, "no such VM"),
        Failure(16311, 404, Problem.MEDIUM_NOT_FOUND, "`leave` has a medium that the VM does not have"),
        Failure(16395, 409, Problem.VM_MOVING, "it is being moved to another host"),
        Failure(16320, 409, Problem.VM_NOT_STOPPED, "the VM is not STOPPED"),
        Failure(16321, 409, Problem.OLD_REVISION, "the object has changed since the revision in the request"),
        Failure(16322, 409, Problem.MEDIUM_ATTACHED, "another VM has one of its disks"),
        Failure(16323, 406, Problem.POOL_AWAY, "the pool of one of its disks is away or read-only"),
    ),
    ours=True,
)

ALTERED_OTHERWISE = Problem.VM_QUOTA, Problem.MAC_TAKEN, Problem.NOT_OF_THIS_HOST, Problem.NO_HOST

ALTER = Operation(
    name="alter_vm",
    summary="Change a virtual machine; changes that are not possible while it runs take effect at its next start",
    method=Method.PATCH,
    path="/v/vm",
    route=16,
    request=AlterVm,
    response=VmAltered,
    needs=Holds(Permission.VM_ALTER, On.VM),
    failures=(
        Failure(
            16400,
            403,
            Problem.NO_PERMISSION,
            "velocity.vm.alter is needed on the VM's group, and velocity.nic.trust to make a NIC trusted, or to choose "
            "the MAC address of a bridged one",
        ),
        Failure(16410, 404, Problem.VM_NOT_FOUND, "no such VM"),
        Failure(16411, 404, Problem.MEDIUM_NOT_FOUND, "no such medium for this group"),
        Failure(16412, 404, Problem.INTERFACE_NOT_FOUND, "the VM has no NIC with that id"),
        Failure(16414, 404, Problem.NIC_NOT_FOUND, "no such host NIC"),
        Failure(
            16422,
            406,
            Problem.NOT_OF_THIS_HOST,
            'firmware is not "host", machine_type is not "latest", hardware names no profile of this version, or '
            "cpu no model that this host supports",
        ),
        Failure(16495, 409, Problem.VM_MOVING, "it is being moved to another host"),
        Failure(16490, 406, Problem.NO_HOST, "the pool of a medium is not on the VM's host"),
        Failure(16440, 409, Problem.MAC_TAKEN, "another NIC has that MAC address"),
        Failure(16429, 409, Problem.OLD_REVISION, "the object has changed since the revision in the request"),
        *(
            Failure(16400 + failure.code % 100, failure.status, failure.problem, failure.text)
            for failure in CREATE.failures
            if failure.status in (406, 409) and failure.problem not in ALTERED_OTHERWISE
        ),
    ),
    aliases=CREATE.aliases,
    ours=True,
)

LIST = Operation(
    name="list_vms",
    summary="List the virtual machines of a group",
    method=Method.POST,
    path="/v/vm/list",
    route=17,
    request=ListVms,
    response=Vms,
    lists={"vms": "vmid"},
    needs=Holds(Permission.VM_VIEW, On.GROUP),
    failures=(
        Failure(17100, 401, Problem.NO_PERMISSION, "velocity.vm.view is needed on the group"),
        Failure(17110, 404, Problem.GROUP_NOT_FOUND, "no such group"),
    ),
)

OPERATIONS = (CREATE, STATE, SET_STATE, SHOW, DELETE, ALTER, LIST)
