"""Routes 41 and 44 to 47: what a guest agent reports (not to be trusted), and acting inside a guest."""

from __future__ import annotations

from typing import Annotated

from msgspec import UNSET, Meta, UnsetType

from velocity.contract.fields import Bytes, FrozenUntil, UnixTime, Vmid
from velocity.contract.operation import Change, Failure, Hides, Holds, Method, On, Operation, Wire
from velocity.contract.permissions import Permission
from velocity.contract.problems import Problem

PIECE = 1 << 20
"""Bytes of an output, or of a piece of a file that is read, at most."""
SENT = 512 << 10
"""Bytes of an input, or of a piece of a file that is written, at most: in Base64, they fit into a request."""
LONGEST_RUN = 300
LONGEST_FREEZE = 600
Account = Annotated[str, Meta(min_length=1, max_length=256, description="the name of a user of the guest")]
Path = Annotated[str, Meta(min_length=1, max_length=4096, description="a path in the guest, as the guest writes it")]
Offset = Annotated[Bytes, Meta(description="bytes from the beginning of the file")]
Output = Annotated[bytes, Meta(description="its first MiB, in base64")]


class ShowGuest(Wire, frozen=True):
    vmid: Vmid


class GuestNic(Wire, frozen=True):
    name: str
    addresses: Annotated[list[str], Meta(description="IP addresses, each with the length of its prefix")]
    mac: Annotated[str, Meta(description="absent: it has none")] | UnsetType = UNSET


class GuestFilesystem(Wire, frozen=True):
    """A file system that is mounted, as the guest calls it."""

    mountpoint: str
    type: str
    total: Bytes | UnsetType = UNSET
    used: Bytes | UnsetType = UNSET


class GuestUser(Wire, frozen=True):
    name: str
    since: UnixTime | UnsetType = UNSET


class GuestInfo(Wire, frozen=True):
    """What the guest reports; fields that it does not report are absent."""

    vmid: Vmid
    agent: Annotated[str, Meta(description="its version; absent: none answers, and `why` says why")] | UnsetType = UNSET
    why: str | UnsetType = UNSET
    hostname: str | UnsetType = UNSET
    os: Annotated[str, Meta(description="the operating system's name and version")] | UnsetType = UNSET
    kernel: str | UnsetType = UNSET
    nics: list[GuestNic] | UnsetType = UNSET
    filesystems: list[GuestFilesystem] | UnsetType = UNSET
    users: Annotated[list[GuestUser], Meta(description="those who are logged in")] | UnsetType = UNSET


class Execute(Change, frozen=True):
    vmid: Vmid
    command: Annotated[
        list[Annotated[str, Meta(max_length=64 << 10)]],
        Meta(min_length=1, max_length=256, description="the program, and each of its arguments; no shell reads them"),
    ]
    input: (
        Annotated[bytes, Meta(max_length=SENT, description="its standard input, at most 512 KiB, in base64")]
        | UnsetType
    ) = UNSET
    timeout: Annotated[int, Meta(ge=1, le=LONGEST_RUN, description="seconds to wait for its end")] = 30


class Executed(Wire, frozen=True):
    """How a program ended: with a status, or by a signal or an exception of the guest's kernel."""

    vmid: Vmid
    running: Annotated[bool, Meta(description="true: it did not end in time, and continues in the guest")]
    stdout: Output
    stdout_truncated: bool
    stderr: Output
    stderr_truncated: bool
    exit_status: int | UnsetType = UNSET
    signal: int | UnsetType = UNSET


class SetGuestPassword(Change, frozen=True):
    vmid: Vmid
    user: Account
    password: Annotated[str, Meta(min_length=1, max_length=1024)]


class AddGuestKeys(Change, frozen=True):
    vmid: Vmid
    user: Account
    keys: Annotated[
        list[Annotated[str, Meta(min_length=1, max_length=16384, pattern=r"^[^\x00-\x1f\x7f]+\Z")]],
        Meta(min_length=1, max_length=100, description="public keys, as in a line of authorized_keys"),
    ]


class GuestChanged(Wire, frozen=True):
    vmid: Vmid


class ReadGuestFile(Wire, frozen=True):
    vmid: Vmid
    path: Path
    offset: Offset = 0
    length: Annotated[int, Meta(ge=1, le=PIECE, description="bytes, at most")] = PIECE


class GuestFilePiece(Wire, frozen=True):
    vmid: Vmid
    content: Annotated[bytes, Meta(description="at most 1 MiB, in base64")]
    end: Annotated[bool, Meta(description="whether the file ends here")]


class WriteGuestFile(Change, frozen=True):
    vmid: Vmid
    path: Path
    content: Annotated[bytes, Meta(max_length=SENT, description="at most 512 KiB, in base64")]
    offset: Annotated[Bytes, Meta(description="0: the file is created, or emptied first; otherwise it must exist")] = 0


