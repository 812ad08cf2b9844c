"""Each page in a real browser: it opens without complaint, axe finds nothing on it, and it fits a phone."""

from __future__ import annotations

import json
import re
from pathlib import Path
from socket import gethostname

import pytest
from playwright.sync_api import expect

from tests.api.world import PASSWORD
from tests.host import Host
from tests.web.conftest import NewPerson
from tests.web.person import COLOURS, SIZES, Person
from tests.web.walk import be_still
from velocity.client import Client
from velocity.contract.joining import NodeToken
from velocity.contract.nodes import JOIN
from velocity.hypervisor.port import Fact, FactCause
from velocity.node import joining

PAGES = {
    "/": "Dashboard",
    "/vms": "Virtual machines",
    "/vms/1": "web",
    "/vms/2": "off",
    "/create": "Create a virtual machine",
    "/media": "Media",
    "/groups": "Groups",
    "/groups/0": "Groups",
    "/hosts": "Hosts",
    "/hosts/1": gethostname(),
    "/users": "Users",
    "/users/0": "root",
    "/users/1": "ann",
    "/vms/1/settings": "web",
    "/vms/1/metrics": "web",
    "/vms/1/history": "web",
    "/vms/1/command": "web",
    "/tasks": "Tasks",
    "/history": "History",
    "/trash": "Trash",
    "/settings": "My settings",
}


ASTRAY = """() => {
    const places = (selector) => [...document.querySelectorAll(selector)].map((one) => one.getBoundingClientRect());
    const cards = places("#main .pf-v6-c-card");
    const found = cards.flatMap((a, at) => cards.slice(at + 1).filter((b) =>
        a.left < b.right - 1 && b.left < a.right - 1 && a.top < b.bottom - 1 && b.top < a.bottom - 1
    )).map(() => "two cards lie over each other");
    for (const title of places(".v-head h1")) if (title.width < 16) found.push("its title is not seen");
    for (const all of places(".v-head-actions")) if (all.right > innerWidth) found.push("an action is not seen");
    return [...new Set(found)];
}"""
"""Cards over each other, and what of a head is squeezed out."""


def furnish(host: Host) -> str:
    """The id of a medium."""
    host.ok("media", "create", "disk", "--size", "1M")
    host.ok("vm", "create", "web", "--memory", "64M", "--display", "64x64", "--media", "disk:block")
    host.ok("vm", "start", "web")
    host.ok("vm", "create", "off", "--memory", "64M", "--nic", "nat", "--nic", "nat")
    host.ok("user", "create", "ann", typed=f"{PASSWORD}\n{PASSWORD}\n")
    host.ok("media", "create", "old", "--size", "1M")
    host.ok("media", "rm", "old")
    return str(json.loads(host.ok("media", "list", "--json"))["media"][0]["mid"])


@pytest.mark.holds("PAGE-1")
@pytest.mark.whole
@pytest.mark.parametrize("width", [1280, 375])
def test_every_page(host: Host, person: NewPerson, width: int, whole: bool) -> None:
    """The short form looks at what another width changes only at that width: what fits, and the targets' size."""
    pages = {**PAGES, f"/media/{furnish(host)}": "disk"}
    one = person(host.url, width=width)
    one.enter("root", "/")
    short = width == 375 and not whole
    found: dict[str, list[str]] = {}
    for path, title in pages.items():
        one.go(path)
        be_still(one.page)
        expect(one.page.get_by_role("heading", level=1)).to_contain_text(title)
        expect(one.page.locator("[class*=skeleton], [aria-label=Loading]")).to_have_count(0)
        one.settle()
        if short:
            found[path] = one.violations(rules=SIZES)
        else:
            found[path] = one.violations()
            one.page.emulate_media(color_scheme="dark")
            found[path] += [f"in the dark: {told}" for told in one.violations(rules=COLOURS)]
            one.page.emulate_media(color_scheme="light")
        wide = one.page.evaluate("document.documentElement.scrollWidth - innerWidth")
        if wide > 0:
            found[path].append(f"it is {wide} px wider than the screen")
        for across in [width] if short else [width, 1024]:
            one.page.set_viewport_size({"width": across, "height": 800})
            found[path] += [f"at {across}: {told}" for told in one.page.evaluate(ASTRAY)]
        one.page.set_viewport_size({"width": width, "height": 800})
    styles = one.page.evaluate("[...document.styleSheets].map(one => one.href)")
    assert len(styles) == len(set(styles)), "a style that is loaded again overrides what came after it"
    assert {path: one for path, one in found.items() if one} == {}


