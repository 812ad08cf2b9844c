"""Route 30, and what the subprotocol `velocity.serial` says beside the bytes of a serial console."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import UNSET, Meta, UnsetType

from velocity.contract.fields import Vmid
from velocity.contract.operation import Failure, Hides, Holds, Method, On, Operation, Wire
from velocity.contract.permissions import Permission
from velocity.contract.problems import Problem

SUBPROTOCOL = "velocity.serial"
"""A websocket opened with it carries the console's bytes in binary frames and these structures in text frames."""


class Holder(Wire, frozen=True):
    """Who types: nobody, while `holder` is null. `yours` tells which of several viewers of one name it is."""

    holder: str | None
    yours: bool


class Told(Wire, frozen=True):
    """What the server says, whenever it changes. `asks` is told to the holder alone, `refused` to the asker alone."""

    viewers: list[str] | UnsetType = UNSET
    keyboard: Holder | UnsetType = UNSET
    asks: str | UnsetType = UNSET
    refused: bool | UnsetType = UNSET


Move = Literal["ask", "take", "give", "keep", "release"]


class Say(Wire, frozen=True):
    """What a viewer says: ask for the keyboard, take a free one; as its holder give it, keep it, or let go of it."""

    keyboard: Move


class ReadLog(Wire, frozen=True):
    vmid: Vmid
    bytes: Annotated[int, Meta(ge=1, le=1 << 20, description="how much of its end, in bytes")] = 64 << 10


class SerialLog(Wire, frozen=True):
    vmid: Vmid
    text: Annotated[str, Meta(description="what the guest said, to be shown as text and never as markup")]
    complete: Annotated[bool, Meta(description="whether that is all that is kept")]


LOG = Operation(
    name="read_log",
    summary="Read the end of what a virtual machine said on its serial console, also when it is STOPPED",
    method=Method.POST,
    path="/v/vm/log",
    route=30,
    request=ReadLog,
    response=SerialLog,
    needs=Holds(Permission.VM_INTERACT, On.VM, Hides.NON_VIEWERS),
    failures=(
        Failure(30100, 403, Problem.NO_PERMISSION, "velocity.vm.interact is needed on the VM's group"),
        Failure(30110, 404, Problem.VM_NOT_FOUND, "no such VM, or one that the caller may not view"),
    ),
    ours=True,
)

OPERATIONS = (LOG,)
