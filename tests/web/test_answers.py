"""Refusals: in sight beside the button that was pressed, with the focus on the field at fault, in people's words."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.host import Host
from tests.web.furnished import TEAM, WEB
from tests.web.openings import named
from tests.web.person import Person
from velocity.client import Client, ClientError

pytestmark = pytest.mark.xdist_group("answers")  # they share a page

TOP = """one => {
    const {left, top, width, height} = one.getBoundingClientRect();
    return one.contains(document.elementFromPoint(left + width / 2, top + height / 2));
}"""
"""Whether nothing lies over its middle, and it is on the screen."""
WIDTH, HEIGHT = 1280, 800


@pytest.fixture
def low(somebody: Person) -> Iterator[Page]:
    """A window so low that a form's end is out of sight."""
    somebody.page.set_viewport_size({"width": WIDTH, "height": 480})
    yield somebody.page
    somebody.page.set_viewport_size({"width": WIDTH, "height": HEIGHT})


def is_seen(one: Locator) -> None:
    """Soon: what is shown is scrolled to afterwards."""
    expect(one).to_be_visible()
    one.page.wait_for_function(TOP, arg=one.element_handle())


@pytest.mark.holds("PAGE-29")
def test_a_refusal_of_a_long_form_stands_at_its_button_with_the_focus_at_fault(low: Page, somebody: Person) -> None:
    somebody.go(f"/vms/{WEB}/settings")
    memory = low.get_by_role("textbox", name="Memory", exact=True)
    memory.fill("4000 TiB")
    low.get_by_role("button", name="Review and save…").click()
    answer = low.locator(".v-refusal").get_by_text("It was not saved")
    is_seen(answer)
    expect(memory).to_be_focused()
    is_seen(memory)
    memory.fill("much")
    low.locator("main").evaluate("one => [...one.querySelectorAll('*')].map(it => it.scrollTo(0, 1e6))")
    low.get_by_role("button", name="Review and save…").click()
    is_seen(low.locator(".v-refusal").get_by_text("Correct what is marked."))
    expect(memory).to_be_focused()
    is_seen(memory)
    low.get_by_role("button", name="Undo all").click()
    expect(low.locator(".v-refusal")).to_be_empty()


@pytest.mark.holds("PAGE-29")
def test_a_refusal_in_a_dialog_stands_at_its_button_with_the_focus_at_fault(low: Page, somebody: Person) -> None:
    refusal = {"code": 18220, "message": "it is above the limit of a group above", "field": "cpus", "error": True}
    somebody.go(f"/groups/{TEAM}")
    named(low, "Change the quota").click()
    dialog = low.get_by_role("dialog")
    cpus = dialog.get_by_label("CPUs", exact=True)
    press = dialog.get_by_role("button", name="Set the quota")
    cpus.fill("many")
    press.click()
    is_seen(dialog.locator(".v-refusal").get_by_text("Not complete yet"))
    expect(cpus).to_be_focused()
    low.route("**/u/group/quota", lambda route: route.fulfill(status=406, json=refusal))
    cpus.fill("2")
    press.click()
    is_seen(dialog.locator(".v-refusal").get_by_text("The server refused it"))
    expect(low.get_by_text("Setting the quota of")).to_have_count(0)  # a toast would stay when it has been mended
    expect(cpus).to_be_focused()
    is_seen(cpus)
    low.unroute("**/u/group/quota")
    low.keyboard.press("Escape")
    expect(dialog).to_have_count(0)


@pytest.mark.holds("PAGE-30", "PAGE-31")
def test_refusals_and_the_history_are_in_peoples_words(somebody: Person, furnished: Host) -> None:
    page = somebody.page
    with Client(furnished.url, furnished.key) as client:
        [item] = [one for one in client.list_trash().items if one.name == "old"]
        client.restore(trid=item.trid)
        with pytest.raises(ClientError):
            client.alter_vm(vmid=WEB, memory_mib=1 << 40)
    somebody.go("/history")
    row = page.get_by_role("row")
    expect(row.filter(has_text="restored medium old from the trash").filter(has_text="You")).to_be_visible()
    rights = "“View virtual machines and their states”, “Use the consoles of virtual machines”"
    expect(row.filter(has_text=f"granted {rights} on group team to user ann")).to_have_count(1)
    refused = row.filter(has_text="tried to give VM web").filter(has_text="Too much memory: a VM on this host")
    expect(refused).to_be_visible()
    expect(page.get_by_role("main").get_by_text("memory_mib")).to_have_count(0)


@pytest.mark.holds("PAGE-86")
def test_a_notice_moves_nothing(furnished: Host, somebody: Person) -> None:
    """A page that just fits gets no scroll bar by it."""
    page = somebody.page
    furnished.ok("vm", "create", "noticed", "--memory", "64M")
    somebody.go("/vms?find=noticed")
    start = page.get_by_role("button", name="Start noticed")
    expect(start).to_be_visible()
    end = int(page.locator("#main > .v-section").evaluate("one => one.getBoundingClientRect().bottom"))
    page.set_viewport_size({"width": WIDTH, "height": end + 40})
    rest = "one => [one.scrollHeight, one.clientWidth]"
    before = page.locator("#main").evaluate(rest)
    start.click()
    expect(page.get_by_text("noticed is running")).to_be_visible()
    assert page.locator("#main").evaluate(rest) == before
    page.set_viewport_size({"width": WIDTH, "height": HEIGHT})
