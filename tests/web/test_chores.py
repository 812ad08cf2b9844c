"""Chores, each in few clicks from the VM's page; what was asked for goes on without the page."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.api.world import PASSWORD
from tests.host import Host
from tests.patience import at_last
from tests.web.conftest import NewPerson
from tests.web.person import Person
from velocity.hypervisor.port import Fact, FactCause

MOST = 3
MOST_TO_A_SCREEN = 5
"""From signing in, with an ISO that is uploaded on the way."""


SCROLLERS = """one => [...one.querySelectorAll("*")].filter(
    it => getComputedStyle(it).overflowY === "auto" && it.scrollHeight > it.clientHeight).length"""
"""How many of its parts have to be scrolled."""


class Clicks:
    """Those that somebody makes on a page."""

    def __init__(self, page: Page) -> None:
        self.made = 0
        self.page = page

    def on(self, what: Locator) -> None:
        what.click()
        self.made += 1

    def menu(self, item: str) -> None:
        self.on(self.page.get_by_role("button", name="More that can be done with "))
        self.on(self.page.get_by_role("menuitem", name=item))

    def button(self, name: str) -> None:
        self.on(self.page.get_by_role("dialog").get_by_role("button", name=name, exact=True))


def vm(host: Host, name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(host.ok("vm", "show", name, "--json"))
    return found


def media(host: Host) -> set[str]:
    return {one["name"] for one in json.loads(host.ok("media", "list", "--json"))["media"]}


def is_shown_as(page: Page, state: str) -> None:
    expect(page.locator(".v-status").first).to_have_text(state)


@pytest.mark.holds("PAGE-27")
def test_a_restart_goes_on_when_its_tab_is_closed(host: Host, root: Person) -> None:
    host.hypervisor.faults.deaf = True
    host.ok("vm", "create", "web", "--memory", "64M")
    host.ok("vm", "start", "web")
    root.go("/vms/1")
    clicks = Clicks(root.page)
    clicks.menu("Restart…")
    clicks.button("Restart")
    is_shown_as(root.page, "Stopping")
    assert clicks.made <= MOST
    expect(root.page.get_by_text("the server starts it again")).to_be_visible()
    (run,) = host.hypervisor.runs.values()
    root.page.get_by_role("button", name="Press power button").click()
    expect(root.page.get_by_text("web was asked to shut down")).to_be_visible()
    assert (run.presses, vm(host, "web")["restarting"]) == (2, True), "who presses again ends no restart"
    root.page.close()
    host.hypervisor.faults.deaf = False
    host.loop.call_soon_threadsafe(host.hypervisor.play, run.who.machine, Fact.ENDED, FactCause.GUEST_SHUTDOWN)
    at_last(lambda: vm(host, "web")["state"] == "RUNNING")


@pytest.mark.holds("PAGE-90")
@pytest.mark.parametrize("again", [True, False])
def test_a_vm_that_does_not_hear_its_restart_is_forced_off_and_started_again(
    host: Host, root: Person, again: bool
) -> None:
    host.hypervisor.faults.deaf = True
    host.ok("vm", "create", "web", "--memory", "64M")
    host.ok("vm", "start", "web")
    host.ok("vm", "restart", "web", "--no-wait")
    root.go("/vms/1")
    root.page.get_by_role("button", name="Force off").first.click()
    if not again:
        root.page.get_by_label("Start it again").uncheck()
    root.page.get_by_role("dialog").get_by_role("button", name="Force off").click()
    is_shown_as(root.page, "Running" if again else "Stopped")
    assert vm(host, "web")["wanted"] == ("RUNNING" if again else "STOPPED")


@pytest.mark.holds("PAGE-28", "PAGE-54", "PAGE-78", "PAGE-89", "PAGE-94")
def test_a_vm_goes_with_its_disks(host: Host, root: Person) -> None:
    for disk in "web-disk", "shared", "data", "spare", "read":
        host.ok("media", "create", disk, "--size", "1M")
    attached = {"web": ["web-disk"], "db": ["shared", "data", "spare", "read:block:ro"], "reads": ["shared:usb:ro"]}
    for name, its in attached.items():
        host.ok("vm", "create", name, "--memory", "64M", *(word for disk in its for word in ("--media", disk)))
    root.go("/vms/1")
    clicks = Clicks(root.page)
    clicks.menu("Delete…")
    expect(root.page.get_by_role("group", name="Delete its disk too").get_by_label("web-disk")).to_be_checked()
    clicks.button("Delete")
    expect(root.page.get_by_role("heading", level=1)).to_have_text("Virtual machines")
    assert clicks.made <= MOST
    assert media(host) == {"shared", "data", "spare", "read"}
    assert [one["size"] for one in json.loads(host.ok("trash", "list", "--json"))["items"]] == [1 << 20]
    root.page.get_by_role("region", name="Results of your actions").get_by_role("button", name="Undo").click()
    expect(root.page.get_by_role("link", name="web", exact=True)).to_be_visible()
    told = root.page.get_by_role("region", name="Results of your actions")
    expect(told).to_contain_text("The VM is stopped until you start it.")
    told.get_by_role("button", name="Start it").click()
    expect(told).to_contain_text("web is running")
    host.ok("vm", "stop", "web", "--force")
    assert json.loads(host.ok("trash", "list", "--json"))["items"] == []
    assert "web-disk" in media(host)

    host.ok("vm", "start", "db")
    root.go("/vms/2")
    clicks.menu("Delete…")
    dialog = root.page.get_by_role("dialog")
    expect(dialog).to_contain_text("shared is attached to another VM as well, and remains.")
    expect(dialog.get_by_role("group", name="Delete its disks too").get_by_role("checkbox")).to_have_count(2)
    dialog.get_by_label("data", exact=True).uncheck()
    expect(dialog.get_by_role("button", name="Delete", exact=True)).to_be_disabled()
    dialog.get_by_role("checkbox", name="Force off first").check()
    clicks.button("Delete")
    expect(root.page.get_by_role("heading", level=1)).to_have_text("Virtual machines")
    assert media(host) == {"web-disk", "shared", "data", "read"}
    root.go("/trash")
    expect(root.page.get_by_role("row", name="db")).to_contain_text("with 1 disk: spare")


@pytest.mark.holds("PAGE-81")
def test_a_vm_is_renamed(host: Host, root: Person) -> None:
    for one in "web", "db":
        host.ok("vm", "create", one, "--memory", "64M")
    root.go("/vms/1")
    page, clicks = root.page, Clicks(root.page)
    clicks.menu("Rename…")
    field = page.get_by_role("dialog").get_by_role("textbox", name="Name")
    field.fill("db")
    expect(page.get_by_text("The group already has a VM with that name.")).to_be_visible()
    field.fill("www")
    clicks.button("Rename")
    expect(page.get_by_role("heading", level=1)).to_have_text("www")
    assert clicks.made <= MOST and vm(host, "www")["vmid"] == 1
    clicks.made = 0
    root.go("/vms")
    clicks.on(page.get_by_role("button", name="Actions of www"))
    clicks.on(page.get_by_role("menuitem", name="Rename…"))
    field.fill("web")
    clicks.button("Rename")
    expect(page.get_by_role("link", name="web", exact=True)).to_be_visible()
    expect(page.get_by_role("heading", level=1)).to_have_text("Virtual machines")
    assert clicks.made <= MOST


@pytest.mark.holds("PAGE-116")
def test_a_vm_is_stopped_restarted_and_changed_from_its_row(host: Host, root: Person) -> None:
    for one in "web", "db":
        host.ok("vm", "create", one, "--memory", "64M")
    host.ok("vm", "start", "web")
    root.go("/vms?find=web")
    page, row = root.page, root.page.get_by_role("row").filter(has_text="web")
    dialog, search = page.get_by_role("dialog"), page.get_by_role("textbox", name="Search virtual machines")
    row.get_by_role("button", name="Restart web").click()
    dialog.get_by_role("button", name="Restart", exact=True).click()
    expect(page.get_by_text("web is restarting")).to_be_visible()
    host.ok("vm", "start", "web")
    row.get_by_role("button", name="Stop web").click()
    expect(dialog).to_contain_text("The guest is asked to shut down")
    dialog.get_by_role("button", name="Cancel").click()
    assert vm(host, "web")["state"] == "RUNNING"
    row.get_by_role("button", name="Stop web").click()
    dialog.get_by_role("button", name="Stop", exact=True).click()
    expect(row).to_contain_text("Stopped")
    for words in "Start", "Stop…":
        row.get_by_role("button", name="Actions of web").click()
        page.get_by_role("menuitem", name=words, exact=True).click()
    dialog.get_by_role("button", name="Stop", exact=True).click()
    expect(row).to_contain_text("Stopped")
    for words in "Rename…", "Clone…", "Move to another group…", "Move to another host…":
        row.get_by_role("button", name="Actions of web").click()
        page.get_by_role("menuitem", name=words).click()
        expect(dialog).to_be_visible()
        page.keyboard.press("Escape")
        expect(dialog).to_have_count(0)
    expect(search).to_have_value("web")
    expect(page.get_by_role("heading", level=1)).to_have_text("Virtual machines")


@pytest.mark.holds("PAGE-116")
def test_several_vms_are_not_stopped_without_being_asked_for(host: Host, root: Person) -> None:
    for one in "web", "db":
        host.ok("vm", "create", one, "--memory", "64M")
        host.ok("vm", "start", one)
    root.go("/vms")
    page, dialog = root.page, root.page.get_by_role("dialog")
    page.get_by_role("checkbox", name="Select all").check()
    page.get_by_role("button", name="Actions", exact=True).click()
    page.get_by_role("menuitem", name="Stop…", exact=True).click()
    expect(dialog).to_contain_text("Stop 2 VMs?")
    expect(dialog).to_contain_text("db, web")
    dialog.get_by_role("button", name="Cancel").click()
    assert {vm(host, one)["state"] for one in ("web", "db")} == {"RUNNING"}
    page.get_by_role("button", name="Actions", exact=True).click()
    page.get_by_role("menuitem", name="Stop…", exact=True).click()
    dialog.get_by_role("button", name="Stop", exact=True).click()
    expect(page.get_by_text("Stopped", exact=True)).to_have_count(2)
    expect(page.get_by_role("checkbox", name="Select web")).to_be_checked()


@pytest.mark.holds("PAGE-48")
def test_a_vm_moves_to_another_group_with_its_disks(host: Host, root: Person) -> None:
    host.ok("group", "create", "team")
    host.ok("pool", "assign", "1", "team", "--write", "--manage")
    host.ok("media", "create", "web-disk", "--size", "1M")
    host.ok("vm", "create", "web", "--memory", "64M", "--media", "web-disk")
    root.go("/vms/1")
    clicks = Clicks(root.page)
    clicks.menu("Move to another group…")
    expect(root.page.get_by_role("dialog")).to_contain_text("web-disk")
    clicks.button("Move")
    expect(root.page.get_by_text("web moved")).to_be_visible()
    assert clicks.made <= MOST
    (moved,) = json.loads(host.ok("media", "list", "--json", "--group", "team"))["media"]
    assert moved["name"] == "web-disk" and "web" in host.ok("vm", "list", "--group", "team")


@pytest.mark.holds("PAGE-32", "PAGE-83")
def test_a_vm_is_cloned_with_its_disks(host: Host, root: Person) -> None:
    for disk in "web-disk", "data":
        host.ok("media", "create", disk, "--size", "1M")
    host.ok("vm", "create", "web", "--memory", "64M", "--media", "web-disk", "--media", "data:usb:ro")
    root.go("/vms/1")
    clicks = Clicks(root.page)
    clicks.menu("Clone…")
    expect(root.page.get_by_role("dialog")).to_contain_text("A copy of it (1 MiB)")
    clicks.button("Clone")
    results = root.page.get_by_role("region", name="Results of your actions")
    expect(results.get_by_text("web-2 created")).to_be_visible()
    expect(results.get_by_text("Cloning")).to_have_count(0)
    results.get_by_role("link", name="Open web-2").click()
    assert clicks.made <= MOST
    expect(root.page.get_by_role("heading", level=1)).to_have_text("web-2")
    root.page.get_by_role("link", name="Tasks").first.click()
    root.page.get_by_role("link", name="web-2", exact=True).click()
    expect(root.page.get_by_role("heading", level=1)).to_have_text("web-2")
    made = [one["name"] for one in json.loads(host.ok("media", "list", "--json"))["media"]]
    assert sorted(made) == ["data", "web-2-disk", "web-disk"]
    root.page.get_by_role("navigation", name="Of web-2").get_by_role("link", name="History").click()
    entries = root.page.get_by_role("table", name="History of web-2")
    expect(entries).to_contain_text("created VM web-2 in the root group, as a clone of VM web")
    expect(entries.get_by_role("row").last).to_contain_text("the server")  # as from nowhere else


@pytest.mark.holds("PAGE-108")
def test_what_leads_to_a_clone_goes_when_that_is_deleted(host: Host, root: Person) -> None:
    host.ok("vm", "create", "web", "--memory", "64M")
    root.go("/vms/1")
    clicks = Clicks(root.page)
    clicks.menu("Clone…")
    clicks.button("Clone")
    results = root.page.get_by_role("region", name="Results of your actions")
    expect(results.get_by_role("link", name="Open web-2")).to_be_visible()
    host.ok("vm", "rm", "web-2")
    expect(results).not_to_contain_text("web-2")


@pytest.mark.holds("PAGE-84", "PAGE-95")
def test_a_vm_that_runs_is_stopped_where_it_is_cloned(host: Host, root: Person) -> None:
    host.ok("media", "create", "web-disk", "--size", "1M")
    host.ok("vm", "create", "web", "--memory", "64M", "--media", "web-disk")
    host.hypervisor.faults.deaf = True
    host.ok("vm", "start", "web")
    root.go("/vms/1")
    clicks, dialog = Clicks(root.page), root.page.get_by_role("dialog")
    clicks.on(root.page.get_by_role("button", name="More that can be done with "))
    expect(root.page.get_by_role("menuitem", name="Clone…")).to_contain_text("only while it is stopped")
    clicks.on(root.page.get_by_role("menuitem", name="Clone…"))
    expect(dialog).to_contain_text("web is not stopped")
    clone = dialog.get_by_role("button", name="Clone", exact=True)
    expect(clone).to_be_disabled()
    expect(clone).to_have_accessible_description(re.compile("web is not stopped"))
    clone.click(force=True)
    dialog.get_by_label("Name").press("Enter")
    expect(dialog.get_by_text("web is not stopped")).to_have_count(1)
    assert "web-2" not in host.ok("vm", "list")
    dialog.get_by_role("button", name="Leave out disks and firmware settings").click()
    expect(dialog.get_by_text("web is not stopped")).to_have_count(0)
    expect(clone).to_be_enabled()
    dialog.get_by_label("web-disk").check()
    clicks.button("Stop web")
    expect(dialog).to_contain_text("Its guest shuts down")
    dialog.get_by_label("Name").fill("web-copy")
    clicks.button("Force off…")
    expect(dialog).to_contain_text("Like pulling the plug")
    clicks.button("Force off")
    expect(dialog.get_by_text("web is not stopped")).to_have_count(0)
    clicks.button("Clone")
    expect(root.page.get_by_text("web-copy created")).to_be_visible()


@pytest.mark.holds("PAGE-73")
def test_a_disk_is_made_for_a_vm_detached_and_attached_again(host: Host, root: Person) -> None:
    host.ok("vm", "create", "web", "--memory", "64M")
    root.go("/vms/1")
    page, clicks = root.page, Clicks(root.page)
    devices = page.get_by_role("region", name="Devices")
    clicks.on(devices.get_by_role("button", name="New disk"))
    clicks.button("Create")
    expect(devices.get_by_role("link", name="web-disk", exact=True)).to_be_visible()
    assert clicks.made <= MOST and "web-disk" in host.ok("vm", "show", "web")
    clicks.made = 0
    clicks.on(devices.get_by_role("button", name="Detach web-disk"))
    clicks.button("Detach")
    expect(devices).to_contain_text("nothing to boot from")
    assert clicks.made <= MOST and "web-disk" in host.ok("media", "list")
    clicks.made = 0
    clicks.on(devices.get_by_role("button", name="Attach"))
    page.get_by_label("Disk or ISO").select_option(label="web-disk (Disk, 20 GiB)")
    clicks.made += 1
    clicks.button("Attach")
    expect(devices.get_by_role("link", name="web-disk", exact=True)).to_be_visible()
    assert clicks.made <= MOST
    (one,) = vm(host, "web")["media"]
    assert (one["mode"], one.get("readonly", False)) == ("VIRTIO", False)


@pytest.mark.holds("PAGE-53", "PAGE-88")
def test_from_the_sign_in_to_a_guests_screen_and_its_cd(host: Host, person: NewPerson, tmp_path: Path) -> None:
    image = tmp_path / "install.iso"
    image.write_bytes(bytes(16 * 2048) + b"\x01CD001".ljust(2048, b"\0"))
    one = person(host.url)
    one.open("/")
    page, clicks = one.page, Clicks(one.page)
    page.get_by_label("Name").fill("root")
    page.get_by_label("Password").fill(PASSWORD)
    page.keyboard.press("Enter")
    clicks.on(page.get_by_role("button", name="Create a virtual machine"))
    with page.expect_file_chooser() as chosen:
        clicks.on(page.get_by_role("button", name="Choose a file"))
    chosen.value.set_files(image)
    for button in ("Next", "Next"):
        clicks.on(page.get_by_role("button", name=button, exact=True))
    expect(page.get_by_text("does not boot under EFI")).to_be_visible()
    assert page.locator(".v-plan").evaluate(SCROLLERS) == 0, "a warning gives the plan a scroll bar of its own"
    clicks.on(page.get_by_role("button", name="Create and start", exact=True))
    expect(page.get_by_role("application", name=re.compile("^Screen "))).to_have_count(1)  # the fake draws nothing
    assert clicks.made <= MOST_TO_A_SCREEN
    clicks.made = 0
    with page.expect_popup() as opened:
        clicks.on(page.get_by_role("button", name="Open in a window"))
    expect(opened.value.get_by_role("application", name=re.compile("^Screen "))).to_have_count(1)
    assert clicks.made <= MOST
    opened.value.close()
    host.ok("media", "upload", str(image), "--name", "drivers.iso")
    page.get_by_role("link", name="Overview").click()
    devices = page.get_by_role("region", name="Devices").get_by_role("listitem")
    expect(devices.filter(has_text="install-disk")).to_contain_text("empty: skipped until something is installed")
    expect(devices.filter(has_text="install.iso")).to_contain_text("boots first")
    clicks.made = 0
    clicks.on(page.get_by_role("button", name="Change disc"))
    page.get_by_label("ISO", exact=True).select_option("drivers.iso")
    clicks.made += 1
    clicks.button("Insert")
    expect(devices.get_by_role("link", name="drivers.iso", exact=True)).to_be_visible()
    assert clicks.made <= MOST
    clicks.made = 0
    clicks.on(page.get_by_role("button", name="Grow install-disk"))
    clicks.button("Grow")
    expect(page.get_by_text("install-disk grown to 40 GiB")).to_be_visible()
    assert clicks.made <= MOST


@pytest.mark.holds("PAGE-55")
def test_who_has_no_quota_left_is_told_so_before_a_form_is_filled_in(host: Host, root: Person) -> None:
    host.ok("group", "create", "Blue")
    host.ok("vm", "create", "one", "--group", "Blue", "--memory", "64M")
    host.ok("group", "quota", "Blue", "--vms", "1")
    gid, page = vm(host, "one")["gid"], root.page
    told = "There are already 1 of 1 VMs in Blue: delete one, or ask for a higher quota."
    root.go("/create")
    page.get_by_label("Group", exact=True).select_option("Blue")
    expect(page.get_by_text(told)).to_be_visible()
    page.get_by_role("radio", name="An empty disk").check()
    page.get_by_role("button", name="Next", exact=True).click()
    page.get_by_role("button", name="Next", exact=True).click()
    expect(page.locator(".v-refusal").get_by_text(told)).to_be_visible()
    expect(page.get_by_text("Correct what is marked.")).to_have_count(0)
    root.go(f"/groups/{gid}")
    page.get_by_role("button", name="Check access").first.click()
    why = page.get_by_role("dialog")
    expect(why.get_by_text("Yes", exact=False).first).to_be_visible()
    expect(why.get_by_text(told)).to_be_visible()
    why.get_by_role("link", name="Show the quota").click()
    expect(why).to_have_count(0)
