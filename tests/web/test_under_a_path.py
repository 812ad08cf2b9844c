"""The page below a path of a reverse proxy, which the server knows nothing of."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.sync_api import expect

from tests.host import hosting
from tests.journeys.proxies import UNDER_A_PATH, running
from tests.web.conftest import NewPerson
from velocity.client import Client


@pytest.mark.holds("PAGE-21")
def test_the_page_works_below_a_path(person: NewPerson, tmp_path: Path) -> None:
    """A sign-in, the stream, a deep link, an upload, a console, and the way out."""
    image = tmp_path / "below.iso"
    image.write_bytes(b"x" * (2 << 20))
    with hosting(tmp_path / "data", trusted_proxies=["127.0.0.1"]) as host:
        with Client(host.url, host.key) as client:
            vmid = client.create_vm(name="below", gid=0, cpus=1, memory_mib=64).vmid
            client.set_vm_state(vmid=vmid, state="RUNNING")
        with running("nginx", tmp_path / "nginx", host.settings.address[1], *UNDER_A_PATH["nginx"]) as proxy:
            one = person(f"{proxy.url}/velocity", ignore_https_errors=True)
            page = one.page
            one.sign_in("root")
            assert "POST /velocity/u/session" not in one.asked, "whose refusal the browser would log as an error"
            one.place("Virtual machines")
            expect(page.get_by_role("link", name="below", exact=True)).to_have_attribute(
                "href", f"/velocity/vms/{vmid}"
            )
            with Client(host.url, host.key) as client:
                client.create_group(name="told by the stream", parent_gid=0)
            one.open(f"/vms/{vmid}/serial")
            expect(page.get_by_role("heading", level=1)).to_contain_text("below")
            host.say(b"words of the guest")
            expect(page.locator(".xterm-rows")).to_contain_text("words of the guest")
            one.place("Media")
            with page.expect_file_chooser() as chooser:
                page.get_by_role("button", name="Upload", exact=True).click()
            chooser.value.set_files(image)
            page.get_by_role("dialog").get_by_role("button", name="Upload", exact=True).click()
            one.until(lambda: "below.iso" in host.ok("media", "list"))
            one.open("/groups/")
            expect(page.get_by_text("told by the stream").first).to_be_visible()
            assert {asked.split()[1].split("/")[1] for asked in one.asked} == {"velocity"}
