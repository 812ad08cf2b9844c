"""Without a mouse: every page by Tab, what Tab does not reach by arrows, and two whole tasks."""

from __future__ import annotations

import json
import threading
from typing import Any

import pytest
from playwright.sync_api import Locator, Page, Route, expect

from tests.api.world import PASSWORD
from tests.host import Host
from tests.web.conftest import NewPerson
from tests.web.furnished import ANN, RUNS, TEAM, WEB
from tests.web.person import Person
from tests.web.walk import reach, walk

pytestmark = pytest.mark.xdist_group("keyboard")  # they share a page

PAGES = {
    "/": "Dashboard", "/vms": "Virtual machines", "/vms?view=wall": "Virtual machines", f"/vms/{WEB}": "web",
    f"/vms/{WEB}/settings": "web", f"/vms/{RUNS}/metrics": "runs", f"/vms/{WEB}/history": "web",
    f"/vms/{RUNS}/command": "runs", f"/vms/{WEB}/console": "web", f"/vms/{WEB}/serial": "web",
    "/create": "Create a virtual machine", "/media": "Media", "/groups": "Groups", f"/groups/{TEAM}": "Groups",
    "/users": "Users", f"/users/{ANN}": "ann", "/tasks": "Tasks", "/history": "History", "/trash": "Trash",
    "/settings": "My settings",
}  # fmt: skip


def shown(one: Person, path: str) -> None:
    one.go(path)
    expect(one.page.get_by_role("heading", level=1)).to_contain_text(PAGES[path])
    expect(one.page.locator("[class*=skeleton], [aria-label=Loading]")).to_have_count(0)


SHORT = ["/", "/vms", f"/vms/{WEB}/settings", "/create", "/media", f"/users/{ANN}"]
"""The pages that differ most at another width."""


@pytest.mark.whole
@pytest.mark.parametrize("width", [1280, 375])
def test_tab_reaches_everything_and_is_seen_there(furnished: Host, person: NewPerson, width: int, whole: bool) -> None:
    one = person(furnished.url, width=width)
    one.enter("root")
    wrong: dict[str, list[str]] = {}
    for path in PAGES if whole or width == 1280 else SHORT:
        shown(one, path)
        reached, wrong[path] = walk(one.page)
        assert reached[0] == "a Skip to content", path
        assert len(reached) > (6 if width == 1280 else 5), path  # a phone shows the groups first, then one of them
    assert {path: told for path, told in wrong.items() if told} == {}


def test_before_the_sign_in(furnished: Host, person: NewPerson) -> None:
    one = person(furnished.url)
    for path, title in (("/", "Sign in to Velocity"), ("/#/welcome/used", "This link is no longer valid")):
        one.open("/favicon.svg")
        one.open(path)
        expect(one.page.get_by_role("heading", level=1)).to_have_text(title)
        reached, wrong = walk(one.page)
        assert (reached != [], wrong) == (True, [])
        assert one.violations() == []
        one.page.emulate_media(color_scheme="dark")
        assert one.violations() == []


def test_the_skip_link_leads_past_the_navigation(somebody: Person) -> None:
    page = somebody.page
    somebody.open("/vms")
    expect(page.get_by_role("link", name="web")).to_be_visible()
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to content")).to_be_focused()
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    assert page.evaluate("document.querySelector('main').contains(document.activeElement)")
    expect(page.get_by_role("heading", level=1)).to_have_text("Virtual machines")


def test_a_place_that_is_gone_to_begins_with_its_content(somebody: Person) -> None:
    page = somebody.page
    shown(somebody, "/")
    page.get_by_role("navigation", name="Places").get_by_role("link", name="Media").focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_have_text("Media")
    expect(page.locator("main")).to_be_focused()


