"""What one wants to know first: of one VM, of many, and of the host."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import re
from pathlib import Path

import pytest
from msgspec.structs import replace
from playwright.sync_api import Locator, expect

from tests.api.world import PASSWORD
from tests.host import Host, hosting
from tests.patience import PATIENCE
from tests.web.conftest import NewPerson
from tests.web.person import SIZES, Person
from velocity.config import NicSetting
from velocity.hypervisor.fake import FACTS, NOTHING, FakeAgent, FakeHypervisor
from velocity.hypervisor.port import Fact, FactCause, HardwareProfile, NicAddress, Traffic

HOUR = 3600
HEAD = 48
"""Pixels of a head, with its line: DESIGN.md."""


def works(host: Host, name: str, cpu: float) -> None:
    """Twenty seconds of a guest that has run for three hours: `cpu` in percent of one core."""
    run = next(one for one in host.hypervisor.runs.values() if one.spec.name == name)
    for look in (0, 1):
        run.usage = replace(
            NOTHING, cpu=look * cpu / 10, memory=96 << 20, disk_read=look << 20, net=Traffic(0, 0), age=3 * HOUR
        )
        host.look()


def made(host: Host, name: str, *more: str) -> int:
    host.ok("vm", "create", name, "--memory", "64M", *more)
    return int(json.loads(host.ok("vm", "show", name, "--json"))["vmid"])


@pytest.mark.holds("PAGE-33")
def test_the_overview_of_a_vm_answers_the_first_questions(host: Host, root: Person) -> None:
    page = root.page
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    host.ok("media", "create", "disk", "--size", "1M")
    vmid = made(host, "web", "--cpus", "2", "--display", "64x64", "--media", "disk:block", "--nic", "nat")
    host.ok("vm", "start", "web")
    works(host, "web", 50)
    root.go(f"/vms/{vmid}")
    expect(page.get_by_role("region", name="Virtual machine")).to_contain_text(re.compile("Running for .* [dh]"))
    usage = page.get_by_role("region", name="Usage")
    for words in ("25%", "of 2 CPUs", "96 MiB", "for the guest's 64 MiB and QEMU itself", "102 KiB/s read"):
        expect(usage).to_contain_text(words)
    expect(page.get_by_role("img", name=re.compile("^Screen .* of web: open"))).to_be_visible()
    network = page.get_by_role("region", name="Network")
    expect(network).to_contain_text("outgoing connections only")
    expect(network.get_by_role("link", name="forward a port")).to_be_visible()
    expect(network.get_by_role("button", name="add a bridged NIC")).to_have_count(0)  # the host has none to bridge to
    mac = network.get_by_role("code").inner_text()
    network.get_by_role("button", name=f"Copy MAC address {mac}").click()
    expect(network.get_by_role("button", name="Copied")).to_be_visible()
    assert page.evaluate("navigator.clipboard.readText()") == mac
    expect(page.get_by_text("Machine type")).not_to_be_visible()
    page.get_by_role("button", name="Details").click()
    expect(page.get_by_text("Machine type")).to_be_visible()
    devices = page.get_by_role("region", name="Devices")
    devices.get_by_role("link", name="Settings of disk").click()
    expect(page.get_by_label("Attached as")).to_be_focused()
    root.go(f"/vms/{vmid}")
    devices.get_by_role("link", name="disk", exact=True).click()
    expect(page.get_by_role("heading", level=1)).to_have_text("disk")
    expect(page.get_by_role("region", name="Used by")).to_contain_text("web")
    root.go(f"/vms/{vmid}/metrics")
    expect(page.locator(".u-legend").first).to_have_text(re.compile("^Time.*CPU50%$"))  # nobody has pointed at it
    expect(page.get_by_role("button", name="Week")).to_be_disabled()
    expect(page.get_by_text("Day, Week, Month and Year: nothing more has been measured yet.")).to_be_visible()


@pytest.mark.holds("PAGE-100")
def test_a_vm_gets_another_nic_where_its_nics_are(tmp_path: Path, person: NewPerson) -> None:
    office = NicSetting(nicid=1, identifier="br0", description="office network")
    with hosting(tmp_path / "host", nics=[office]) as host:
        vmid = made(host, "web", "--nic", "nat")
        host.ok("vm", "start", "web")
        one = person(host.url)
        one.enter("root", f"/vms/{vmid}")
        network, dialog = one.page.get_by_role("region", name="Network"), one.page.get_by_role("dialog")
        before = json.loads(host.ok("vm", "show", "web", "--json"))["interfaces"]
        for opens, proposed, total in (("Add a NIC", "NAT", 2), ("add a bridged NIC", "Bridge: office network", 3)):
            network.get_by_role("button", name=opens).click()
            expect(dialog.get_by_label("Network")).to_be_focused()
            expect(dialog.get_by_label("Network").locator("option:checked")).to_have_text(re.compile(proposed))
            dialog.get_by_role("button", name="Add", exact=True).click()
            expect(network.get_by_role("listitem")).to_have_count(total)
        after = json.loads(host.ok("vm", "show", "web", "--json"))
        assert after["interfaces"][0] == before[0], "the one that was there stays itself"
        assert [nic["type"] for nic in after["nics"]] == ["NAT", "NAT", "BRIDGE"]


@pytest.mark.holds("PAGE-93")
def test_an_address_that_no_guest_uses_is_told_to_be_reserved(tmp_path: Path, person: NewPerson) -> None:
    hardware = (HardwareProfile("2", "a bridge", nat_bridge=True),)
    facts = dataclasses.replace(FACTS, hardware=hardware, nat_networks=("10.9.16.0/28", "fd00:1:2:3::/64"))
    with hosting(tmp_path / "host", FakeHypervisor(facts)) as host:
        vmid = made(host, "web", "--nic", "nat")
        one = person(host.url)
        one.enter("root", f"/vms/{vmid}")
        page, row = one.page, one.page.get_by_role("row", name="web")
        for part in "Network", "Virtual machine":
            expect(page.get_by_role("region", name=part)).to_contain_text(re.compile(r"10\.9\.16\.2\s*reserved"))
            known = page.get_by_role("region", name=part).locator("[title^='NAT reserves this address']")
            expect(known).to_have_count(2)
            tops = [one.bounding_box() for one in known.all()]
            assert all(tops) and len({box["y"] for box in tops if box}) == 2, "they run together"
        one.go("/vms")
        expect(row).to_contain_text("10.9.16.2 reserved")
        page.keyboard.press("Control+k")
        page.keyboard.type("16.2")
        expect(page.get_by_role("option", name="web").first).to_contain_text("10.9.16.2 (reserved)")
        page.keyboard.press("Escape")
        host.ok("vm", "start", "web")
        machine = host.app.services.fleet.get(vmid).machine.uuid
        host.hypervisor.hosts.heard = [NicAddress(machine, 1, "10.9.16.2")]
        looking = host.app.services.addresses.look()
        asyncio.run_coroutine_threadsafe(looking, host.loop).result(PATIENCE)
        expect(row).not_to_contain_text("reserved")
        expect(row).to_contain_text("10.9.16.2")
        one.go(f"/vms/{vmid}")
        expect(page.get_by_role("region", name="Network")).to_contain_text(
            re.compile(r"10\.9\.16\.2\s*seen on the network")
        )


LINES = """code => {
    const lines = (node) => {
        const range = document.createRange()
        range.selectNodeContents(node)
        return new Set([...range.getClientRects()].map((one) => one.top)).size
    }
    getSelection().selectAllChildren(code)
    const parts = [...code.childNodes].filter((one) => one.nodeType === Node.TEXT_NODE)
    return {all: lines(code), parts: Math.max(...parts.map(lines)), selected: getSelection().toString()}
}"""
"""Of a text: its lines, the most lines that one of its parts has, and what is copied of it."""


@pytest.mark.holds("PAGE-106")
def test_an_address_breaks_behind_a_colon_alone(tmp_path: Path, person: NewPerson) -> None:
    address = "2001:db8:85a3:1234:5678:8a2e:370:7334"
    with hosting(tmp_path / "host", nics=[NicSetting(nicid=1, identifier="br0")]) as host:
        vmid = made(host, "web", "--nic", "bridge:1")
        host.ok("vm", "start", "web")
        machine = host.app.services.fleet.get(vmid).machine.uuid
        host.hypervisor.hosts.heard = [NicAddress(machine, 1, address)]
        looking = host.app.services.addresses.look()
        asyncio.run_coroutine_threadsafe(looking, host.loop).result(PATIENCE)
        one = person(host.url, width=375)
        one.enter("root", f"/vms/{vmid}")
        shown = one.page.get_by_role("region", name="Virtual machine").get_by_role("code").filter(has_text="2001")
        expect(shown).to_have_text(address)
        lines = shown.evaluate(LINES)
        assert lines["all"] > 1, "it fits into a line, and shows nothing"
        assert (lines["parts"], lines["selected"]) == (1, address)


@pytest.mark.holds("PAGE-110")
def test_a_phone_says_what_is_wrong_with_a_vm(host: Host, person: NewPerson) -> None:
    made(host, "web", "--autostart")
    host.ok("vm", "start", "web")
    (run,) = host.hypervisor.runs.values()
    host.loop.call_soon_threadsafe(host.hypervisor.play, run.who.machine, Fact.ENDED, FactCause.KILLED)
    one = person(host.url, width=375)
    one.enter("root", "/vms")
    why = one.page.get_by_text("Should be running")
    expect(why).to_be_visible()
    row, name = one.page.get_by_role("row").last.bounding_box(), one.page.get_by_role("link", name="web").bounding_box()
    told = why.bounding_box()
    assert row and name and told
    assert told["y"] >= name["y"] + name["height"] and told["width"] > row["width"] / 2, "it has a line of its own"
    assert one.violations(rules=SIZES) == []


@pytest.mark.holds("PAGE-120")
def test_the_head_of_a_page_is_one_row_and_a_long_name_is_whole_on_pointing_at_it(host: Host, root: Person) -> None:
    name = "maximilian.mustermann-von-und-zu-hohenstein@example.org"
    host.ok("user", "create", name, typed=f"{PASSWORD}\n{PASSWORD}\n")
    page = root.page
    page.set_viewport_size({"width": 1024, "height": 768})
    for path in "/users/1", "/media":
        root.go(path)
        expect(page.locator(".v-head-about")).to_be_attached()
        assert page.locator(".v-head-row").evaluate("row => row.offsetHeight") == HEAD, path
    root.go("/users/1")
    expect(page.get_by_role("heading", level=1)).to_have_attribute("title", name)


@pytest.mark.holds("PAGE-45", "PAGE-85")
def test_the_overview_says_what_the_guest_tells_as_text(host: Host, root: Person) -> None:
    vmid = made(host, "web")
    host.ok("vm", "start", "web")
    root.go(f"/vms/{vmid}")
    facts = root.page.get_by_role("region", name="Virtual machine", exact=True)
    expect(facts).to_contain_text(re.compile(r"Running for \d.*Created"))  # nothing was measured yet
    card = root.page.get_by_role("region", name="Guest", exact=True)
    expect(card).to_contain_text("qemu-guest-agent")
    agent = FakeAgent()
    agent.tells["guest-get-host-name"] = {"host-name": "<b>pen</b>\u202eguin"}
    host.hypervisor.guests.agents.update(dict.fromkeys(host.hypervisor.runs, agent))
    root.page.reload()
    for words in ("<b>pen</b>\ufffdguin", "Debian GNU/Linux 12", "10.0.2.15", "1 GiB of 4 GiB used", "root"):
        expect(card).to_contain_text(words)


@pytest.mark.holds("PAGE-34")
def test_columns_of_use_are_chosen_sorted_by_and_remembered(host: Host, root: Person) -> None:
    page = root.page
    for name, cpu in (("idle", 1), ("busy", 180)):
        made(host, name, "--cpus", "2", "--nic", "nat")
        host.ok("vm", "start", name)
        works(host, name, cpu)
    made(host, "off")
    root.go("/vms")
    names = page.get_by_role("row").locator("td.v-cell-name")
    expect(names).to_have_text(["busy", "idle", "off"])
    assert "POST /v/vm/usage" not in root.asked, "nothing shows it"
    page.get_by_role("button", name="Columns").click()
    for column in ("CPU use", "Memory taken", "Uptime"):
        page.get_by_role("menuitem", name=column).locator("label, input").first.click()
    page.keyboard.press("Escape")
    expect(row(page.get_by_role("row"), "busy")).to_contain_text(re.compile("90%.*96 MiB.* [dh]"))
    expect(row(page.get_by_role("row"), "off")).to_contain_text("–")
    page.get_by_role("button", name="CPU use").click()
    expect(names).to_have_text(["off", "idle", "busy"])
    page.locator(".v-toolbar").get_by_role("button", name="State").click()
    page.get_by_role("textbox", name="Search virtual machines").fill("b")
    page.get_by_role("checkbox", name="Busy: 80%").click()  # before the address has what was typed
    expect(names).to_have_text(["busy"])
    page.wait_for_url("**find=b**")
    assert "state=busy" in page.url, "the later change of the address keeps the earlier one"
    page.keyboard.press("Escape")
    page.reload()
    expect(names).to_have_text(["busy"])
    expect(row(page.get_by_role("row"), "busy")).to_contain_text("90%")


def row(rows: Locator, name: str) -> Locator:
    return rows.filter(has=rows.page.get_by_role("link", name=name, exact=True))


@pytest.mark.holds("PAGE-35")
def test_the_dashboard_says_what_hurts_and_nothing_when_all_is_well(tmp_path: Path, person: NewPerson) -> None:
    slow = dataclasses.replace(
        FACTS, accelerator="tcg", accelerator_reason="this host has no /dev/kvm: load the module"
    )
    for name, facts in (("well", FACTS), ("slow", slow)):
        with hosting(tmp_path / name, FakeHypervisor(facts)) as host:
            made(host, "web")
            for busy in (0.0, 24.0):
                host.hypervisor.hosts.busy = busy
                host.look()
            one = person(host.url)
            one.enter("root", "/")
            attention = one.page.get_by_role("heading", name="Needs attention")
            expect(one.page.get_by_role("progressbar", name="CPU")).to_have_attribute("aria-valuenow", "30")
            if facts is FACTS:
                expect(attention).to_have_count(0)
                continue
            expect(attention).to_be_visible()
            reason = one.page.get_by_text("this host has no /dev/kvm: load the module")
            expect(reason).to_have_count(1)
            expect(reason).to_be_visible()
            one.page.get_by_role("button", name="Dismiss: No KVM").click()
            expect(attention).to_have_count(0)
            expect(one.page.get_by_role("region", name="Host")).to_contain_text("load the module")
            one.page.reload()
            expect(one.page.get_by_role("progressbar", name="CPU")).to_be_visible()
            expect(attention).to_have_count(0)


@pytest.mark.holds("PAGE-36")
def test_single_keys_go_find_and_create_and_can_be_switched_off(host: Host, root: Person) -> None:
    page, press = root.page, root.page.keyboard.press
    for name in ("a1", "a2", "a3"):
        made(host, name)
    title = page.get_by_role("heading", level=1)
    press("g")
    press("v")
    expect(title).to_have_text("Virtual machines")
    press("/")
    search = page.get_by_role("textbox", name="Search virtual machines")
    expect(search).to_be_focused()
    page.keyboard.type("cg")  # what is typed is text
    expect(search).to_have_value("cg")
    search.fill("")
    link = page.get_by_role("link", name="a1", exact=True)
    link.focus()
    press("ArrowDown")
    press("ArrowDown")
    expect(page.get_by_role("link", name="a3", exact=True)).to_be_focused()
    press("ArrowUp")
    press("Enter")
    expect(title).to_have_text("a2")
    press("Control+k")
    expect(page.get_by_role("option").first).to_contain_text("a2")
    press("Escape")
    press("c")
    expect(title).to_have_text("Create a virtual machine")
    press("?")
    dialog = page.get_by_role("dialog", name="Help")
    expect(dialog).to_contain_text("Search in the table")
    assert root.violations("[role=dialog]") == []
    dialog.get_by_role("checkbox").uncheck()
    press("Escape")
    expect(dialog).to_have_count(0)
    press("g")
    press("v")
    press("?")
    page.wait_for_timeout(300)
    expect(title).to_have_text("Create a virtual machine")
    expect(dialog).to_have_count(0)


@pytest.mark.holds("PAGE-51")
def test_a_port_of_the_host_is_led_to_a_vm_and_said_in_its_overview(host: Host, root: Person) -> None:
    page = root.page
    made(host, "other", "--nic", "nat", "--forward", "2222:22")
    vmid = made(host, "web", "--nic", "nat")
    host.ok("vm", "start", "web")
    root.go(f"/vms/{vmid}/settings")
    page.get_by_role("button", name="Add a port forward").click()
    page.get_by_label("Host port").fill("2222")
    page.get_by_role("button", name="Review and save…").click()
    expect(page.get_by_role("group", name="Forward 1")).to_contain_text("leads to VM 'other'")
    page.get_by_label("Host port").fill("2223")
    page.get_by_label("Host address").fill("127.0.0.1")
    page.get_by_role("button", name="Review and save…").click()
    review = page.get_by_role("dialog")
    expect(review.get_by_role("row", name="Port forwards")).to_contain_text("127.0.0.1:2223:22at once")
    review.get_by_role("button", name="Save").click()
    expect(review).not_to_be_visible()
    root.go(f"/vms/{vmid}")
    network = page.get_by_role("region", name="Network")
    expect(network).to_contain_text("127.0.0.1 port 2223 to guest port 22")
    expect(network).not_to_contain_text("outgoing connections only")
    assert json.loads(host.ok("vm", "show", "web", "--json"))["forwards"][0]["host_port"] == 2223
