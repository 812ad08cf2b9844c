"""Several hosts on the page: where VMs are, and what is wrong with a host."""

from __future__ import annotations

import asyncio
import json
import re
from pathlib import Path
from socket import gethostname

import pytest
from playwright.sync_api import Page, expect

from tests.host import hosting
from tests.hosts.on_rbd import ADDRESSES, OnRbd
from tests.hosts.sharing import Shared
from tests.hosts.together import Other, attaching
from tests.patience import PATIENCE, at_last
from tests.postgres import Postgres
from tests.web.conftest import NewPerson
from tests.web.person import SIZES, Person
from velocity.hypervisor.attached import Duty
from velocity.hypervisor.port import MovePhase
from velocity.storage.fake.pools import FakeShared

OWN = "a password of my own"


@pytest.mark.holds("PAGE-49", "PAGE-63", "PAGE-69", "MANY-101", "MANY-115", "MANY-156")
def test_where_vms_are_is_shown_filtered_and_chosen(tmp_path: Path, person: NewPerson) -> None:
    shared = Shared(tmp_path, "backyard")
    b = shared.b
    with hosting(tmp_path / "data", attach=attaching(b), pools=shared.pools()) as host:
        for name in ("here", "there"):
            host.ok("vm", "create", name, "--memory", "64M", "--host", "1" if name == "here" else "backyard")
        for name, pool in (("disk of here", "1"), ("disk of there", "own-backyard")):
            host.ok("media", "create", name, "--size", "1M", "--pool", pool)
        one = person(host.url)
        one.enter("root", "/")
        page = one.page
        expect(page.get_by_role("region", name="Hosts")).to_contain_text("backyard")
        page.get_by_role("region", name="Hosts").get_by_role("link", name="1 VM").last.click()
        expect(page.get_by_role("link", name="there", exact=True)).to_be_visible()
        expect(page.get_by_role("link", name="here", exact=True)).to_have_count(0)
        expect(page.get_by_role("columnheader", name="Host")).to_be_visible()
        assert one.violations() == []
        page.get_by_role("link", name="there", exact=True).click()
        expect(page.get_by_role("region", name="Virtual machine")).to_contain_text("backyard")

        vmid = json.loads(host.ok("vm", "show", "there", "--json"))["vmid"]
        page.get_by_role("button", name="More that can be done with there").click()
        page.get_by_role("menuitem", name="Clone…").click()
        page.get_by_role("dialog").get_by_label("Host").select_option(index=1)
        page.get_by_role("dialog").get_by_role("button", name="Clone", exact=True).click()
        one.until(lambda: "there-2" in host.ok("vm", "list"))
        assert json.loads(host.ok("vm", "show", "there-2", "--json"))["host"]["id"] == 1

        one.go(f"/vms/{vmid}/settings")
        offered = page.get_by_label("Attach a medium")
        expect(offered).to_contain_text("disk of there")
        expect(offered).not_to_contain_text("disk of here")
        page.get_by_label("Start order").fill("3")
        page.get_by_label("Spread").fill("web")
        page.get_by_label("Together").fill("shop")
        page.get_by_label("Host labels").fill("disk=ssd, gpu")
        page.get_by_role("button", name="Review and save…").click()
        page.get_by_role("dialog").get_by_role("button", name="Save", exact=True).click()
        expect(page.get_by_role("dialog")).to_have_count(0)
        vm = json.loads(host.ok("vm", "show", "there", "--json"))
        assert (vm["spread"], vm["together"], vm["host_labels"]) == ("web", "shop", ["disk=ssd", "gpu"])
        assert vm["start_order"] == 3

        one.go("/hosts")
        copied(page)
        labelled(page)
        shown = json.loads(host.ok("node", "show", "backyard", "--json"))
        assert (shown["keeps_copy"], shown["labels"]) == (True, {"disk": "ssd"})

        one.go("/groups/0")
        pools = page.get_by_role("table", name="Pools")
        expect(pools.get_by_role("row", name="own-backyard")).to_contain_text("on backyard")
        expect(pools.get_by_role("row", name="shared")).to_contain_text(", backyard")

        host.loop.call_soon_threadsafe(b.fake.faults.lose, b.host)
        one.go("/")
        expect(page.get_by_text("Host backyard does not respond")).to_be_visible()
        one.go(f"/vms/{vmid}")
        expect(page.get_by_text("It does not respond: this is its last known state.").first).to_be_visible()
        expect(page.get_by_role("region", name="Virtual machine")).to_contain_text("Stopped when it was last heard")

        expect(page.get_by_text("on host backyard")).to_be_visible()

        one.go("/hosts")
        on_a_phone(one)
        page.get_by_role("button", name="Actions of backyard").click()
        page.get_by_role("menuitem", name="Confirm that it is off…").click()
        dialog = page.get_by_role("dialog")
        expect(dialog).to_contain_text("no longer runs any of these VMs")
        expect(dialog).to_contain_text("No VM was running on it.")
        dialog.get_by_label("Name of the host").fill("yard")
        dialog.get_by_role("button", name="Confirm that it is off").click()
        expect(dialog).to_contain_text("Type backyard.")
        dialog.get_by_label("Name of the host").fill("backyard")
        dialog.get_by_role("button", name="Confirm that it is off").click()
        expect(page.get_by_role("dialog")).to_have_count(0)
        row = page.get_by_role("row").filter(has_text="backyard")
        expect(row).to_contain_text("Its VMs can start elsewhere.")
        assert json.loads(host.ok("node", "show", "backyard", "--json"))["dead"]["by"] == "root"


