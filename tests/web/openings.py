"""Everything that opens over a page, and the wizard: where its source is, and what one does until it is there.

What is done, is done by keyboard, so that the focus has a place to return to.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from playwright.sync_api import Locator, Page, Route, expect

from tests.web.furnished import ANN, RUNS, TEAM, WEB
from tests.web.person import GO

SOURCES = Path(__file__).parents[2] / "web/src"
TAG = re.compile(r"<(Modal|FormDialog|Confirm|Popover|Drawer|Dropdown|ActionMenu|Select|Wizard)\s")
OVER = ".pf-v6-c-modal-box, .pf-v6-c-popover, [data-popper-placement]"
"""What PatternFly opens over the page."""

Step = Callable[[Page], None]


def named(page: Page, name: str) -> Locator:
    """The button, or the item of a menu, that is called so."""
    return (
        page.get_by_role("button", name=name, exact=True).or_(page.get_by_role("menuitem", name=name, exact=True)).first
    )


def field(page: Page, label: str) -> Locator:
    return page.get_by_role("textbox", name=label, exact=True)


def focus(one: Locator) -> None:
    over = one.locator("xpath=ancestor::*[@role='menu' or @role='dialog']")
    if over.count():  # it takes the focus itself, some time after it has opened
        expect(over.last.locator(":focus")).to_have_count(1)
    one.focus()
    expect(one).to_be_focused()


def press(name: str) -> Step:
    def step(page: Page) -> None:
        button = named(page, name)
        expect(button).to_be_enabled()
        focus(button)
        page.keyboard.press("Enter")

    return step


def key_at(name: str, key: str) -> Step:
    """A key that does something wherever the focus is, pressed with the focus there."""

    def step(page: Page) -> None:
        focus(named(page, name))
        page.keyboard.press(key)

    return step


def shows(text: str) -> Step:
    """What the server's answer brings: until then, the dialog before is there."""

    def step(page: Page) -> None:
        expect(page.get_by_role("dialog").get_by_text(text).first).to_be_visible()

    return step


def tick(name: str) -> Step:
    def step(page: Page) -> None:
        box = page.get_by_role("checkbox", name=name, exact=True).or_(page.get_by_role("radio", name=name, exact=True))
        expect(box).to_be_visible()
        focus(box)
        page.keyboard.press("Space")
        expect(box).to_be_checked()

    return step


def fill(label: str, value: str) -> Step:
    return lambda page: page.get_by_role("textbox", name=label, exact=True).first.fill(value)


def choose(label: str, option: str) -> Step:
    def step(page: Page) -> None:
        page.get_by_role("combobox", name=label, exact=True).select_option(option)

    return step


def files(button: str) -> Step:
    """A file is given to the browser's own dialog."""

    def step(page: Page) -> None:
        with page.expect_file_chooser() as chooser:
            press(button)(page)
        chooser.value.set_files({"name": "own.iso", "mimeType": "", "buffer": bytes(1 << 16)})

    return step


def never_answered(path: str) -> Step:
    def leave(_route: Route) -> None: ...

    def step(page: Page) -> None:
        page.route(path, leave)

    return step


def lose_the_session(page: Page) -> None:
    page.evaluate(GO, "/trash")  # what was read once is shown without being asked for again
    expect(page.get_by_role("heading", level=1)).to_have_text("Trash")
    expect(page.locator("[class*=skeleton], [aria-label=Loading]")).to_have_count(0)
    page.evaluate(GO, "/settings")
    expect(page.get_by_role("heading", level=1)).not_to_have_text("Trash")  # else the trash is not asked for anew
    page.context.clear_cookies()
    page.evaluate(GO, "/trash")


def be_small(page: Page) -> None:
    page.set_viewport_size({"width": 375, "height": 800})


@dataclass(frozen=True)
class Opening:
    source: str
    """In web/src, without its ending."""
    path: str
    steps: tuple[Step, ...]
    back: str | None = None
    """The button that has the focus again when it is closed by Escape; without one it is not closed so."""
    over: bool = True
    """Whether it lies over the page, or is a part of it."""


def menu(source: str, path: str, toggle: str, *before: Step) -> Opening:
    return Opening(source, path, (*before, press(toggle)), toggle)


def dialog(source: str, path: str, button: str, *then: Step) -> Opening:
    return Opening(source, path, (press(button), *then), button)


def wizard(*steps: Step) -> Opening:
    return Opening("pages/create/Create", "/create", steps, over=False)


MORE_WEB, MORE_RUNS = "More that can be done with web", "More that can be done with runs"
IN_GUEST = "Actions in the guest"
BLANK = (tick("An empty disk"), press("Next"))
MEMBER = f"/groups/{TEAM}"

