"""Routes 31 and 32: pictures of displays, and the text on them."""

from __future__ import annotations

from typing import Annotated

from msgspec import UNSET, Meta, UnsetType

from velocity.contract.fields import UnixTime, Vmid
from velocity.contract.operation import Failure, Hides, Holds, Method, On, Operation, SignedIn, Wire
from velocity.contract.permissions import Permission
from velocity.contract.problems import Problem


class ShowScreen(Wire, frozen=True):
    vmid: Vmid
    display: (
        Annotated[str, Meta(max_length=128, description="the display's name; absent: the first display")] | UnsetType
    ) = UNSET
    text: Annotated[bool, Meta(description="whether to recognize the text on it")] = False


class ScreenPicture(Wire, frozen=True):
    """A picture of a display, at most two seconds old."""

    vmid: Vmid
    display: str
    width: Annotated[int, Meta(description="pixels")]
    height: Annotated[int, Meta(description="pixels")]
    taken: UnixTime
    png: Annotated[bytes, Meta(description="PNG, in base64")]
    text: Annotated[str, Meta(description="the recognized text, line by line")] | UnsetType = UNSET


class SearchScreens(Wire, frozen=True):
    text: Annotated[
        str, Meta(min_length=1, max_length=256, description="the text to look for; upper and lower case are the same")
    ]


class Hit(Wire, frozen=True):
    vmid: Vmid
    display: str
    line: Annotated[str, Meta(description="the recognized line")]


class Hits(Wire, frozen=True):
    hits: list[Hit]
    complete: Annotated[bool, Meta(description="whether every screen was read; false when time ran out")]


SCREEN = Operation(
    name="show_screen",
    summary="Take a picture of a display; GET with the same fields in the query, and width, returns the PNG itself",
    method=Method.POST,
    path="/v/vm/screen",
    route=31,
    request=ShowScreen,
    response=ScreenPicture,
    needs=Holds(Permission.VM_INTERACT, On.VM, Hides.NON_VIEWERS),
    failures=(
        Failure(31100, 403, Problem.NO_PERMISSION, "velocity.vm.interact is needed on the VM's group"),
        Failure(31110, 404, Problem.VM_NOT_FOUND, "no such VM, or not visible to the caller"),
        Failure(31120, 406, Problem.VM_STOPPED, "the VM is STOPPED"),
        Failure(31121, 406, Problem.DISPLAY_NOT_FOUND, "the VM has no such display"),
        Failure(31122, 406, Problem.NO_READER, "the text was requested, and tesseract is missing or fails"),
        Failure(31130, 500, Problem.HYPERVISOR, "the hypervisor returned no picture; the message has its own words"),
    ),
    ours=True,
)

SEARCH = Operation(
    name="search_screens",
    summary="Find a text on the screens of the running virtual machines that the caller may interact with",
    method=Method.POST,
    path="/v/vm/screen/search",
    route=32,
    request=SearchScreens,
    response=Hits,
    needs=SignedIn("only screens of VMs that the caller may interact with are read"),
    failures=(Failure(32120, 406, Problem.NO_READER, "tesseract is not installed"),),
    ours=True,
)

OPERATIONS = (SCREEN, SEARCH)