@pytest.mark.holds("PAGE-114")
def test_no_copy_of_the_database_is_offered_where_there_can_be_none(
    tmp_path: Path, person: NewPerson, postgres: Postgres
) -> None:
    with hosting(tmp_path / "data", attach=attaching(Other(2, "backyard")), database=postgres.database()) as host:
        one = person(host.url)
        one.enter("root", "/hosts")
        one.page.get_by_role("button", name="Actions of backyard").click()
        item = one.page.get_by_role("menuitem", name="Keep a copy of the database…")
        expect(item).to_be_disabled()
        expect(item).to_contain_text("The database is PostgreSQL: a second server stands by instead")
        assert one.violations() == []
        assert json.loads(host.ok("node", "list", "--json"))["database"] == "postgresql"


def on_a_phone(one: Person) -> None:
    """What is missing before VMs start elsewhere is there, too."""
    one.page.set_viewport_size({"width": 375, "height": 812})
    expect(one.page.get_by_text("Nothing proves that its VMs have ended")).to_be_visible()
    assert one.violations(rules=SIZES) == []
    one.page.set_viewport_size({"width": 1280, "height": 800})


def copied(page: Page) -> None:
    """Somebody has backyard keep a copy of the database."""
    page.get_by_role("button", name="Actions of backyard").click()
    page.get_by_role("menuitem", name="Keep a copy of the database…").click()
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text("whoever is root on that machine could become the server")
    dialog.get_by_role("button", name="Keep a copy", exact=True).click()
    expect(page.get_by_text("No copy of the database yet.")).to_be_visible()


def labelled(page: Page) -> None:
    """Somebody gives backyard a label."""
    page.get_by_role("button", name="Actions of backyard").click()
    page.get_by_role("menuitem", name="Edit…").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Labels").fill("ssd")
    dialog.get_by_role("button", name="Save").click()
    expect(dialog).to_contain_text("Write “ssd” as name=value.")
    dialog.get_by_label("Labels").fill("disk=ssd")
    dialog.get_by_role("button", name="Save").click()
    expect(dialog).to_have_count(0)