def test_what_axe_finds_says_what_is_wrong(person: NewPerson) -> None:
    one = person("about:blank")
    one.page.set_content('<html lang="en"><title>One</title><main><h1>One</h1><button></button></main>')
    (told,) = one.violations()
    assert told.startswith("button-name: ") and "Element does not have inner text" in told


@pytest.mark.holds("PAGE-50")
def test_a_host_is_added_drained_and_removed(host: Host, root: Person, tmp_path: Path) -> None:
    page = root.page
    root.go("/hosts")
    page.get_by_role("button", name="Add a host").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_role("button", name="Create a token").click()
    token = NodeToken.read(dialog.get_by_role("group", name="Token").inner_text())
    expect(dialog).to_contain_text("Waiting for the machine to join")
    with Client(host.url) as client:
        client.call(JOIN, joining.asked(joining.begin(tmp_path / "b", token), token, "bee", "127.0.0.1:1"))
    expect(dialog.get_by_role("heading", name="bee has joined")).to_be_visible()
    dialog.get_by_role("button", name="Close", exact=True).last.click()
    row = page.get_by_role("row").filter(has_text="bee")
    expect(row).to_contain_text("bee does not answer at 127.0.0.1:1")
    size = page.viewport_size
    page.set_viewport_size({"width": 375, "height": 812})
    expect(row.get_by_text("bee does not answer at 127.0.0.1:1")).to_be_visible()
    page.set_viewport_size(size or {"width": 1280, "height": 800})
    for verb, shown in (("Drain", "draining"), ("Enter maintenance", "maintenance"), ("Activate", "active")):
        page.get_by_role("button", name="Actions of bee").click()
        page.get_by_role("menuitem", name=f"{verb}…").click()
        dialog.get_by_role("button", name=verb, exact=True).click()
        expect(dialog).to_have_count(0)
        assert json.loads(host.ok("node", "show", "bee", "--json"))["duty"] == shown
    page.get_by_role("button", name="Actions of bee").click()
    page.get_by_role("menuitem", name="Remove…").click()
    dialog.get_by_role("button", name="Remove", exact=True).click()
    expect(row).to_have_count(0)
    root.go("/history")
    expect(page.get_by_text("began maintenance of")).to_be_visible()


@pytest.mark.holds("PAGE-59")
def test_a_name_turns_round_nothing_beside_it(host: Host, root: Person) -> None:
    name = "שרת 12"
    vmid = int(host.ok("vm", "create", name, "--memory", "64M"))
    page = root.page
    root.go(f"/vms/{vmid}")
    page.get_by_role("button", name="Start", exact=True).click()
    told = page.get_by_text(f"{name} is running")
    expect(told.locator("bdi")).to_have_text("שרת")
    page.get_by_role("button", name=f"More that can be done with {name}").click()
    page.get_by_role("menuitem", name="Reset…").click()
    expect(page.get_by_role("dialog").get_by_role("heading", level=1).locator("bdi")).to_have_text("שרת")
    page.get_by_role("dialog").get_by_role("button", name="Cancel").click()


@pytest.mark.holds("PAGE-19")
def test_notes_of_a_vm_are_edited_and_shown(host: Host, root: Person) -> None:
    host.ok("vm", "create", "noted", "--memory", "64M")
    vmid = json.loads(host.ok("vm", "show", "noted", "--json"))["vmid"]
    root.go(f"/vms/{vmid}/settings")
    root.page.get_by_role("textbox", name="Notes").fill("of anna\nroot on /dev/vda")
    root.page.get_by_role("button", name="Review and save…").click()
    root.page.get_by_role("dialog").get_by_role("button", name="Save", exact=True).click()
    expect(root.page.get_by_role("dialog")).to_have_count(0)
    root.go(f"/vms/{vmid}")
    expect(root.page.get_by_text("root on /dev/vda")).to_be_visible()
    assert json.loads(host.ok("vm", "show", "noted", "--json"))["notes"] == "of anna\nroot on /dev/vda"
    host.ok("vm", "rm", "noted")