def test_menus_open_move_and_close(somebody: Person) -> None:
    page = somebody.page
    shown(somebody, "/vms")
    shown(somebody, "/media")
    for path, name in (
        ("/", "root"),
        ("/vms", "Actions of web"),
        ("/vms", "Columns"),
        ("/vms", "State"),
        ("/vms", "All groups"),
        ("/media", "Actions of spare"),
        (f"/vms/{WEB}", "More that can be done with web"),
    ):
        shown(somebody, path)
        toggle = page.get_by_role("button", name=name, exact=True).first
        toggle.focus()
        page.keyboard.press("Enter")
        items = page.locator("[data-popper-placement] li :is(button, a, input)")
        expect(items.first).to_be_focused()
        for index in range(1, items.count()):
            page.keyboard.press("ArrowDown")
            expect(items.nth(index)).to_be_focused()
        page.keyboard.press("ArrowDown")
        expect(items.first).to_be_focused()
        page.keyboard.press("End")
        expect(items.last).to_be_focused()
        page.keyboard.press("Home")
        expect(items.first).to_be_focused()
        assert somebody.violations() == [], name
        page.keyboard.press("Escape")
        expect(items).to_have_count(0)
        expect(toggle).to_be_focused()


def test_a_search_in_a_menu(somebody: Person, furnished: Host) -> None:
    page = somebody.page
    for number in range(12):
        furnished.ok("group", "create", f"g{number:02}")
    shown(somebody, "/groups")
    expect(page.get_by_role("button", name="g11", exact=True)).to_be_visible()  # the page has heard of all
    shown(somebody, "/vms")
    toggle = page.get_by_role("button", name="All groups")
    toggle.focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("textbox", name="Search groups")).to_be_focused()
    page.keyboard.type("g07")
    expect(page.get_by_role("option")).to_have_count(2)
    for key in ("Tab", "Tab", "ArrowDown"):  # past what clears the search, to what it found
        page.keyboard.press(key)
    expect(page.locator(":focus")).to_have_text("g07 0")
    page.keyboard.press("Enter")
    expect(page.get_by_role("button", name="In g07")).to_be_focused()
    page.keyboard.press("Enter")
    page.keyboard.press("Escape")
    expect(page.get_by_role("option")).to_have_count(0)
    expect(page.get_by_role("button", name="In g07")).to_be_focused()


@pytest.mark.holds("PAGE-97")
def test_what_is_typed_before_the_palette_is_there_is_meant_for_it(furnished: Host, person: NewPerson) -> None:
    one, held, come = person(furnished.url), list[Route](), threading.Event()
    page = one.page
    page.route("**/assets/Palette-*", lambda route: route.continue_() if come.is_set() else held.append(route))
    one.enter("root", "/vms")
    expect(page.get_by_role("link", name="web", exact=True)).to_be_visible()
    page.keyboard.press("Control+k")
    one.until(lambda: held)
    page.keyboard.type("create a user")  # of which "c" alone would begin another VM
    come.set()
    held[0].continue_()
    expect(page.get_by_role("combobox")).to_have_value("create a user")
    expect(page.get_by_role("option").first).to_contain_text("Create a user")
    assert page.url.endswith("/vms")


@pytest.mark.holds("PAGE-97")
def test_what_is_typed_while_the_palette_opens_is_not_lost(furnished: Host, person: NewPerson) -> None:
    one = person(furnished.url)
    one.enter("root", "/vms")
    expect(one.page.get_by_role("link", name="web", exact=True)).to_be_visible()
    one.until(lambda: any("/assets/Palette-" in asked for asked in one.asked))  # loaded before it is opened
    one.settle()
    one.page.keyboard.press("Control+k")
    one.page.keyboard.type("create a user", delay=10)
    expect(one.page.get_by_role("combobox")).to_have_value("create a user")


def test_the_tree_of_groups_by_arrows(somebody: Person) -> None:
    page = somebody.page
    shown(somebody, "/groups")
    tree = page.get_by_role("tree", name="Groups")
    tree.get_by_role("button", name="root group", exact=True).focus()
    seen = {focused(page)}
    for _ in range(tree.get_by_role("treeitem").count()):
        page.keyboard.press("ArrowDown")
        page.keyboard.press("ArrowRight")  # from what opens and shuts a group to the group
        seen.add(focused(page))
        if focused(page) == "team":
            page.keyboard.press("Enter")
            expect(page.get_by_role("heading", level=2, name="team")).to_be_visible()
    assert seen >= {"root group", "bare", "team", "below"}