@pytest.mark.holds("PAGE-105")
def test_a_host_has_a_page_of_its_own(tmp_path: Path, person: NewPerson) -> None:
    b = Other(2, "backyard", (20, "fast"))
    with hosting(tmp_path / "data", attach=attaching(b)) as host:
        host.ok("vm", "create", "there", "--memory", "64M", "--host", "backyard")
        host.ok("vm", "create", "here", "--memory", "64M", "--host", "1")
        for busy in (0.0, 20.0):  # of its 8 CPUs, in ten seconds
            b.fake.hosts.busy += busy
            host.look()
        one = person(host.url)
        one.enter("root", "/hosts")
        page = one.page
        row = page.get_by_role("row").filter(has_text="backyard")
        expect(row.get_by_role("cell", name="25%", exact=True)).to_be_visible()
        page.get_by_role("link", name="backyard", exact=True).click()
        expect(page.get_by_role("heading", level=1)).to_have_text("backyard")
        expect(page.get_by_role("region", name="Pools")).to_contain_text("fast")
        expect(page.get_by_role("region", name="Load")).to_contain_text("25%")
        expect(page.get_by_role("region", name="Host", exact=True)).to_contain_text("64 MiB")
        machines = page.get_by_role("region", name="Virtual machines")
        expect(machines.get_by_role("link")).to_have_text(["there"])
        assert one.violations() == []

        page.get_by_role("button", name="Actions of backyard").click()
        page.get_by_role("menuitem", name="Enter maintenance…").click()
        page.get_by_role("dialog").get_by_role("button", name="Enter maintenance").click()
        expect(page.get_by_role("dialog")).to_have_count(0)
        assert json.loads(host.ok("node", "show", "backyard", "--json"))["duty"] == "maintenance"

        host.loop.call_soon_threadsafe(b.fake.faults.lose, b.host)
        expect(page.get_by_role("region", name="Load")).to_have_count(0)
        expect(page.get_by_text("Nothing proves that its VMs have ended")).to_be_visible()
        assert one.violations() == []
        machines.get_by_role("link", name="there").click()
        page.get_by_role("region", name="Virtual machine", exact=True).get_by_role("link", name="backyard").click()
        expect(page.get_by_role("heading", level=1)).to_have_text("backyard")
        one.go("/hosts/99")
        expect(page.get_by_text("There is no such host, or it was removed")).to_be_visible()


@pytest.mark.holds("PAGE-115")
def test_who_may_view_hosts_finds_them_and_nobody_else_is_led_to_them(tmp_path: Path, person: NewPerson) -> None:
    with hosting(tmp_path / "data", attach=attaching(Other(2, "backyard"))) as host:
        host.ok("group", "create", "team")
        host.ok("vm", "create", "web", "--memory", "64M", "--host", "backyard", "--group", "team")
        for name, rights in (("ann", ("vm.view", "host.view")), ("eve", ("vm.view",))):
            host.ok("user", "create", name, typed=f"{OWN}\n{OWN}\n")
            host.ok("user", "grant", name, *rights, "--group", "team")
        ann = person(host.url)
        ann.enter("ann", "/", OWN)
        page = ann.page
        page.get_by_role("navigation", name="Places").get_by_role("link", name="Hosts").click()
        row = page.get_by_role("row").filter(has_text="backyard")
        expect(row).to_be_visible()
        expect(page.get_by_role("button", name="Add a host")).to_have_count(0)
        expect(page.get_by_role("button", name="Actions of backyard")).to_have_count(0)
        row.get_by_role("link", name="backyard").click()
        expect(page.get_by_role("heading", name="backyard", level=1)).to_be_visible()
        page.get_by_role("region", name="Virtual machines").get_by_role("link", name="web").click()
        page.get_by_role("region", name="Virtual machine").get_by_role("link", name="backyard").click()
        expect(page.get_by_role("region", name="Load")).to_be_visible()
        assert ann.violations() == []

        eve = person(host.url)
        eve.enter("eve", "/vms", OWN)
        page = eve.page
        page.get_by_role("link", name="web", exact=True).click()
        expect(page.get_by_role("region", name="Virtual machine")).to_contain_text("backyard")
        expect(page.get_by_role("link", name="backyard")).to_have_count(0)
        expect(page.get_by_role("navigation", name="Places").get_by_role("link", name="Hosts")).to_have_count(0)


@pytest.mark.holds("MANY-206", "MANY-224")
def test_a_lost_host_is_blocklisted(tmp_path: Path, person: NewPerson) -> None:
    rados = FakeShared()
    b, c = OnRbd(2, "b", rados), OnRbd(3, "c", rados)
    with hosting(tmp_path / "data", attach=attaching(b, c)) as host:
        host.ok("media", "create", "disk", "--size", "1M", "--pool", "ceph")
        host.ok("vm", "create", "web", "--memory", "64M", "--host", "b", "--media", "disk")
        host.ok("vm", "start", "web")
        at_last(lambda: "rbd_addresses" in host.ok("node", "show", "b", "--json"))
        host.loop.call_soon_threadsafe(b.fake.faults.lose, b.host)
        at_last(lambda: b.host in host.app.hosts.silent)
        one = person(host.url)
        one.enter("root", "/hosts")
        page = one.page
        page.get_by_role("button", name="Actions of b", exact=True).click()
        page.get_by_role("menuitem", name="Blocklist on Ceph…").click()
        dialog = page.get_by_role("dialog")
        expect(dialog).to_contain_text("When it last responded, these ran on it: web.")
        dialog.get_by_label("Name of the host").fill("b")
        dialog.get_by_role("button", name="Blocklist", exact=True).click()
        expect(dialog).to_have_count(0)
        expect(page.get_by_role("row").filter(has_text="Blocklisted on Ceph")).to_contain_text("by root")
        assert rados.blocklisted == {ADDRESSES[2]}
        host.ok("vm", "start", "web")
        page.get_by_role("button", name="Actions of b", exact=True).click()
        page.get_by_role("menuitem", name="Remove…").click()
        expect(dialog).to_contain_text(f"ceph osd blocklist rm {ADDRESSES[2]}:0/0")
        dialog.get_by_role("button", name="Cancel").click()
        one.go("/history")
        row = page.get_by_role("row").filter(has_text="blocklisted host b on Ceph")
        expect(row.filter(has_text="You")).to_be_visible()