@pytest.mark.holds("PAGE-44")
def test_cloud_init_is_set_on_the_page_and_its_secrets_are_not_shown_again(host: Host, root: Person) -> None:
    page, hashed = root.page, "$6$saltsalt$SECRETSECRET"
    host.ok("vm", "create", "cloud", "--memory", "64M", "--user", "ann", "--timezone", "UTC")
    vmid = json.loads(host.ok("vm", "show", "cloud", "--json"))["vmid"]
    root.go(f"/vms/{vmid}/settings")
    expect(page.get_by_label("User", exact=True)).to_have_value("ann")
    page.get_by_label("SSH keys").fill("-----BEGIN OPENSSH PRIVATE KEY-----")
    expect(page.get_by_text("This is a private key")).to_be_visible()
    page.get_by_label("SSH keys").fill("ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAA me@here")
    page.get_by_label("Password hash").fill(hashed)
    page.get_by_label("Time zone").fill("")
    page.get_by_role("button", name="Review and save…").click()
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text("user ann, 1 key, password (not shown)")
    assert "SECRET" not in dialog.inner_text()
    dialog.get_by_role("button", name="Save", exact=True).click()
    expect(dialog).to_have_count(0)
    expect(page.get_by_text("It is set, and not shown.")).to_be_visible()
    assert json.loads(host.ok("vm", "show", "cloud", "--json"))["cloud_init"] == {
        "user": "ann", "ssh_keys": ["ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAA me@here"], "secrets": ["password_hash"],
    }  # fmt: skip
    assert "SECRET" not in page.content()
    host.ok("vm", "rm", "cloud")


@pytest.mark.holds("GUEST-61", "GUEST-64")
def test_the_review_says_what_of_a_change_comes_at_once_and_why_the_rest_waits(host: Host, root: Person) -> None:
    host.ok("vm", "create", "grows", "--memory", "64M", "--max-cpus", "4", "--nic", "nat")
    host.ok("vm", "start", "grows")
    vmid = json.loads(host.ok("vm", "show", "grows", "--json"))["vmid"]
    root.go(f"/vms/{vmid}/settings")
    root.page.get_by_role("button", name="One CPU more", exact=True).click()
    root.page.get_by_role("textbox", name="Memory", exact=True).fill("128 MiB")
    root.page.get_by_text("Cable plugged in").click()
    root.page.get_by_role("button", name="Review and save…").click()
    dialog = root.page.get_by_role("dialog")
    for name, when in (("CPUs", "at once"), ("NICs", "at once"), ("Memory", "a maximum of memory")):
        expect(dialog.get_by_role("row").filter(has=root.page.get_by_text(name, exact=True))).to_contain_text(when)
    dialog.get_by_role("button", name="Save", exact=True).click()
    expect(dialog).to_have_count(0)
    shown = json.loads(host.ok("vm", "show", "grows", "--json"))
    assert (shown["cpus"], shown["nics"][0]["link"], shown["waiting"]) == (2, "down", ["memory_mib"])
    host.ok("vm", "stop", "--force", "grows")
    host.ok("vm", "rm", "grows")


@pytest.mark.holds("PAGE-4")
def test_what_the_command_line_does_is_on_the_page_at_once(host: Host, root: Person) -> None:
    root.go("/vms")
    expect(root.page.get_by_role("heading", level=1)).to_have_text("Virtual machines")
    host.ok("vm", "create", "from-the-cli", "--memory", "64M")
    expect(root.page.get_by_role("link", name="from-the-cli")).to_be_visible()
    host.ok("vm", "start", "from-the-cli")
    expect(root.page.get_by_text("Running", exact=True).first).to_be_visible()
    host.ok("vm", "stop", "--force", "from-the-cli")
    host.ok("vm", "rm", "from-the-cli")
    expect(root.page.get_by_role("link", name="from-the-cli")).to_have_count(0)


@pytest.mark.holds("PAGE-5")
def test_a_session_that_ends_asks_in_place_and_loses_nothing(host: Host, root: Person) -> None:
    typed = root.page.locator("#new")
    typed.fill("half a pass")
    host.ok("session", "end", "--others")
    root.page.locator("#old").fill("correct horse")
    root.page.locator("#again").fill("half a pass")
    # The end of the stream may open the dialog first: what lies under that cannot be reached by its role.
    root.page.locator("button", has_text="Set the password").dispatch_event("click")
    dialog = root.page.get_by_role("dialog", name="Your session has ended")
    expect(dialog).to_be_visible()
    expect(typed).to_have_value("half a pass")


