"""The wizard that creates a VM: its steps, what it keeps, and what it starts from."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

import pytest
from playwright.sync_api import expect

from tests.api.images import qemu_img
from tests.api.test_catalogue import entry
from tests.api.world import PASSWORD
from tests.cli.test_launch import Served
from tests.host import hosting
from tests.serving import serving
from tests.web.conftest import NewPerson
from tests.web.openings import field, named
from tests.web.person import Person
from velocity.client import Client
from velocity.config import NicSetting

pytestmark = pytest.mark.xdist_group("forms")  # they share a page


@pytest.mark.holds("PAGE-68")
def test_a_step_of_the_wizard_begins_at_its_top(somebody: Person) -> None:
    page = somebody.page
    somebody.go("/create")
    page.get_by_role("radio", name="An empty disk").check()
    named(page, "Next").click()
    expect(page.locator(".pf-v6-c-wizard__main")).to_be_focused()
    expect(page.get_by_role("heading", name="Name and hardware")).to_be_in_viewport()
    expect(page.get_by_role("heading", level=1)).to_be_in_viewport()
    named(page, "Cancel").click()


@pytest.mark.holds("PAGE-39")
def test_the_wizard_loses_nothing_by_a_reload_and_enter_goes_on(somebody: Person) -> None:
    page = somebody.page
    page.set_viewport_size({"width": 1440, "height": 900})
    somebody.go("/create")
    title = page.locator(".pf-v6-c-wizard h2")
    expect(title).to_have_text("What does it boot from?")
    named(page, "Next").click()
    answer = page.locator(".v-refusal")
    expect(answer.get_by_text("Choose an image, upload one, or take an empty disk.")).to_be_visible()
    page.get_by_role("radio", name="An empty disk").focus()
    page.keyboard.press("Space")
    page.keyboard.press("Enter")
    expect(title).to_have_text("Name and hardware")
    expect(page.get_by_role("checkbox", name="Start it after it is created")).to_be_in_viewport(ratio=1)
    expect(page.get_by_text(re.compile(r"The host has \d+ CPU"))).to_be_visible()
    field(page, "CPUs").fill("99")
    expect(page.get_by_text(re.compile(r"More than the \d+ CPUs? of the host"))).to_be_visible()
    expect(page.get_by_text(re.compile(r"The host has \d+ CPU"))).to_have_count(0)  # it is said once
    field(page, "CPUs").fill("none")
    named(page, "Next").click()
    expect(answer.get_by_text("Correct what is marked.")).to_be_visible()
    expect(field(page, "CPUs")).to_be_focused()
    field(page, "CPUs").fill("1")
    field(page, "Name").fill("kept")
    page.keyboard.press("Enter")
    expect(title).to_have_text("The virtual machine")
    named(page, "Back").click()
    expect(field(page, "Name")).to_have_value("kept")
    page.reload()
    expect(field(page, "Name")).to_have_value("kept")
    expect(field(page, "CPUs")).to_have_value("1")
    named(page, "Cancel").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Virtual machines")
    somebody.go("/create")
    expect(page.get_by_role("radio", name="An empty disk")).not_to_be_checked()
    page.set_viewport_size({"width": 1280, "height": 800})


@pytest.mark.holds("PAGE-44")
def test_the_wizard_asks_who_may_log_in_where_the_image_is_a_disk_and_keeps_no_secret(somebody: Person) -> None:
    page = somebody.page
    somebody.go("/create")
    page.get_by_role("radio", name="An empty disk").check()
    named(page, "Next").click()
    expect(page.get_by_role("heading", name="Log in")).to_have_count(0)
    named(page, "Back").click()
    page.get_by_role("radio", name=re.compile("packed")).check()
    named(page, "Next").click()
    field(page, "User").fill("ann")
    field(page, "Password hash").fill("$6$saltsalt$SECRETSECRET")
    field(page, "SSH keys").fill("AAAA")
    expect(page.get_by_text("One public key on each line")).to_be_visible()
    field(page, "SSH keys").fill("ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAA me@here")
    assert somebody.violations() == []
    assert "SECRET" not in page.evaluate("JSON.stringify(sessionStorage) + JSON.stringify(localStorage)")
    named(page, "Next").click()
    expect(page.get_by_role("heading", name="What will be done")).to_be_visible()
    page.get_by_role("button", name="The same from the command line").click()
    expect(page.get_by_role("group", name="Command lines")).to_contain_text("--user ann --ssh-key")
    assert "SECRET" not in page.content()
    page.reload()
    named(page, "Back").click()
    expect(field(page, "User")).to_have_value("ann")
    expect(field(page, "Password hash")).to_have_value("")
    named(page, "Cancel").click()


@pytest.mark.holds("PAGE-107")
def test_a_bridge_is_offered_to_who_may_list_the_hosts_nics_in_any_group(tmp_path: Path, person: NewPerson) -> None:
    with hosting(tmp_path / "data", nics=[NicSetting(nicid=1, identifier="br0", description="office")]) as host:
        host.ok("user", "create", "ann", typed=f"{PASSWORD}\n{PASSWORD}\n")
        for group, permissions in {"makes": ("vm.create", "vm.view"), "lists": ("nic.list",)}.items():
            host.ok("group", "create", group)
            host.ok("user", "grant", "ann", *permissions, "--group", group)
        one = person(host.url)
        one.enter("ann", "/create")
        page = one.page
        page.get_by_role("radio", name="An empty disk").check()
        named(page, "Next").click()
        expect(page.get_by_label("Network", exact=True)).to_contain_text("Bridge: office")


@pytest.mark.holds("PAGE-52")
@pytest.mark.holds("PAGE-57")
def test_an_image_of_the_catalogue_is_fetched_once_copied_and_started(tmp_path: Path, person: NewPerson) -> None:
    (tmp_path / "raw").write_bytes(b"a disk".ljust(1 << 20, b"\0"))
    qemu_img("convert", "-O", "qcow2", tmp_path / "raw", tmp_path / "qcow2")
    content = (tmp_path / "qcow2").read_bytes()
    served, file = Served(content), tmp_path / "more.toml"
    url = f"http://127.0.0.1:{served.server.server_port}/a.qcow2"
    file.write_text(entry(url, sha256=hashlib.sha256(content).hexdigest()))
    with serving(served.server), hosting(tmp_path / "data", catalogues=[str(file)]) as host:
        somebody = person(host.url)
        somebody.enter("root")
        page = somebody.page
        for name, where in (("small-1", "From 127.0.0.1"), ("small-1-2", "Fetched")):
            somebody.go("/create")
            expect(page.get_by_role("list", name="About Small 1")).to_contain_text(where)
            expect(page.get_by_role("list", name="About Small 1")).to_contain_text("Not tested by Velocity yet")
            page.get_by_role("radio", name="Small 1").check()
            assert somebody.violations() == []
            named(page, "Next").click()
            expect(field(page, "Name")).to_have_value(name)
            expect(field(page, "User")).to_have_value("small")
            if where == "Fetched":
                field(page, "Size").fill("512 KiB")
                expect(page.get_by_text("The image has 1 MiB: its disk cannot be smaller.")).to_be_visible()
                field(page, "Size").fill("3 MiB")
                field(page, "Port forwards").fill("22")
                named(page, "Next").click()
                expect(field(page, "Port forwards")).to_be_focused()
                field(page, "Port forwards").fill("2222:22 5353:53/udp")
            named(page, "Next").click()
            expect(page.get_by_text("Fetch it from 127.0.0.1")).to_have_count(1 if where != "Fetched" else 0)
            named(page, "Create and start").click()
            expect(page).to_have_url(re.compile("/console"))
        with Client(host.url, host.key) as client:
            media = client.list_media(gid=0).media
            found = {one.name: one.readonly for one in media}
            (vmid,) = (one.vmid for one in client.list_vms(gid=0).vms if one.name == "small-1-2")
            forwards = [(one.host_port, one.guest_port, one.protocol) for one in client.show_vm(vmid=vmid).forwards]
    assert {one.name: one.size >> 20 for one in media} == {"small-1": 1, "small-1-disk": 1, "small-1-2-disk": 3}
    assert forwards == [(2222, 22, "tcp"), (5353, 53, "udp")]
    assert found == {"small-1": True, "small-1-disk": False, "small-1-2-disk": False} and served.asked == 1