@pytest.mark.holds("MANY-256")
def test_what_the_stream_tells_as_a_whole_is_asked_again_also_where_the_stream_does_not_hold_it(
    tmp_path: Path, person: NewPerson
) -> None:
    """A host that joins brings a pool: then all is told anew, and that the host has changed meanwhile is not."""
    asked = "POST /h/node/list"
    with hosting(tmp_path / "data", attach=attaching(Other(2, "backyard"))) as host:
        one = person(host.url)
        one.enter("root", "/hosts")
        expect(one.page.get_by_role("row").filter(has_text="backyard")).to_be_visible()
        one.page.wait_for_load_state("load")
        before = one.asked.count(asked)
        coming = host.app.hosts.attach(Other(3, "cellar", (20, "fast")).attached())
        asyncio.run_coroutine_threadsafe(coming, host.loop).result(PATIENCE)
        one.until(lambda: one.asked.count(asked) > before)


@pytest.mark.holds("PAGE-64")
def test_a_vm_whose_host_is_no_more_is_restored_on_one_that_is_chosen(tmp_path: Path, person: NewPerson) -> None:
    b, c = Other(2, "backyard"), Other(3, "cellar")
    with hosting(tmp_path / "data", attach=attaching(b, c)) as host:
        host.ok("vm", "create", "there", "--memory", "64M", "--host", "backyard")
        host.ok("vm", "rm", "there")
        asyncio.run_coroutine_threadsafe(host.app.hosts.detach(b.host), host.loop).result(PATIENCE)
        one = person(host.url)
        one.enter("root", "/trash")
        page = one.page
        page.get_by_role("button", name="Restore there").click()
        dialog = page.get_by_role("dialog")
        restore = dialog.get_by_role("button", name="Restore", exact=True)
        expect(dialog.get_by_label("Host", exact=True)).to_be_visible()
        expect(restore).to_be_disabled()
        assert one.violations() == []
        dialog.get_by_label("Host", exact=True).select_option("cellar")
        expect(dialog).to_contain_text("cellar")
        restore.click()
        expect(dialog).to_have_count(0)
        assert json.loads(host.ok("vm", "show", "there", "--json"))["host"]["name"] == "cellar"


@pytest.mark.holds("PAGE-58")
def test_the_wizard_offers_what_the_chosen_host_has(tmp_path: Path, person: NewPerson) -> None:
    with hosting(tmp_path / "data", attach=attaching(Other(2, "backyard", (20, "fast")))) as host:
        for name, pool in (("near.iso", "default"), ("far.iso", "fast")):
            (tmp_path / name).write_bytes(b"not empty".ljust(2048))
            host.ok("media", "upload", str(tmp_path / name), "--pool", pool)
        one = person(host.url)
        one.enter("root", "/create")
        page = one.page
        images = page.get_by_role("radiogroup", name="Image", exact=True)
        expect(images.get_by_role("radio")).to_have_count(2)
        page.get_by_role("radio", name="near.iso").check()
        page.get_by_label("Host", exact=True).select_option("backyard")
        expect(images.get_by_role("radio")).to_have_count(1)
        expect(page.get_by_role("radio", name="far.iso")).not_to_be_checked()
        assert one.violations() == []
        page.get_by_label("Host", exact=True).select_option("Automatic: the most suitable")
        page.get_by_role("radio", name="far.iso").check()
        page.get_by_role("button", name="Next").click()
        page.get_by_role("button", name="Next").click()
        page.get_by_role("button", name="The same from the command line").click()
        expect(page.get_by_role("group", name="Command lines")).to_contain_text("--pool id:20")
        page.get_by_role("button", name="Create and start").click()
        expect(page).to_have_url(re.compile("/console"))
        (made,) = json.loads(host.ok("vm", "list", "--json"))["vms"]
        assert made["host"]["name"] == "backyard", "its new disk is where its ISO is"