def test_a_wrong_password_is_told(host: Host, person: NewPerson) -> None:
    one = person(host.url)
    one.open("/")
    one.page.get_by_label("Name").fill("root")
    one.page.get_by_label("Password").fill("a wrong one")
    one.page.get_by_role("button", name="Sign in").click()
    expect(one.page.get_by_role("alert")).to_contain_text("wrong")


def test_the_palette_starts_a_machine_by_keyboard(host: Host, root: Person) -> None:
    host.ok("vm", "create", "web", "--memory", "64M")
    root.go("/")
    expect(root.page.get_by_role("heading", level=1)).to_be_visible()
    root.page.keyboard.press("Control+k")
    expect(root.page.get_by_role("combobox")).to_be_focused()
    root.page.keyboard.type("start web")
    expect(root.page.get_by_role("option").first).to_have_text(re.compile("^Start web"))
    root.page.keyboard.press("Enter")
    expect(root.page.get_by_text("web is running")).to_be_visible()
    assert "RUNNING" in host.ok("vm", "list")


@pytest.mark.holds("PAGE-76")
def test_the_palette_leads_to_what_is_done_in_a_dialog(host: Host, root: Person) -> None:
    page = root.page
    host.ok("vm", "create", "web", "--memory", "64M")
    root.go("/")
    expect(page.get_by_role("heading", level=1)).to_be_visible()
    for words, title in (
        ("rename web", "Rename web"),
        ("clone web", "Clone web"),
        ("snapshot", "Clone web"),  # that there are none is said beside it
        ("delete web", "Delete web?"),
        ("boot once web", "Boot web once"),
        ("create a user", "Create a user"),
        ("fetch an image", "Fetch from a URL"),
        ("create an empty disk", "Create an empty disk"),
        ("add a host", "Add a host"),
    ):
        page.keyboard.press("Control+k")
        expect(page.get_by_role("combobox", name="Search or run")).to_be_focused()
        page.keyboard.type(words)
        shown = "clone web.*there are no snapshots" if words == "snapshot" else words
        expect(page.get_by_role("option").first).to_have_text(re.compile(shown, re.IGNORECASE))
        page.keyboard.press("Enter")
        dialog = page.get_by_role("dialog", name=title)
        expect(dialog).to_be_visible()
        page.keyboard.press("Escape")
        expect(dialog).to_have_count(0)


def test_no_way_switches_a_machine_off_without_asking_not_the_palette_neither(host: Host, root: Person) -> None:
    host.ok("vm", "create", "web", "--memory", "64M")
    host.ok("vm", "start", "web")
    root.go("/")
    expect(root.page.get_by_role("heading", level=1)).to_be_visible()
    root.page.keyboard.press("Control+k")
    expect(root.page.get_by_role("combobox")).to_be_focused()
    root.page.keyboard.type("kill web")
    expect(root.page.get_by_role("option", name="Force off web")).to_be_visible()
    root.page.keyboard.press("Enter")
    asked = root.page.get_by_role("dialog", name="Force web off?")
    expect(asked).to_contain_text("is lost")
    assert "RUNNING" in host.ok("vm", "list")
    asked.get_by_role("button", name="Force off").click()
    expect(root.page.get_by_text("web is stopped")).to_be_visible()


def test_why_a_vm_does_not_run_names_the_medium(host: Host, root: Person) -> None:
    host.ok("media", "create", "shared", "--size", "1M", "--format", "raw")
    host.ok("vm", "create", "writer", "--memory", "64M", "--media", "shared:block")
    host.ok("vm", "create", "web", "--memory", "64M", "--ha", "restart")
    for name in ("web", "writer"):
        host.ok("vm", "start", name)
    host.ok("vm", "set", "web", "--media", "shared:block:ro")
    shown = root.page.locator("#main").get_by_text(
        re.compile("another VM is writing to medium shared: stop it first", re.IGNORECASE)
    )
    root.open("/vms/2")
    expect(shown.first).to_be_visible()  # why the change waits
    run = next(one for one in host.hypervisor.runs.values() if not one.spec.disks)
    host.loop.call_soon_threadsafe(host.hypervisor.play, run.who.machine, Fact.ENDED, FactCause.KILLED)
    for path in ("/vms/2", "/vms", "/"):
        root.open(path)
        expect(shown.first).to_be_visible()
        assert not re.search("medium [0-9a-f]{8}-", root.page.locator("#main").inner_text())
