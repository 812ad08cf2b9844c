"""Parts of the page that do not come: the server has a newer page, does not respond, or is slow."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, Route, expect

from tests.host import Host
from tests.web.conftest import NewPerson
from tests.web.person import Person
from tests.web.test_tabs import TELLTALE

NEWER = "The server has a newer page"
HISTORY, PALETTE = "**/assets/History-*.js", "**/assets/Palette-*.js"
MISSED = ("Failed to fetch dynamically imported module", "NotLoaded", "ERR_INTERNET_DISCONNECTED")


@pytest.fixture
def reader(root: Person) -> Iterator[Person]:
    """Who comes to parts that cannot be loaded: what the browser says of that is no complaint."""
    yield root
    excuse(root)


def excuse(one: Person) -> None:
    one.complaints[:] = [told for told in one.complaints if not any(words in told for words in MISSED)]


def lose(one: Person, path: str, load: int = 1) -> None:
    """The server does not have it until the page is loaded once more than so often."""

    def answer(route: Route) -> None:
        if one.loads == load:
            route.fulfill(status=404)
        else:
            route.fallback()

    one.page.route(path, answer)


def is_at_history(page: Page) -> None:
    expect(page.get_by_role("heading", level=1)).to_have_text("History")


@pytest.mark.holds("PAGE-70")
def test_a_part_that_the_server_has_no_more_is_there_by_a_reload_that_loses_nothing(reader: Person) -> None:
    page = reader.page
    lose(reader, HISTORY)
    reader.go("/history")
    is_at_history(page)
    assert reader.loads == 2
    lose(reader, PALETTE, 2)  # so soon after the first time the person decides
    page.keyboard.press("Control+k")
    expect(page.get_by_text(NEWER)).to_be_visible()
    is_at_history(page)
    assert reader.loads == 2


@pytest.mark.holds("PAGE-70")
def test_what_is_not_saved_is_not_lost_by_a_reload_that_nobody_asked_for(host: Host, reader: Person) -> None:
    page = reader.page
    host.ok("vm", "create", "web", "--memory", "64M")
    reader.go("/vms/1/settings")
    page.get_by_role("textbox", name="Name", exact=True).fill("other")
    lose(reader, HISTORY)
    reader.go("/history")
    expect(page.get_by_role("heading", name=NEWER)).to_be_visible()
    reader.go("/vms/1/settings")
    expect(page.get_by_role("textbox", name="Name", exact=True)).to_have_value("other")
    assert reader.loads == 1


@pytest.mark.holds("PAGE-70")
def test_a_part_comes_as_soon_as_the_server_responds_again(reader: Person) -> None:
    page = reader.page
    page.context.set_offline(True)
    reader.go("/history")
    expect(page.get_by_role("heading", name="The server does not respond")).to_be_visible()
    page.context.set_offline(False)
    is_at_history(page)


@pytest.mark.holds("PAGE-70")
def test_a_part_that_does_not_come_says_so_and_offers_a_way_on(reader: Person) -> None:
    page = reader.page
    page.clock.install()
    before = reader.loads
    page.route(HISTORY, lambda route: route.fallback() if reader.loads > before else None)  # it is never answered
    reader.go("/history")
    expect(page.get_by_role("progressbar", name="Loading")).to_be_visible()
    page.clock.fast_forward(11_000)
    expect(page.get_by_text("This takes longer than usual")).to_be_visible()
    page.get_by_role("button", name="Reload the page").click()
    is_at_history(page)


@pytest.mark.holds("PAGE-70")
def test_who_has_signed_in_gets_the_page_though_its_first_part_was_missing(host: Host, person: NewPerson) -> None:
    one = person(host.url)
    lose(one, "**/assets/app-*.js")
    one.sign_in("root")
    assert one.loads == 2
    excuse(one)


@pytest.mark.holds("PAGE-82")
@pytest.mark.parametrize("path", ["/vms/1/serial", "/media/none"])
def test_nothing_is_said_to_be_missing_before_what_is_there_has_come(host: Host, root: Person, path: str) -> None:
    page = root.page
    host.ok("vm", "create", "web", "--memory", "64M")
    page.context.add_init_script("delete window.SharedWorker")
    page.add_init_script(TELLTALE.replace("WORD", "or you may not view it"))
    page.route("**/v/events**", lambda route: route.fulfill(content_type="text/event-stream", body=":\n\n"))
    root.open(path)
    expect(page.get_by_text("Connection lost")).to_be_visible()
    assert page.evaluate("window.shown") is None
    page.unroute("**/v/events**")
    found = page.get_by_role("heading", name="web").or_(page.get_by_text("or you may not view it"))
    expect(found).to_be_visible()


@pytest.mark.holds("PAGE-109")
def test_what_is_no_more_is_told_so_and_leads_to_the_rest(root: Person) -> None:
    for path, rest in (
        ("/vms/99", "All VMs"),
        ("/media/none", "All media"),
        ("/groups/99", "All groups"),
        ("/users/99", "All users"),
        ("/hosts/99", "All hosts"),
    ):
        root.go(path)
        expect(root.page.get_by_role("heading", name="There is no")).to_be_visible()
        expect(root.page.get_by_role("alert")).to_have_count(0)
        root.page.get_by_role("link", name=rest).click()
        expect(root.page.get_by_role("heading", name="There is no")).to_have_count(0)
