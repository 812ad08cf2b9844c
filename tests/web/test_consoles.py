"""Consoles have the room, whatever is told; and what a narrow screen or a wrong address makes of the page."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import FloatRect, Locator, Page, Route, expect

from tests.host import Host
from tests.web.conftest import NewPerson
from tests.web.person import Person
from tests.web.walk import reach

WIDTH, HEIGHT = 1440, 900


@pytest.fixture
def watcher(host: Host, person: NewPerson) -> Person:
    """root, at a host with one VM that runs."""
    host.ok("vm", "create", "web", "--memory", "64M", "--display", "64x64")
    host.ok("vm", "start", "web")
    one = person(host.url, width=WIDTH, height=HEIGHT)
    one.enter("root", "/vms/1/console")
    return one


def box(locator: Locator) -> FloatRect:
    found = locator.bounding_box()
    assert found is not None
    return found


def press(page: Page, name: str) -> None:
    page.get_by_role("button", name=name, exact=True).click()


@pytest.mark.holds("PAGE-22")
def test_an_unknown_address_says_so(root: Person) -> None:
    root.open("/machines/of/old")
    expect(root.page.get_by_role("heading", name="There is no page at this address")).to_be_visible()
    expect(root.page.get_by_text("/machines/of/old")).to_be_visible()
    root.page.get_by_role("main").get_by_role("link", name="Virtual machines").click()
    expect(root.page.get_by_role("heading", level=1)).to_have_text("Virtual machines")
    root.open("/#/machnies")
    expect(root.page.get_by_text("/machnies")).to_be_visible()
    for elsewhere in ("//elsewhere.test/", "/\\elsewhere.test/"):  # addresses of this page all the same
        root.open(f"/settings#{elsewhere}")
        expect(root.page.get_by_role("heading", name="There is no page at this address")).to_be_visible()
    root.open("/#/media?find=web")
    expect(root.page.get_by_role("heading", level=1)).to_have_text("Media")


@pytest.mark.holds("PAGE-23")
def test_a_console_fills_the_window_and_its_bar_hides(host: Host, watcher: Person) -> None:
    page, guest = watcher.page, watcher.page.locator(".v-guest")
    expect(page.get_by_role("button", name="Ctrl-Alt-Del")).to_be_enabled()
    before = box(guest)
    assert before["height"] >= 0.95 * HEIGHT - 10 and before["width"] >= 0.95 * WIDTH, before
    for theme in ("dark", "light"):
        page.emulate_media(color_scheme="dark" if theme == "dark" else "light")
        for around in guest, page.locator(".v-console"):
            assert around.evaluate("one => getComputedStyle(one).backgroundColor") == "rgb(0, 0, 0)", theme

    host.ok("vm", "set", "web", "--memory", "80M")
    expect(page.get_by_text("Takes effect at the next start")).to_be_visible()
    assert box(guest) == before, "a notice lies over it"

    press(page, "Hide the bar")
    show = page.get_by_role("button", name="Show the bar")
    expect(show).to_be_focused()
    assert box(guest)["height"] == HEIGHT
    assert watcher.violations() == []
    page.reload()
    show.click()
    expect(show).to_have_count(0)
    expect(guest).to_be_visible()
    assert box(guest) == before


@pytest.mark.holds("PAGE-74")
def test_a_screen_is_come_to_and_left_by_keyboard(watcher: Person) -> None:
    page = watcher.page
    expect(page.get_by_role("button", name="Ctrl-Alt-Del")).to_be_enabled()
    screen = page.get_by_role("application", name=re.compile("^Screen "))
    reach(page, screen)
    for key in ("ControlLeft", "AltLeft"):
        page.keyboard.down(key)
    page.keyboard.up("AltLeft")
    page.keyboard.up("ControlLeft")
    expect(screen).not_to_be_focused()
    assert page.evaluate("document.querySelector('.v-console').contains(document.activeElement)")


@pytest.mark.holds("PAGE-24")
def test_a_console_in_a_window_of_its_own(watcher: Person) -> None:
    page = watcher.page
    expect(page.get_by_role("button", name="Ctrl-Alt-Del")).to_be_enabled()
    with page.expect_popup() as opened:
        press(page, "Open in a window")
    own = opened.value
    expect(own.get_by_role("button", name="Ctrl-Alt-Del")).to_be_enabled()
    expect(own.get_by_role("navigation", name="Places")).to_have_count(0)
    assert (own.title(), box(own.locator(".v-guest"))["x"]) == ("web", 0)
    own.get_by_role("navigation", name="Of web").get_by_role("link", name="Serial").click()
    expect(own.get_by_role("region", name="Serial console of web")).to_be_visible()
    expect(own.get_by_role("navigation", name="Places")).to_have_count(0)
    own.close()


@pytest.mark.holds("PAGE-46")
def test_what_is_typed_into_a_serial_console_before_it_is_connected_comes_to_the_guest(watcher: Person) -> None:
    page = watcher.page
    tickets: list[Route] = []
    page.route("**/v/vm/console", lambda route: tickets.append(route))
    watcher.go("/vms/1/serial")
    expect(page.get_by_text("Connecting…")).to_be_visible()
    terminal = page.get_by_role("region", name="Serial console of web")
    terminal.click()
    page.keyboard.type("typed early")
    expect(terminal.locator(".xterm-rows")).not_to_contain_text("typed")
    watcher.until(lambda: tickets).pop().continue_()
    expect(terminal.locator(".xterm-rows")).to_contain_text("typed early")
    expect(page.get_by_text("You have the keyboard")).to_be_visible()


@pytest.mark.holds("PAGE-79")
def test_a_serial_console_that_does_not_come_says_what_it_waits_for_and_is_tried_again(watcher: Person) -> None:
    page = watcher.page
    is_silent = has_no_ticket = True
    page.route("**/v/vm/console", lambda route: None if has_no_ticket else route.fallback())
    page.route_web_socket(re.compile("/v/vm/console/"), lambda at: None if is_silent else at.connect_to_server())
    page.clock.install()
    watcher.open("/vms/1/serial")
    expect(page.get_by_text("Connecting…")).to_be_visible()
    page.clock.fast_forward(11_000)
    expect(page.get_by_text("The server has not responded yet.")).to_be_visible()
    has_no_ticket = False  # as `unroute` would let the first request go on, too
    press(page, "Try again")
    expect(page.get_by_role("button", name="Try again")).to_have_count(0)
    page.clock.fast_forward(11_000)
    expect(page.get_by_text("Nothing comes from the guest")).to_be_visible()
    is_silent = False
    press(page, "Try again")
    expect(page.get_by_text("The keyboard is free")).to_be_visible()
    expect(page.get_by_role("button", name="Try again")).to_have_count(0)


@pytest.mark.holds("PAGE-25")
def test_a_serial_console_is_pasted_into_searched_and_made_larger(host: Host, watcher: Person) -> None:
    page = watcher.page
    host.say(b"first line\r\nhere is the NEEDLE\r\nand a needle again\r\n")
    watcher.go("/vms/1/serial")
    expect(page.get_by_text("The keyboard is free")).to_be_visible()
    terminal = page.get_by_role("region", name="Serial console of web")
    expect(terminal.locator(".xterm-rows")).to_contain_text("needle again")

    press(page, "Search the output")
    page.get_by_role("textbox", name="Search the output").fill("needle")
    expect(page.get_by_role("status").get_by_text("2 of 2")).to_be_visible()
    page.keyboard.press("Enter")
    expect(page.get_by_role("status").get_by_text("1 of 2")).to_be_visible()
    assert watcher.violations() == []
    page.keyboard.press("Escape")
    expect(page.get_by_role("textbox", name="Search the output")).to_have_count(0)

    press(page, "Paste")
    dialog = page.get_by_role("dialog", name="Paste into the console")
    dialog.get_by_role("textbox", name="Text").fill("echo pasted")
    dialog.get_by_role("button", name="Paste", exact=True).click()
    expect(page.get_by_text("You have the keyboard")).to_be_visible()

    size = "one => parseFloat(getComputedStyle(one).fontSize)"
    small = terminal.locator(".xterm-rows").evaluate(size)
    press(page, "Larger letters")
    assert watcher.until(lambda: terminal.locator(".xterm-rows").evaluate(size) > small)


@pytest.mark.holds("PAGE-26")
def test_on_a_phone_a_row_is_two_lines_and_the_head_one_row(host: Host, person: NewPerson) -> None:
    for name in ("web", "a-name-that-is-longer"):
        host.ok("vm", "create", name, "--memory", "64M")
    one = person(host.url, width=390, height=844)
    one.enter("root", "/vms")
    page = one.page
    row = page.get_by_role("row").filter(has_text="a-name-that-is-longer")
    expect(row).to_contain_text(re.compile("Stopped"))
    assert box(row)["height"] <= 72, "two lines"
    assert box(page.locator(".v-head"))["height"] <= 50
    assert page.evaluate("document.documentElement.scrollWidth") == 390
    one.go("/vms/1")
    expect(page.get_by_role("heading", level=1)).to_have_text("web")
    assert box(page.locator(".v-head-row"))["height"] <= 50