@pytest.mark.holds("PAGE-3")
def test_a_vm_is_made_started_and_stopped(furnished: Host, person: NewPerson) -> None:
    one = person(furnished.url)
    one.enter("root", "/vms")
    page, type_ = one.page, one.page.keyboard.type
    do(page, "link", "Create a virtual machine")
    do(page, "radio", "An empty disk", "Space")
    do(page, "button", "Next")
    reach(page, page.get_by_role("textbox", name="Name", exact=True))
    page.keyboard.press("Control+a")
    type_("by hand")
    do(page, "checkbox", "Start it after it is created", "Space")
    do(page, "button", "Next")
    do(page, "button", "Create")
    expect(page.get_by_role("heading", level=1)).to_have_text("by hand")
    state = page.locator(".v-head").get_by_role("paragraph").first
    do(page, "button", "Start")
    expect(state).to_contain_text("Running")
    keeps_the_focus(page)
    do(page, "button", "Stop")
    expect(state).to_contain_text("Stopped")
    keeps_the_focus(page)
    assert one.loads == 1


@pytest.mark.holds("PAGE-74")
def test_settings_are_saved_a_medium_grown_and_a_vm_deleted_and_restored(furnished: Host, person: NewPerson) -> None:
    furnished.ok("media", "create", "keys", "--size", "1M")
    furnished.ok("vm", "create", "keyed", "--memory", "64M", "--media", "keys:block")
    vmid = json.loads(furnished.ok("vm", "show", "keyed", "--json"))["vmid"]
    one = person(furnished.url)
    one.enter("root", f"/vms/{vmid}/settings")
    page = one.page
    do(page, "button", "Add a NIC")
    do(page, "button", "Review and save…")
    do(page, "button", "Save")
    expect(page.get_by_role("dialog")).to_have_count(0)
    keeps_the_focus(page)
    one.go(f"/vms/{vmid}")
    grow = do(page, "button", "Grow keys")
    expect(page.get_by_label("New size")).to_be_focused()
    page.keyboard.press("Control+a")
    page.keyboard.type("2M")
    page.keyboard.press("Enter")
    expect(page.get_by_role("dialog")).to_have_count(0)
    expect(grow).to_be_focused()
    do(page, "button", "More that can be done with keyed")
    expect(page.get_by_role("menuitem").first).to_be_focused()
    page.keyboard.press("End")
    page.keyboard.press("Enter")
    do(page, "button", "Delete")
    expect(page.get_by_role("heading", level=1)).to_have_text("Virtual machines")
    do(page, "button", "Undo")
    expect(page.get_by_role("link", name="keyed", exact=True)).to_be_visible()


def test_a_permission_is_given_and_taken_away(furnished: Host, person: NewPerson) -> None:
    furnished.ok("user", "create", "bert", "--password-stdin", typed=PASSWORD)
    one = person(furnished.url)
    one.enter("root", f"/groups/{TEAM}")
    page = one.page
    row = page.get_by_role("row").filter(has_text="bert")
    give = do(page, "button", "Grant permissions")
    reach(page, page.get_by_role("combobox", name="User", exact=True))
    page.keyboard.type("bert")
    do(page, "checkbox", "vm.view", "Space")
    do(page, "checkbox", "vm.state", "Space")
    do(page, "button", "Grant 2")
    expect(page.get_by_role("dialog")).to_have_count(0)
    expect(give).to_be_focused()
    expect(row).to_contain_text("vm.state")

    change = do(page, "button", "Change what bert may do here")
    do(page, "checkbox", "vm.state", "Space")
    do(page, "button", "Revoke 1")
    expect(page.get_by_role("dialog")).to_have_count(0)
    expect(row).not_to_contain_text("vm.state")
    expect(change).to_be_focused()

    do(page, "button", "Revoke all permissions of bert here")
    do(page, "button", "Revoke all")
    expect(row).to_have_count(0)
    expect(page.get_by_role("dialog")).to_have_count(0)
    keeps_the_focus(page)


def do(page: Page, role: Any, name: str, key: str = "Enter") -> Locator:
    """Go there by Tab, and press the key."""
    wanted = page.get_by_role(role, name=name, exact=True)
    expect(wanted).to_be_enabled()
    reach(page, wanted)
    page.keyboard.press(key)
    return wanted


def keeps_the_focus(page: Page) -> None:
    """What had it is there no more: it is near, not at the beginning of the page."""
    expect(page.locator("body")).not_to_be_focused()


def focused(page: Page) -> str:
    """The text of what has the focus."""
    return str(page.evaluate("document.activeElement.textContent")).strip()