@pytest.mark.holds("MANY-84", "MANY-255")
def test_a_vm_moves_from_its_menu_and_shows_how_far_it_is(tmp_path: Path, person: NewPerson) -> None:
    b = Other(2, "backyard", (20, "fast"))
    c = Other(3, "cellar", duty=Duty.DRAINING)
    with hosting(tmp_path / "data", attach=attaching(b, c)) as host:
        host.ok("vm", "create", "web", "--memory", "64M", "--host", "1")
        host.ok("vm", "start", "web")
        one = person(host.url)
        host.hypervisor.mobility.holds[MovePhase.MEMORY] = asyncio.Event()
        vmid = json.loads(host.ok("vm", "show", "web", "--json"))["vmid"]
        one.enter("root", f"/vms/{vmid}")
        page = one.page
        page.get_by_role("button", name="More that can be done with web").click()
        page.get_by_role("menuitem", name="Move to another host…").click()
        dialog = page.get_by_role("dialog")
        expect(dialog).to_contain_text("cellar: it is being drained, and takes no VMs")
        expect(dialog.get_by_label("Host", exact=True)).to_be_focused()
        assert one.violations() == []
        dialog.get_by_role("button", name="Move", exact=True).click()
        expect(page.get_by_text("Moving to backyard")).to_be_visible()
        expect(page.get_by_text("Copying memory: ")).to_be_visible()
        assert one.violations() == []
        page.get_by_role("button", name="Cancel the move").click()
        page.get_by_role("dialog").get_by_role("button", name="Cancel the task").click()
        expect(page.get_by_text("Moving to backyard")).to_have_count(0)
        expect(page.get_by_text("Cancelled. The VM stays where it was")).to_be_visible()

        one.go("/hosts")
        page.get_by_role("button", name=f"Actions of {gethostname()}").click()
        page.get_by_role("menuitem", name="Drain…").click()
        page.get_by_role("checkbox", name="Move its 1 VM to other hosts").check()
        page.get_by_role("dialog").get_by_role("button", name="Drain", exact=True).click()
        row = page.get_by_role("row", name=re.compile(f"^{re.escape(gethostname())} "))
        expect(row).to_contain_text("Moving its VMs away")
        expect(row).to_contain_text("0 of 1 VM")
        assert one.violations() == []
        row.get_by_role("button", name="Cancel the drain").click()
        page.get_by_role("dialog").get_by_role("button", name="Cancel the task").click()
        expect(row).not_to_contain_text("Moving its VMs away")
        expect(row).to_contain_text("Draining")
        host.hypervisor.mobility.holds.clear()
        page.get_by_role("button", name=f"Actions of {gethostname()}").click()
        page.get_by_role("menuitem", name="Move its VMs away…").click()
        page.get_by_role("dialog").get_by_role("button", name="Move its VMs away", exact=True).click()
        one.go(f"/vms/{vmid}")
        expect(page.get_by_role("region", name="Virtual machine")).to_contain_text("backyard")


@pytest.mark.holds("MANY-281")
def test_vms_leave_a_host_in_maintenance_which_stays_in_it(tmp_path: Path, person: NewPerson) -> None:
    with hosting(tmp_path / "data", attach=attaching(Other(2, "backyard"))) as host:
        for name in ("web", "paused"):
            host.ok("vm", "create", name, "--memory", "64M", "--host", "id:1")
            host.ok("vm", "start", name)
        host.ok("vm", "pause", "paused")
        host.ok("node", "maintenance", "id:1")
        one = person(host.url)
        one.enter("root", "/hosts")
        page = one.page
        page.get_by_role("button", name=f"Actions of {gethostname()}").click()
        page.get_by_role("menuitem", name="Move its VMs away…").click()
        page.get_by_role("dialog").get_by_role("button", name="Move its VMs away").click()
        row = page.get_by_role("row", name=re.compile(f"^{re.escape(gethostname())} "))
        expect(row).to_contain_text("Moved 1 of 2 VMs; not moved: 'paused'")
        expect(row).to_contain_text("Maintenance")
        assert json.loads(host.ok("vm", "show", "web", "--json"))["host"]["name"] == "backyard"
        assert one.violations() == []
