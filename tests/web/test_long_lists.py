"""Lists that are too long for all of their rows to be in the document."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, expect

from tests.host import Host, hosting
from tests.web.conftest import NewPerson, people
from tests.web.person import Person
from velocity.client import Client
from velocity.contract.machines import Nic

MANY = 42
LONG = "production-of-the-customer-in-the-north"
OUTSIDE = """rows => [...rows.querySelectorAll("td:last-child :is(a, button)")].filter(one => {
    if (!one.checkVisibility()) return false
    const [box, all] = [one.getBoundingClientRect(), rows.getBoundingClientRect()]
    const cell = one.closest("td").getBoundingClientRect()
    return box.left < cell.left || box.right > Math.min(cell.right, all.left + rows.clientWidth)
}).map(one => one.ariaLabel || one.textContent)"""
"""What can be done with a row, and cannot be seen whole or lies over another column."""


@pytest.fixture(scope="module")
def crowd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Host]:
    with hosting(tmp_path_factory.mktemp("crowd")) as host, Client(host.url, host.key) as client:
        group = client.create_group(name=LONG, parent_gid=0).gid
        for number in range(MANY):
            nics = [Nic(type="NAT")]
            vmid = client.create_vm(name=f"web-{number}", gid=group, cpus=1, memory_mib=64, nics=nics).vmid
            if number < 8:
                client.set_vm_state(vmid=vmid, state="PAUSED" if number % 2 else "RUNNING")
            mid = client.create_medium(mpid=1, gid=0, name=f"export-{number}", type="DISK", size=1 << 20).mid
            client.delete_medium(mid=mid)
        yield host


@pytest.fixture(scope="module")
def someone(crowd: Host, browser: Browser) -> Iterator[Person]:
    with people(browser) as come:
        one = come(crowd.url)
        one.enter("root")
        yield one


@pytest.mark.holds("PAGE-117")
@pytest.mark.parametrize("width", [1024, 1280])
@pytest.mark.parametrize("path", ["/vms", "/trash"])
def test_what_can_be_done_with_a_row_of_a_long_list_is_in_sight(someone: Person, path: str, width: int) -> None:
    someone.page.set_viewport_size({"width": width, "height": 800})
    someone.go(path)
    rows = someone.page.locator(".v-rows-many")
    expect(rows.locator("tbody tr td:last-child button").last).to_be_attached()
    someone.settle()
    assert rows.evaluate(OUTSIDE) == []


COLUMNS = '["state","group","cpus","memory","usage","taken","addresses","macs","uptime","nics","displays","autostart"]'
NARROW = """rows => [...rows.querySelectorAll("tbody tr[data-index] td")].filter(one => one.clientWidth < 40)
    .map(one => `${one.dataset.label} ${one.clientWidth}`)"""


@pytest.mark.holds("PAGE-117")
def test_in_a_long_list_with_many_columns_none_of_them_gives_way_to_the_others(crowd: Host, person: NewPerson) -> None:
    one = person(crowd.url)
    one.enter("root")
    one.page.evaluate("all => localStorage.setItem('velocity.columns.vms', all)", COLUMNS)
    one.open("/vms")
    rows = one.page.locator(".v-rows-many")
    expect(rows.get_by_role("columnheader", name="Autostart")).to_be_attached()
    expect(rows.locator("tbody tr td:last-child button").last).to_be_attached()
    one.settle()
    assert rows.evaluate(NARROW) == []
    assert rows.evaluate(OUTSIDE) == []


@pytest.mark.holds("PAGE-118")
def test_on_a_phone_what_can_be_done_with_a_row_leaves_room_for_its_name(someone: Person) -> None:
    someone.page.set_viewport_size({"width": 375, "height": 800})
    someone.go("/trash")
    name = someone.page.get_by_role("cell", name="export-41", exact=True)
    expect(name).to_be_visible()
    box = name.bounding_box()
    assert box is not None and box["height"] < 30, "a name of nine letters takes one line"


@pytest.mark.holds("PAGE-119")
def test_a_long_path_of_a_group_takes_two_lines_at_most(someone: Person) -> None:
    someone.page.set_viewport_size({"width": 1024, "height": 800})
    someone.go("/vms")
    cell = someone.page.get_by_role("row").filter(has_text="web-0").get_by_title(LONG)
    expect(cell).to_be_visible()
    box = cell.bounding_box()
    assert box is not None and box["height"] < 42
