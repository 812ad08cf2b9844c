"""Routes 19 and 30, and the messages of the subprotocol `velocity.serial` beside the bytes of a serial console."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import UNSET, Meta, UnsetType

from velocity.contract.fields import UnixTime, Vmid
from velocity.contract.operation import Failure, Hides, Holds, Method, On, Operation, Wire
from velocity.contract.permissions import Permission
from velocity.contract.problems import Problem

SUBPROTOCOL = "velocity.serial"
"""A websocket opened with it carries the console's bytes in binary frames and these structures in text frames."""


class Holder(Wire, frozen=True):
    """Who has the keyboard: nobody, while `holder` is null. `yours` tells viewers with the same name apart."""

    holder: str | None
    yours: bool


class KeyboardStatus(Wire, frozen=True):
    """What the server sends after each change. `asks` goes to the holder, `refused` to the viewer who asked."""

    viewers: list[str] | UnsetType = UNSET
    keyboard: Holder | UnsetType = UNSET
    asks: str | UnsetType = UNSET
    refused: bool | UnsetType = UNSET


Move = Literal["ask", "take", "give", "keep", "release"]


class KeyboardMove(Wire, frozen=True):
    """What a viewer sends: ask for the keyboard or take a free one; as its holder, give it, keep it or release it."""

    keyboard: Move


class ReadLog(Wire, frozen=True):
    vmid: Vmid
    bytes: Annotated[int, Meta(ge=1, le=1 << 20, description="how many bytes, counted from the end")] = 64 << 10


class SerialLog(Wire, frozen=True):
    vmid: Vmid
    text: Annotated[str, Meta(description="the output of the guest, to be shown as text and never as markup")]
    complete: Annotated[bool, Meta(description="whether this is everything that is stored")]


class OpenConsole(Wire, frozen=True):
    vmid: Vmid
    kind: Literal["serial", "display"]
    display: (
        Annotated[str, Meta(max_length=128, description="the display's name; absent: the first display")] | UnsetType
    ) = UNSET


class ConsoleTicket(Wire, frozen=True):
    ticket: str
    path: Annotated[str, Meta(description="the path for the websocket; usable once, within 30 seconds")]
    expires: UnixTime


CONSOLE = Operation(
    name="open_console",
    summary="Get a ticket for one websocket connection to the serial console or to a display",
    method=Method.POST,
    path="/v/vm/console",
    route=19,
    request=OpenConsole,
    response=ConsoleTicket,
    needs=Holds(Permission.VM_INTERACT, On.VM, Hides.NON_VIEWERS),
    failures=(
        Failure(19100, 403, Problem.NO_PERMISSION, "velocity.vm.interact is needed on the VM's group"),
        Failure(19110, 404, Problem.VM_NOT_FOUND, "no such VM, or not visible to the caller"),
        Failure(19120, 406, Problem.VM_STOPPED, "the VM is STOPPED"),
        Failure(19121, 406, Problem.DISPLAY_NOT_FOUND, "the VM has no such display"),
    ),
    ours=True,
)

LOG = Operation(
    name="read_log",
    summary="Read the end of a virtual machine's serial console output, also when it is STOPPED",
    method=Method.POST,
    path="/v/vm/log",
    route=30,
    request=ReadLog,
    response=SerialLog,
    needs=Holds(Permission.VM_INTERACT, On.VM, Hides.NON_VIEWERS),
    failures=(
        Failure(30100, 403, Problem.NO_PERMISSION, "velocity.vm.interact is needed on the VM's group"),
        Failure(30110, 404, Problem.VM_NOT_FOUND, "no such VM, or not visible to the caller"),
    ),
    ours=True,
)

OPERATIONS = (CONSOLE, LOG)
