"""The field types that requests and responses share, with ranges and allowed characters."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from msgspec import Meta

from velocity.contract import names
from velocity.contract.permissions import Permission

Int64 = Annotated[int, Meta(ge=-(2**63), le=2**63 - 1)]
Positive = Annotated[Int64, Meta(extra_json_schema={"x-minimum": 1})]
"""The rules of VMs refuse smaller values (and more than the host has), not the decoder."""
Uid = Annotated[int, Meta(ge=-(2**63), le=2**63 - 1, description="the id of a user")]
Gid = Annotated[int, Meta(ge=-(2**63), le=2**63 - 1, description="the id of a group")]
Pid = Annotated[int, Meta(ge=-(2**63), le=2**63 - 1, description="the id of a permission")]
Mpid = Annotated[int, Meta(ge=-(2**63), le=2**63 - 1, description="the id of a media pool")]
Nicid = Annotated[int, Meta(ge=-(2**63), le=2**63 - 1, description="the id of a host NIC")]
NicId = Annotated[
    int,
    Meta(
        ge=1,
        le=2**63 - 1,
        description="the NIC's id, as in `interfaces`; absent: the first NIC of the VM that matches, else a new one",
    ),
]
Vmid = Annotated[int, Meta(ge=-(2**63), le=2**63 - 1, description="the id of a virtual machine")]

NAME_LENGTH = 128

Name = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=NAME_LENGTH,
        pattern=names.PATTERN,
        extra={"name": "object"},
        description="1 to 128 printable characters, at least one visible; trimmed and stored in NFC; no invisible "
        "characters, except within emoji and joining sequences, and none that reverse text",
    ),
]
UserName = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=128,
        pattern=names.PATTERN,
        extra={"name": "user"},
        description="1 to 128 characters: letters and digits of one script, and signs of ASCII, no spaces (RFC 8265, "
        "UsernameCasePreserved)",
    ),
]
MediaType = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=32,
        pattern=names.PATTERN,
        description="free text; usually ISO, DISK or IPSW",
    ),
]
PASSWORD_LENGTH = range(8, 1025)
Password = Annotated[
    str,
    Meta(min_length=PASSWORD_LENGTH.start, max_length=PASSWORD_LENGTH.stop - 1, description="8 to 1,024 characters"),
]
GivenName = Annotated[str, Meta(max_length=1024, description="the user's name")]
GivenPassword = Annotated[str, Meta(max_length=1024, description="the user's present password")]
Word = Annotated[str, Meta(max_length=64)]


def one_of(*values: str, description: str = "") -> Meta:
    """A string with documented values, which the area checks, with an error number of its own, not the decoder."""
    text = description or f"{', '.join(values[:-1])} or {values[-1]}"
    return Meta(description=text, extra_json_schema={"enum": [*values]})


PermissionName = Annotated[Word, one_of(*(one.value for one in Permission), description="the name of a permission")]
MAC_PATTERN = r"^(?!00(:00){5}\Z)[0-9A-Fa-f][02468ACEace](:[0-9A-Fa-f]{2}){5}\Z"
Mac = Annotated[
    str,
    Meta(
        pattern=MAC_PATTERN,
        description="its MAC address, such as 52:54:00:12:34:56: no multicast address, not all zeros, unique on the "
        "server; on BRIDGE, choosing one needs velocity.nic.trust on the VM's group; absent: unchanged, "
        "or a new one",
    ),
]
Bytes = Annotated[int, Meta(ge=0, le=2**63 - 1, description="bytes")]
UnixTime = Annotated[int, Meta(description="seconds since 1970-01-01 UTC")]
ClockAhead = Annotated[
    int,
    Meta(
        description="seconds that the host's clock is ahead of the server's, below 0 behind; absent: less than 5, or "
        "not known"
    ),
]
Balloon = Annotated[
    bool, Meta(description="whether memory that the guest frees returns to the host (hardware 2 and newer)")
]
MemoryTaken = Annotated[
    int,
    Meta(
        description="MiB of host memory that its process uses, as of at most 10 s ago; absent: not measured, or STOPPED"
    ),
]
Restarting = Annotated[
    bool, Meta(description="true: the server starts it again once it has stopped; absent: no restart is under way")
]
RunningSince = Annotated[
    int,
    Meta(
        description="seconds since 1970-01-01 UTC: when the present run began, on any host, known up to 10 s "
        "later; absent: not measured, or STOPPED"
    ),
]
RunBegan = Annotated[
    int,
    Meta(
        description="seconds since 1970-01-01 UTC: when the present run began; absent: STOPPED, or not measured, and "
        "begun by a version that did not store it"
    ),
]
FrozenUntil = Annotated[
    int,
    Meta(
        description="seconds since 1970-01-01 UTC: when the server thaws the guest's file systems; absent: they are "
        "not frozen"
    ),
]
UnreachableSince = Annotated[
    int,
    Meta(
        description="seconds since 1970-01-01 UTC: the VM, or its host, has not responded since then, and its state is "
        "the last that was known"
    ),
]
Revision = Annotated[
    str, Meta(min_length=1, max_length=64, description="an opaque string that changes whenever the object does")
]
SeenRevision = Annotated[
    str,
    Meta(min_length=1, max_length=64, description="the change is refused if the object's revision is another by now"),
]
Warnings = Annotated[list[str], Meta(description="possible problems, known before the start")]
Waits = Annotated[
    dict[str, str],
    Meta(description="of fields in `waiting`, why they could not change while the VM runs, where that is known"),
]
PoolState = Annotated[
    Literal["online", "away", "readonly", "full"],
    Meta(
        description="online; away: the pool's disk is not mounted in its place, or does not respond; readonly: it can "
        "only be read; full: it has no space, or no inode, free until something is removed"
    ),
]

StateOfPut = Annotated[
    Any,
    Meta(
        description="ignored, with a warning: PUT changes the state",
        extra_json_schema={"type": "string", "deprecated": True},
    ),
]

NOTES_BYTES = 8192
Notes = Annotated[
    str,
    Meta(
        max_length=NOTES_BYTES,
        extra={"bytes": NOTES_BYTES},
        extra_json_schema={"x-max-bytes": NOTES_BYTES},
        description=f"a description, at most {NOTES_BYTES:,} bytes of UTF-8",
    ),
]