MENUS = (
    menu("app/Me", "/", "root"),
    menu("pages/vms/RowActions", "/vms", "Actions of web"),
    menu("ui/table/ColumnChoice", "/vms", "Columns"),
    menu("pages/vms/StateFilter", "/vms", "State"),
    menu("pages/vms/GroupFilter", "/vms", "All groups"),
    menu("pages/vms/BulkBar", "/vms", "Actions", tick("Select web")),
    menu("pages/media/MediumActions", "/media", "Actions of spare"),
    menu("pages/vm/VmActions", f"/vms/{WEB}", MORE_WEB),
    menu("pages/vm/console/ConsoleBar", f"/vms/{RUNS}/console", "Keys"),
)
DIALOGS = (
    Opening("app/Palette", "/", (press("Search or run Ctrl K"),), "Search or run Ctrl K"),
    Opening("app/Shortcuts", "/", (key_at("Search or run Ctrl K", "?"),), "Search or run Ctrl K"),
    dialog("pages/vms/ScreenSearch", "/vms", "Search screens"),
    dialog("ui/ForceOff", "/vms", "Actions of runs", press("Force off…")),
    dialog("ui/DeleteVms", "/vms", "Actions of web", press("Delete…")),
    dialog("pages/vms/Stop", "/vms", "Stop runs"),
    dialog("pages/tasks/useCancel", "/tasks", "Cancel Importing slow"),
    dialog("pages/media/columns", "/media", "Warning about packed.qcow2"),
    dialog("pages/media/DeleteMedia", "/media", "Actions of spare", press("Delete…")),
    dialog("pages/media/AttachToVm", "/media", "Actions of spare", press("Attach to a VM…")),
    dialog("pages/media/MakeDisk", "/media", "Actions of spare", press("Clone…")),
    dialog("pages/media/RenameMedium", "/media", "Actions of spare", press("Edit…")),
    dialog("pages/media/GrowMedium", "/media", "Actions of spare", press("Grow…")),
    dialog("pages/media/MoveMedium", "/media", "Actions of spare", press("Move…")),
    dialog("pages/media/ConvertMedium", "/media", "Actions of spare", press("Convert or compact…")),
    dialog("pages/media/FetchUrl", "/media", "Fetch from a URL…"),
    dialog("pages/media/CreateDisk", "/media", "Create an empty disk"),
    dialog("pages/media/UnderWay", "/media", "Cancel half.iso"),
    Opening("pages/media/UploadDialog", "/media", (files("Upload"),), "Upload"),
    dialog("ui/ForceOff", f"/vms/{RUNS}", MORE_RUNS, press("Force off…")),
    dialog("pages/vm/Reset", f"/vms/{RUNS}", MORE_RUNS, press("Reset…")),
    dialog("pages/vm/NextBoot", f"/vms/{WEB}", MORE_WEB, press("Boot once from…")),
    dialog("pages/vm/Restart", f"/vms/{RUNS}", MORE_RUNS, press("Restart…")),
    Opening(
        "pages/vm/overview/TakeFromHost",
        f"/vms/{WEB}",
        (press("Details"), press("Use this host's…")),
        "Use this host's…",
    ),
    menu("pages/vm/guest/GuestMenu", f"/vms/{RUNS}", IN_GUEST),
    dialog("pages/vm/guest/RunCommand", f"/vms/{RUNS}", IN_GUEST, press("Run a command…")),
    dialog("pages/vm/guest/GuestPassword", f"/vms/{RUNS}", IN_GUEST, press("Set a password…")),
    dialog("pages/vm/guest/AddKeys", f"/vms/{RUNS}", IN_GUEST, press("Add SSH keys…")),
    dialog("pages/vm/guest/CopyIn", f"/vms/{RUNS}", IN_GUEST, press("Copy a file in…")),
    dialog("pages/vm/guest/CopyOut", f"/vms/{RUNS}", IN_GUEST, press("Copy a file out…")),
    dialog("pages/vm/guest/Freeze", f"/vms/{RUNS}", IN_GUEST, press("Freeze the file systems…")),
    dialog("pages/vm/overview/ChangeDisc", f"/vms/{WEB}", "Insert a disc"),
    dialog("pages/vm/overview/AttachMedium", f"/vms/{WEB}", "Attach"),
    dialog("pages/vm/overview/AddNic", f"/vms/{WEB}", "Add a NIC"),
    dialog("pages/vm/overview/Detach", f"/vms/{WEB}", "Detach disk"),
    dialog("pages/vm/RenameVm", f"/vms/{WEB}", MORE_WEB, press("Rename…")),
    dialog("pages/vm/Clone", f"/vms/{WEB}", MORE_WEB, press("Clone…")),
    dialog("pages/vm/MoveVm", f"/vms/{WEB}", MORE_WEB, press("Move to another group…")),
    dialog("pages/vm/MoveToHost", f"/vms/{WEB}", MORE_WEB, press("Move to another host…")),
    dialog("ui/DeleteVms", f"/vms/{WEB}", MORE_WEB, press("Delete…")),
    dialog("ui/DeleteVms", f"/vms/{RUNS}", MORE_RUNS, press("Delete…")),
    Opening(
        "pages/vm/settings/Review",
        f"/vms/{WEB}/settings",
        (fill("Name", "other"), press("Review and save…")),
        "Review and save…",
    ),
    Opening("pages/vm/console/Paste", f"/vms/{RUNS}/console", (press("Paste"),)),
    Opening("pages/vm/serial/PasteText", f"/vms/{RUNS}/serial", (press("Paste"),)),
    dialog("pages/trash/TrashDialog", "/trash", "Restore old"),
    dialog("pages/trash/TrashDialog", "/trash", "Empty the trash"),
    dialog("ui/why/WhyDialog", MEMBER, "Check access: team"),
    menu("pages/hosts/HostActions", "/hosts", "Actions of b"),
    dialog("pages/hosts/AddHost", "/hosts", "Add a host"),
    dialog("pages/hosts/AddHost", "/hosts", "Add a host", press("Create a token"), shows("node join")),
    Opening("pages/hosts/EditHost", "/hosts", (press("Actions of b"), press("Edit…")), "Actions of b"),
    Opening(
        "pages/hosts/KeepCopy", "/hosts", (press("Actions of b"), press("Keep a copy of the database…")), "Actions of b"
    ),
    Opening("pages/hosts/AddHost", "/hosts", (press("Actions of b"), press("Let it join again…")), "Actions of b"),
    Opening("pages/hosts/ChangeDuty", "/hosts", (press("Actions of b"), press("Drain…")), "Actions of b"),
    Opening(
        "pages/hosts/ProveDead", "/hosts", (press("Actions of b"), press("Confirm that it is off…")), "Actions of b"
    ),
    Opening("pages/hosts/SetFence", "/hosts", (press("Actions of b"), press("Fencing…")), "Actions of b"),
    Opening("pages/hosts/RemoveHost", "/hosts", (press("Actions of b"), press("Remove…")), "Actions of b"),
    dialog("pages/people/Held", "/groups/0", "admin"),
    dialog("pages/people/NewGroup", MEMBER, "Create a subgroup"),
    dialog("pages/people/DeleteGroup", MEMBER, "Delete", tick("Delete permanently")),
    dialog("pages/people/QuotaDialog", MEMBER, "Change the quota"),
    dialog("pages/people/PoolDialog", MEMBER, "Change the assignment of default"),
    dialog("pages/people/Pools", MEMBER, "Revoke default"),
    dialog("pages/people/PermissionDialog", MEMBER, "Grant permissions", choose("User", "ann")),
    dialog("pages/people/RevokeAll", MEMBER, "Revoke all permissions of ann here"),
    dialog("pages/people/NewUser", "/users", "Create a user"),
    dialog("pages/people/SetPassword", f"/users/{ANN}", "Set the password"),
    dialog("pages/people/ChangeHome", f"/users/{ANN}", "Change the home group"),
    dialog(
        "pages/people/ShownOnce",
        f"/users/{ANN}",
        "Set the password",
        press("Generate"),
        press("Set the password"),
        shows("Copy the password now"),
    ),
    dialog("pages/people/RemoveUser", f"/users/{ANN}", "Remove"),
    dialog("pages/people/team/TeamDialog", "/groups", "Set up a team"),
    dialog(
        "pages/people/team/TeamDialog",
        "/groups",
        "Set up a team",
        fill("Name of the team", "crew"),
        tick("A new user"),
        fill("User name", "bob"),
        press("Generate"),
        press("Show the steps"),
    ),
)
WIZARD = (
    wizard(),
    wizard(*BLANK),
    wizard(*BLANK, press("More")),
    wizard(*BLANK, press("Next"), press("The same from the command line")),
)
LAST = (
    Opening(
        "pages/media/Uploading",
        "/media",
        (never_answered("**/m/media/tus"), files("Upload"), press("Upload"), press("Cancel own.iso")),
        "Cancel own.iso",
    ),
    Opening("app/Me", "/", (be_small, press("Navigation")), over=False),
    Opening("pages/signin/SignInAgain", "/settings", (lose_the_session,)),
)
"""After these the page is another one."""
OPENINGS = (*MENUS, *DIALOGS, *WIZARD, *LAST)
BASES = {"ui/FormDialog", "ui/Confirm", "ui/Dropdown", "ui/ActionMenu"}
"""Of which the others are made."""


def sources() -> dict[str, int]:
    """How many of them each file in web/src has."""
    found = {
        str(file.relative_to(SOURCES).with_suffix("")): len(TAG.findall(file.read_text()))
        for file in SOURCES.rglob("*.tsx")
    }
    return {source: number for source, number in found.items() if number and source not in BASES}
