"""Several hosts on the page: where VMs are, and what is wrong with a host."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from playwright.sync_api import expect

from tests.host import hosting
from tests.hosts.together import Other, attaching
from tests.web.conftest import NewPerson


@pytest.mark.holds("PAGE-49")
def test_where_vms_are_is_shown_filtered_and_chosen(tmp_path: Path, person: NewPerson) -> None:
    b = Other(2, "backyard", (20, "fast"))
    with hosting(tmp_path / "data", attach=attaching(b)) as host:
        for name in ("here", "there"):
            host.ok("vm", "create", name, "--memory", "64M", "--host", "1" if name == "here" else "backyard")
        one = person(host.url)
        one.sign_in("root")
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
        one.go(f"/vms/{vmid}/settings")
        page.get_by_label("Spread").fill("web")
        page.get_by_label("Host labels").fill("disk=ssd, gpu")
        page.get_by_role("button", name="Review and save…").click()
        page.get_by_role("dialog").get_by_role("button", name="Save", exact=True).click()
        expect(page.get_by_role("dialog")).to_have_count(0)
        vm = json.loads(host.ok("vm", "show", "there", "--json"))
        assert (vm["spread"], vm["host_labels"]) == ("web", ["disk=ssd", "gpu"])

        host.loop.call_soon_threadsafe(b.fake.faults.lose, b.host)
        one.go("/")
        expect(page.get_by_text("Host backyard does not respond")).to_be_visible()
        one.go(f"/vms/{vmid}")
        expect(page.get_by_text("It does not respond: this is its last known state.").first).to_be_visible()
