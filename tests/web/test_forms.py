"""What is typed: sizes mean the same everywhere, and media are told apart."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from playwright.sync_api import expect

from tests.api.world import PASSWORD
from tests.host import Host, hosting
from tests.web.conftest import NewPerson
from tests.web.furnished import RUNS, TEAM, WEB
from tests.web.openings import field, named
from tests.web.person import Person
from velocity.client import Client
from velocity.config import PoolSetting
from velocity.contract.machines import Attachment, DiskLimits, EmptyDrive, Nic

pytestmark = pytest.mark.xdist_group("forms")  # they share a page


@pytest.mark.holds("PAGE-37")
def test_a_bare_number_is_gib_of_a_disk_and_says_so(somebody: Person) -> None:
    page = somebody.page
    somebody.go("/media")
    named(page, "Create an empty disk").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Size").fill("20")
    expect(dialog.get_by_text("20 GiB: space is taken only as the guest writes.")).to_be_visible()
    expect(dialog.get_by_text("a bare number is GiB")).to_be_visible()
    dialog.get_by_label("Size").fill("4000000")
    expect(dialog.get_by_text(re.compile("Larger than the .* that are free"))).to_be_visible()
    page.keyboard.press("Escape")
    expect(dialog).to_have_count(0)


@pytest.mark.holds("PAGE-37")
def test_the_unit_of_a_bare_number_stands_in_its_field(somebody: Person) -> None:
    page = somebody.page
    somebody.go("/create")
    page.get_by_role("radio", name="An empty disk").check()
    named(page, "Next").click()
    for label, unit in (("Memory", "MiB"), ("Size", "GiB")):
        field = page.get_by_label(label, exact=True)
        beside = page.locator(".v-amount", has=field).get_by_text(unit, exact=True)
        for typed, times in (("", 1), ("20", 1), ("1.", 1), ("2 GiB", 0), ("3t", 0)):
            field.fill(typed)
            expect(beside).to_have_count(times)
    named(page, "Cancel").click()


@pytest.mark.holds("PAGE-103")
def test_what_is_empty_limits_nothing_and_zero_is_no_way_to_say_so(somebody: Person) -> None:
    page = somebody.page
    somebody.go("/groups")
    named(page, "Set up a team").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Name of the team").fill("limited")
    expect(dialog.get_by_text(re.compile("^Empty: no limit. 0: no "))).to_have_count(3)
    dialog.get_by_label("CPUs").fill("0")
    dialog.get_by_label("Quota in the pool").fill("0")
    expect(dialog.get_by_text("Enter a size, or nothing for no limit.")).to_be_visible()
    dialog.get_by_label("Quota in the pool").fill("")
    named(page, "Show the steps").click()
    for words in ("Set its quota: 0 CPUs", "no limit; read, write, manage"):
        expect(dialog.get_by_text(words).first).to_be_visible()
    page.keyboard.press("Escape")
    expect(dialog).to_have_count(0)


@pytest.mark.holds("PAGE-38")
def test_media_of_one_name_are_told_apart_and_what_is_in_use_is_not_free(furnished: Host, somebody: Person) -> None:
    with Client(furnished.url, furnished.key) as client:
        team = next(one.gid for one in client.list_groups().groups if one.name == "team")
        mids = [client.create_medium(mpid=1, gid=gid, name="twin", type="DISK", size=1 << 20).mid for gid in (0, team)]
        other = client.create_vm(name="has-disk", gid=0, cpus=1, memory_mib=64)
    somebody.go(f"/vms/{other.vmid}/settings")
    choice = somebody.page.get_by_label("Attach a medium")
    free = choice.locator("optgroup[label=Free]")
    expect(free.locator("option", has_text="twin (Disk, 1 MiB, in root group)")).to_have_count(1)
    expect(free.locator("option", has_text="twin (Disk, 1 MiB, in team)")).to_have_count(1)
    used = choice.locator("optgroup", has_text="disk (Disk, 1 MiB, used by web)")
    expect(used).to_have_attribute("label", re.compile("^In use by another VM"))
    choice.select_option(label="disk (Disk, 1 MiB, used by web)")
    attached = somebody.page.get_by_role("group", name="Medium 1: disk")
    expect(attached.get_by_role("checkbox", name="Read-only")).to_be_checked()
    named(somebody.page, "Undo all").click()
    with Client(furnished.url, furnished.key) as client:
        for mid in mids:
            client.delete_medium(mid=mid, purge=True)
        client.delete_vm(vmid=other.vmid, purge=True)


TOPS = "all => all.map(one => one.getBoundingClientRect().top)"


@pytest.mark.holds("PAGE-65")
def test_an_error_of_a_field_leaves_its_row_in_line(furnished: Host, somebody: Person) -> None:
    somebody.go(f"/vms/{WEB}/settings")
    row = somebody.page.get_by_role("group", name="Display 1")
    row.get_by_label("Width").fill("0")
    expect(row.get_by_text("1 to 8,192 pixels.")).to_be_visible()
    assert len(set(row.locator("input").evaluate_all(TOPS))) == 1
    remove = row.get_by_role("button", name="Remove display")
    field, button = (one.bounding_box() for one in (row.get_by_label("Name"), remove))
    assert field and button
    assert abs(field["y"] + field["height"] / 2 - button["y"] - button["height"] / 2) <= 1
    expect(row.get_by_label("Pixels per inch")).to_have_count(0)
    row.get_by_role("button", name="Pixel density").click()
    expect(row.get_by_label("Pixels per inch")).to_have_value("96")
    named(somebody.page, "Undo all").click()


@pytest.mark.holds("PAGE-67")
def test_hardware_and_limits_of_a_disk_are_set(furnished: Host, somebody: Person) -> None:
    page = somebody.page
    somebody.go(f"/vms/{WEB}/settings")
    page.get_by_label("CPU model").fill("a model")
    named(page, "Review and save…").click()
    expect(page.get_by_text("For example best, host or EPYC")).to_be_visible()
    page.get_by_label("CPU model").fill("host")
    page.get_by_label("Keyboard and pointer").select_option("USB keyboard and tablet")
    page.get_by_label("Gives freed memory back").uncheck()
    disk = page.get_by_role("group", name="Medium 1: disk")
    disk.get_by_role("button", name="Sectors, zeroes and limits").click()
    disk.get_by_label("Operations/s").fill("500")
    disk.get_by_label("MiB/s").fill("1.5")
    disk.get_by_label("Zeros that are written").check()
    named(page, "Review and save…").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_role("button", name="Save", exact=True).click()
    expect(dialog).to_have_count(0)
    with Client(furnished.url, furnished.key) as client:
        vm = client.show_vm(vmid=WEB)
        assert (vm.cpu, vm.input, vm.balloon) == ("host", "usb", False)
        (attached,) = vm.media
        assert attached.limits == DiskLimits(iops=500, bytes=3 << 19) and attached.detect_zeroes is True
        client.alter_vm(
            vmid=WEB, cpu="best", input="virtio", balloon=True, media=[Attachment(mid=attached.mid, mode="BLOCK")]
        )


@pytest.mark.holds("PAGE-47")
def test_a_nic_comes_into_the_boot_order_and_goes_to_its_front(furnished: Host, somebody: Person) -> None:
    page = somebody.page
    with Client(furnished.url, furnished.key) as client:
        mid = client.create_medium(mpid=1, gid=0, name="first", type="DISK", size=1 << 20).mid
        vm = client.create_vm(
            name="boots",
            gid=0,
            cpus=1,
            memory_mib=64,
            media=[Attachment(mid=mid, mode="BLOCK")],
            nics=[Nic(type="NAT")],
            drives=[EmptyDrive(mode="USB")],
        )
    somebody.go(f"/vms/{vm.vmid}/settings")
    page.get_by_role("navigation", name="Settings").get_by_role("link", name="Boot order").click()
    expect(page.get_by_role("heading", name="Boot order")).to_be_in_viewport()
    expect(named(page, "first earlier in the boot order")).to_have_count(0)
    named(page, "Remove empty drive 1").click()
    named(page, "Add network boot from NIC 1").click()
    named(page, "Boot from NIC 1 (network boot) earlier").click()
    expect(page.get_by_role("group", name="Boots as 2")).to_contain_text("first")
    named(page, "Review and save…").click()
    page.get_by_role("dialog").get_by_role("button", name="Save").click()
    expect(page.get_by_role("dialog")).to_have_count(0)
    with Client(furnished.url, furnished.key) as client:
        info = client.show_vm(vmid=vm.vmid)
        client.delete_vm(vmid=vm.vmid, purge=True)
        client.delete_medium(mid=mid, purge=True)
    assert (info.nics[0].boot, info.media[0].boot, info.drives) == (1, 2, [])


@pytest.mark.holds("PAGE-60")
def test_a_vm_gets_a_new_disk_where_its_disks_are(furnished: Host, somebody: Person) -> None:
    page = somebody.page
    with Client(furnished.url, furnished.key) as client:
        vmid = client.create_vm(name="grows", gid=0, cpus=1, memory_mib=64).vmid
        somebody.go(f"/vms/{vmid}/settings")
        named(page, "Add a new disk…").click()
        dialog = page.get_by_role("dialog", name="Create an empty disk")
        dialog.get_by_label("Name").fill("more")
        dialog.get_by_label("Size").fill("1 MiB")
        dialog.get_by_role("button", name="Create").click()
        expect(page.get_by_role("group", name="Medium 1: more")).to_contain_text("Disk, 1 MiB")
        assert somebody.violations("#media") == []
        named(page, "Review and save…").click()
        page.get_by_role("dialog").get_by_role("button", name="Save").click()
        expect(page.get_by_role("dialog")).to_have_count(0)
        (attached,) = client.show_vm(vmid=vmid).media
        client.delete_vm(vmid=vmid, purge=True)
        client.delete_medium(mid=attached.mid, purge=True)
    assert not attached.readonly


@pytest.mark.holds("PAGE-40", "PAGE-55")
def test_who_has_few_rights_sees_their_quota_and_only_doors_that_open(furnished: Host, person: NewPerson) -> None:
    with Client(furnished.url, furnished.key) as client:
        uid = client.create_user(name="cara", password=PASSWORD).uid
        for permission in ("velocity.group.view", "velocity.vm.view"):
            client.grant_permission(uid=uid, gid=TEAM, permission=permission)
    cara = person(furnished.url)
    cara.enter("cara", "/")
    places = cara.page.get_by_role("navigation", name="Places").get_by_role("link")
    expect(places).to_have_text(
        [re.compile(one) for one in ("Dashboard", "Virtual", "Media", "Groups", "Tasks", "Trash", "My")]
    )
    quota = cara.page.get_by_role("region", name="Quota")
    expect(quota.get_by_text(re.compile(r"^\d left, \d in use")).first).to_be_visible()
    expect(quota.get_by_text("For more, ask")).to_have_count(0)
    with Client(furnished.url, furnished.key) as client:
        client.set_quota(gid=TEAM, cpus=1, memory_mib=1024, vms=3)
        expect(quota.get_by_text("For more, ask root.").first).to_be_visible()
        client.set_quota(gid=TEAM, cpus=4, memory_mib=1024, vms=3)
        client.grant_permission(uid=uid, gid=TEAM, permission="velocity.user.view")
    expect(places.filter(has_text="History")).to_be_visible()
    cara.go(f"/vms/{RUNS}")
    facts = cara.page.get_by_role("region", name="Virtual machine")
    expect(facts.get_by_role("link", name="Show all")).to_be_visible()
    expect(facts.get_by_role("link", name="Change")).to_have_count(0)


@pytest.mark.holds("PAGE-55")
def test_what_a_quota_does_not_allow_is_said_alike_everywhere(host: Host, person: NewPerson) -> None:
    with Client(host.url, host.key) as client:
        red = client.create_group(name="red", parent_gid=0).gid
        client.set_quota(gid=red, cpus=2, memory_mib=512)
        client.assign_pool(gid=red, mpid=1, quota=1 << 30, write=True, manage=True)
        uid = client.create_user(name="cara", password=PASSWORD).uid
        for one in ("group.view", "pool.list", "media.list", "media.create", "vm.view", "vm.create", "vm.alter"):
            client.grant_permission(uid=uid, gid=red, permission=f"velocity.{one}")
        vmid = client.create_vm(name="web", gid=red, cpus=1, memory_mib=128).vmid
    cara = person(host.url)
    cara.enter("cara", "/create")
    page, answer = cara.page, cara.page.locator(".v-refusal")
    page.get_by_role("radio", name="An empty disk").check()
    named(page, "Next").click()
    field(page, "CPUs").fill("9")
    field(page, "Memory").fill("4 GiB")
    field(page, "Size").fill("50")
    disk = "The quota of red has 1 GiB left in pool default; this needs 50 GiB. For more, ask root."
    for words in (
        "The quota of red has 1 CPU left; this needs 9 CPUs. For more, ask root.",
        "The quota of red has 384 MiB left; this needs 4 GiB. For more, ask root.",
        disk,
    ):
        expect(page.get_by_text(words)).to_be_visible()
    named(page, "Next").click()
    expect(answer.get_by_text("Not enough room")).to_be_visible()
    field(page, "CPUs").fill("none")
    named(page, "Next").click()
    expect(answer.get_by_text("Not complete yet")).to_be_visible()
    cara.go("/media")
    named(page, "Create an empty disk").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Size").fill("50")
    expect(dialog.get_by_text(disk)).to_be_visible()
    unit, icon = (
        dialog.locator(one).bounding_box() for one in (".v-amount > span:last-child", ".v-amount .pf-m-status")
    )
    assert unit and icon and unit["x"] + unit["width"] <= icon["x"], "the icon of the error covers the unit"
    dialog.get_by_role("button", name="Create", exact=True).click()
    expect(dialog.locator(".v-refusal").get_by_text("Not enough room")).to_be_visible()
    page.keyboard.press("Escape")
    expect(dialog).to_have_count(0)
    cara.go(f"/vms/{vmid}/settings")
    expect(page.get_by_text("Quota: 1 CPU left, 1 CPU after this.", exact=True)).to_be_visible()
    page.get_by_role("spinbutton", name="CPUs", exact=True).fill("9")
    page.get_by_role("textbox", name="Memory", exact=True).fill("4 GiB")
    for words in (
        "The quota of red has 1 CPU left; this needs 8 CPUs more. For more, ask root.",
        "The quota of red has 384 MiB left; this needs 3.88 GiB more. For more, ask root.",
    ):
        expect(page.get_by_text(words)).to_be_visible()
    named(page, "Review and save…").click()
    expect(answer.get_by_text("Not enough room")).to_be_visible()


@pytest.mark.holds("PAGE-41")
def test_a_team_has_a_pool_and_an_upload_says_what_holds_it_up(somebody: Person) -> None:
    page = somebody.page
    somebody.go("/groups")
    named(page, "Set up a team").click()
    dialog = page.get_by_role("dialog")
    expect(dialog.get_by_label("Pool", exact=True)).to_have_value("1")
    dialog.get_by_role("radio", name="A new user").check()
    expect(dialog.get_by_label("Permissions")).to_have_value("maker")  # who can make something of quota and pool
    dialog.get_by_role("radio", name="Nobody yet").check()
    dialog.get_by_role("button", name="Show the steps").click()
    expect(dialog.locator(".v-refusal").get_by_text("Not complete yet")).to_be_visible()
    expect(dialog.get_by_label("Name of the team")).to_be_focused()
    expect(dialog.get_by_text("Enter a name for the team.")).to_be_visible()
    dialog.get_by_role("radio", name="A new user").check()
    for words in ("Enter a user name.", "At least 8 characters."):
        expect(dialog.get_by_text(words)).to_be_visible()
    page.keyboard.press("Escape")
    expect(dialog).to_have_count(0)
    somebody.go("/media")
    with page.expect_file_chooser() as chooser:
        named(page, "Upload").click()
    chooser.value.set_files({"name": "nothing.iso", "mimeType": "", "buffer": b""})
    expect(dialog.get_by_label("Type")).to_have_value("ISO")
    dialog.get_by_role("button", name="Upload").click()
    expect(dialog.locator(".v-refusal").get_by_text("nothing.iso is empty: choose another file.")).to_be_visible()
    page.keyboard.press("Escape")
    expect(dialog).to_have_count(0)


@pytest.mark.holds("PAGE-75")
def test_a_user_has_a_home_group_that_is_changed(host: Host, root: Person) -> None:
    page = root.page
    for name in ("team", "other"):
        host.ok("group", "create", name)
    root.go("/users")
    named(page, "Create a user").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Name").fill("carl")
    dialog.get_by_label("Home group").select_option("team")
    named(page, "Generate").click()
    dialog.get_by_role("button", name="Create", exact=True).click()
    dialog.get_by_role("button", name="Grant permissions").click()
    dialog.get_by_role("button", name="Cancel").click()  # there once it is loaded, and before that nothing hears Escape
    expect(page.get_by_text("home group: team")).to_be_visible()
    named(page, "Change the home group").click()
    dialog.get_by_role("button", name="Save", exact=True).click()
    expect(dialog).to_contain_text("Choose another group.")
    dialog.get_by_label("Home group").select_option("other")
    dialog.get_by_role("button", name="Save", exact=True).click()
    expect(page.get_by_text("home group: other")).to_be_visible()


@pytest.mark.holds("PAGE-75")
def test_copies_of_a_clone_go_to_another_pool(tmp_path: Path, person: NewPerson) -> None:
    pools = [PoolSetting(mpid=one, name=name, path=tmp_path / name) for one, name in ((1, "default"), (2, "fast"))]
    with hosting(tmp_path / "data", pools=pools) as host:
        host.ok("media", "create", "disk", "--size", "1M", "--pool", "default")
        host.ok("vm", "create", "web", "--memory", "64M", "--media", "disk:block")
        one = person(host.url)
        one.enter("root", "/vms/1")
        page = one.page
        named(page, "More that can be done with web").click()
        named(page, "Clone…").click()
        dialog = page.get_by_role("dialog")
        dialog.get_by_label("Pool of the copies").select_option("fast")
        dialog.get_by_role("button", name="Clone", exact=True).click()
        expect(dialog).to_have_count(0)

        def pools_of_media() -> set[int]:
            return {one["mpid"] for one in json.loads(host.ok("media", "list", "--json"))["media"]}

        one.until(lambda: pools_of_media() == {1, 2})