class FreezeGuest(Change, frozen=True):
    vmid: Vmid
    timeout: Annotated[
        int, Meta(ge=1, le=LONGEST_FREEZE, description="seconds from now until the server thaws them by itself")
    ] = 60


class GuestFrozen(Wire, frozen=True):
    vmid: Vmid
    filesystems: Annotated[int, Meta(ge=0, description="how many are frozen, as the guest reports")]
    frozen_until: FrozenUntil


class ThawGuest(Change, frozen=True):
    vmid: Vmid


class GuestThawed(Wire, frozen=True):
    vmid: Vmid
    filesystems: Annotated[
        int, Meta(ge=0, description="how many were thawed, as the guest reports; 0: none was frozen")
    ]


SHOW = Operation(
    name="show_guest",
    summary="Show what a virtual machine's guest agent reports: addresses, operating system, file systems, users",
    method=Method.POST,
    path="/v/vm/guest",
    route=44,
    request=ShowGuest,
    response=GuestInfo,
    needs=Holds(Permission.VM_VIEW, On.VM, Hides.STRANGERS),
    failures=(
        Failure(44100, 403, Problem.NO_PERMISSION, "velocity.vm.view is needed on the VM's group"),
        Failure(44110, 404, Problem.VM_NOT_FOUND, "no such VM, or not visible to the caller"),
    ),
    ours=True,
)


def _failures(base: int, n: int = 0) -> tuple[Failure, ...]:
    """The failures of operations inside a guest; `n` distinguishes operations of one route and method."""
    return (
        Failure(base + n, 403, Problem.NO_PERMISSION, "velocity.vm.guest is needed on the VM's group"),
        Failure(base + 10 + n, 404, Problem.VM_NOT_FOUND, "no such VM, or not visible to the caller"),
        Failure(base + 20 + 2 * n, 406, Problem.NO_AGENT, "no guest agent answers; the message says why"),
        Failure(base + 21 + 2 * n, 406, Problem.AGENT_REFUSED, "the guest agent refused, in its own words"),
        Failure(
            base + 30 + n, 500, Problem.HYPERVISOR, "there was no answer in time: it may still happen in the guest"
        ),
    )


_NEEDS = Holds(Permission.VM_GUEST, On.VM, Hides.NON_VIEWERS)

EXECUTE = Operation(
    name="execute_in_guest",
    summary="Run a program inside a virtual machine, and show its output and how it ended",
    method=Method.PUT,
    path="/v/vm/exec",
    route=45,
    request=Execute,
    response=Executed,
    needs=_NEEDS,
    failures=_failures(45200),
    ours=True,
    unkept=True,
)

SET_PASSWORD = Operation(
    name="set_guest_password",
    summary="Set the password of a user of the guest",
    method=Method.PUT,
    path="/v/vm/guest/password",
    route=46,
    request=SetGuestPassword,
    response=GuestChanged,
    needs=_NEEDS,
    failures=_failures(46200),
    ours=True,
)

ADD_KEYS = Operation(
    name="add_guest_keys",
    summary="Add SSH keys for a user of the guest; those that are there stay",
    method=Method.PUT,
    path="/v/vm/guest/keys",
    route=46,
    request=AddGuestKeys,
    response=GuestChanged,
    needs=_NEEDS,
    failures=_failures(46200, 1),
    ours=True,
)

READ_FILE = Operation(
    name="read_guest_file",
    summary="Read a piece of a file of the guest",
    method=Method.POST,
    path="/v/vm/guest/file",
    route=47,
    request=ReadGuestFile,
    response=GuestFilePiece,
    needs=_NEEDS,
    failures=_failures(47100),
    ours=True,
)

WRITE_FILE = Operation(
    name="write_guest_file",
    summary="Write a piece of a file of the guest",
    method=Method.PUT,
    path="/v/vm/guest/file",
    route=47,
    request=WriteGuestFile,
    response=GuestChanged,
    needs=_NEEDS,
    failures=_failures(47200),
    ours=True,
)

FREEZE = Operation(
    name="freeze_guest",
    summary="Freeze the file systems of a guest, for a consistent backup from outside",
    method=Method.PUT,
    path="/v/vm/freeze",
    route=41,
    request=FreezeGuest,
    response=GuestFrozen,
    needs=_NEEDS,
    failures=_failures(41200),
    ours=True,
)

THAW = Operation(
    name="thaw_guest",
    summary="Thaw the file systems of a guest",
    method=Method.PUT,
    path="/v/vm/thaw",
    route=41,
    request=ThawGuest,
    response=GuestThawed,
    needs=_NEEDS,
    failures=_failures(41200, 1),
    ours=True,
)

OPERATIONS = (SHOW, EXECUTE, SET_PASSWORD, ADD_KEYS, READ_FILE, WRITE_FILE, FREEZE, THAW)
