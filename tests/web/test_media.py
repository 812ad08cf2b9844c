"""A medium's own page, and media that the server fetches, in a real browser."""

from __future__ import annotations

import hashlib
import json
import re

import pytest
from playwright.sync_api import expect

from tests.api.origin import lasting_origin, seeded
from tests.host import Host
from tests.web.person import Person


@pytest.mark.holds("PAGE-42")
def test_a_medium_has_a_page_where_it_is_renamed_and_grows(host: Host, root: Person) -> None:
    host.ok("media", "create", "disk", "--size", "1M")
    host.ok("vm", "create", "web", "--memory", "64M", "--media", "disk:block")
    root.go("/media")
    page = root.page
    page.get_by_role("link", name="disk", exact=True).click()
    expect(page.get_by_role("heading", level=1)).to_have_text("disk")
    facts = page.get_by_role("region", name="Medium", exact=True)
    expect(facts).to_contain_text("qcow2, clusters of 128 KiB, subclusters of 4 KiB")
    expect(page.get_by_role("region", name="Used by").get_by_role("link", name="web")).to_be_visible()
    host.ok("vm", "start", "web")
    for item, field, value in (("Grow…", "New size", "3 MiB"), ("Edit…", "Name", "data")):
        page.get_by_role("button", name=re.compile("^Actions of ")).click()
        page.get_by_role("menuitem", name=item).click()
        page.get_by_role("textbox", name=field).fill(value)
        page.get_by_role("dialog").get_by_role("button", name=re.compile("^(Grow|Save)$")).click()
        expect(page.get_by_role("dialog")).to_have_count(0)
    expect(page.get_by_role("heading", level=1)).to_have_text("data")
    expect(facts).to_contain_text("3 MiB")
    page.get_by_role("button", name=re.compile("^Actions of ")).click()
    page.get_by_role("menuitem", name="Convert or compact…").click()
    page.get_by_role("dialog").get_by_role("button", name="Compact", exact=True).click()
    expect(page.get_by_text("data is being compacted")).to_be_visible()
    host.ok("task", "wait", "data")
    host.ok("vm", "stop", "web", "--force")
    host.ok("vm", "rm", "web")
    host.ok("media", "rm", "data")
    expect(page.get_by_text("data no longer exists")).to_be_visible()


@pytest.mark.holds("PAGE-80")
def test_a_medium_is_attached_to_a_vm_from_its_own_page(host: Host, root: Person) -> None:
    host.ok("media", "create", "data", "--size", "1M")
    for name in ("has-it-already", "web"):
        host.ok("vm", "create", name, "--memory", "64M")
    host.ok("vm", "attach", "has-it-already", "data:ro")
    host.ok("vm", "start", "web")
    (medium,) = json.loads(host.ok("media", "list", "--json"))["media"]
    root.go(f"/media/{medium['mid']}")
    page = root.page
    page.get_by_role("button", name="Attach to a VM").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_role("button", name="Attach", exact=True).click()
    expect(dialog.locator(".v-refusal")).to_contain_text("Not complete yet")
    vms = dialog.get_by_role("combobox", name="VM", exact=True)
    expect(vms.get_by_role("option")).to_have_count(2)
    vms.select_option("web (root group, running)")
    dialog.get_by_label("Attached as").select_option("USB")
    expect(dialog.get_by_label("Read-only")).to_be_checked()
    dialog.get_by_role("button", name="Attach", exact=True).click()
    expect(page.get_by_role("region", name="Used by").get_by_role("link", name="web", exact=True)).to_be_visible()
    (one,) = json.loads(host.ok("vm", "show", "web", "--json"))["media"]
    assert (one["mid"], one["mode"], one["readonly"]) == (medium["mid"], "USB", True)


@pytest.mark.holds("PAGE-43", "PAGE-62")
def test_a_file_is_fetched_from_a_url(host: Host, root: Person) -> None:
    root.go("/media")
    page = root.page
    page.get_by_role("button", name="Fetch from a URL…").click()
    page.get_by_role("textbox", name="URL").fill(f"{lasting_origin()}/7/4096")
    expect(page.get_by_text("Give its SHA-256 as well")).to_be_visible()
    page.get_by_role("textbox", name="SHA-256").fill(hashlib.sha256(seeded(7, 4096)).hexdigest())
    page.get_by_role("textbox", name="Name").fill("fetched")
    page.get_by_role("checkbox", name="Permanently read-only").check()
    page.get_by_role("dialog").get_by_role("button", name="Fetch", exact=True).click()
    expect(page.get_by_role("link", name="fetched", exact=True)).to_be_visible()
    page.get_by_role("link", name="Show the task").click()
    expect(page.get_by_role("row").and_(page.locator("[aria-current=true]"))).to_contain_text("fetched")
    (medium,) = json.loads(host.ok("media", "list", "--json"))["media"]
    assert (medium["name"], medium["size"], medium["readonly"]) == ("fetched", 4096, True)
